import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Decoder } from '../../src/codec/decoder.ts';
import { MqttProtocolError } from '../../src/codec/protocol-error.ts';
import { connectedDecoder, decodeAll } from './decode-all.ts';
import { type Case, casesOf } from './packet-notation.ts';

const read = (name: string): Case[] =>
  casesOf(readFileSync(new URL(`./testdata/${name}.txt`, import.meta.url), 'utf8'));

const maximumPacketSizeBytes = 64 * 1024;

function decoderFor({ version, role }: Case): Decoder {
  if (version === 0) return new Decoder({ maximumPacketSizeBytes });
  return connectedDecoder(version, role, { maximumPacketSizeBytes });
}

function errorOf(run: () => unknown): MqttProtocolError {
  try {
    run();
  } catch (error) {
    if (error instanceof MqttProtocolError) return error;
    throw error;
  }
  throw new Error('accepted');
}

const hex = (code: number): string => `0x${code.toString(16).padStart(2, '0')}`;

describe('refused, with the reason code that is due', () => {
  test.each(read('malformed').map((each) => [each.title, each] as const))('%s', (_, each) => {
    const decoder = decoderFor(each);
    const error = errorOf(() => decodeAll(decoder, [each.bytes]));
    expect(hex(error.reasonCode)).toBe(hex(each.reasonCode));
    expect(error.beforeConnect).toBe(each.version === 0);
    // Dead: nothing that follows is looked at.
    decoder.push(Uint8Array.of(0xc0, 0x00));
    expect(errorOf(() => decoder.next())).toBe(error);
    // The same when it trickles in.
    const trickled = errorOf(() =>
      decodeAll(
        decoderFor(each),
        [...each.bytes].map((byte) => Uint8Array.of(byte)),
      ),
    );
    expect(hex(trickled.reasonCode)).toBe(hex(each.reasonCode));
  });
});

describe('accepted', () => {
  test.each(read('accepted').map((each) => [each.title, each] as const))('%s', (_, each) => {
    expect(decodeAll(decoderFor(each), [each.bytes])).toHaveLength(1);
    expect(decodeAll(decoderFor(each), [each.bytes.subarray(0, -1), each.bytes.subarray(-1)])).toHaveLength(1);
  });
});

test('a refusal of a v5 CONNECT can be said in v5, one of an unknown level cannot', () => {
  const v5 = casesOf('0 81 10 { <MQTT> 05 03 00 00 00 <c> } -- reserved flag')[0]!;
  const decoder = decoderFor(v5);
  errorOf(() => decodeAll(decoder, [v5.bytes]));
  expect(decoder.protocolVersion).toBe(5);
  const v6 = casesOf('0 84 10 { <MQTT> 06 02 00 00 00 <c> } -- level 6')[0]!;
  const other = decoderFor(v6);
  errorOf(() => decodeAll(other, [v6.bytes]));
  expect(other.protocolVersion).toBe(4);
});

test('the packets before a malformed one are delivered', () => {
  const decoder = connectedDecoder(4);
  decoder.push(Uint8Array.of(0xc0, 0x00, 0x40, 0x02, 0x00, 0x07, 0x00, 0x00));
  expect(decoder.next()).toEqual({ type: 12 });
  expect(decoder.next()).toMatchObject({ type: 4, packetId: 7 });
  expect(hex(errorOf(() => decoder.next()).reasonCode)).toBe('0x81');
});
