import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { type Case, casesOf } from '../../packages/mqtt/test/codec/packet-notation.ts';
import { BrokerUnderAttack } from './broker-under-attack.ts';
import type { Transport } from './raw-client.ts';

/**
 * The tables of the codec, sent to the broker: what the decoder says of a packet must be what the client on the wire is
 * told, the next client must not notice, and the metric must count it under its reason.
 */
const read = (name: string): Case[] =>
  casesOf(readFileSync(new URL(`../../packages/mqtt/test/codec/testdata/${name}.txt`, import.meta.url), 'utf8')).filter(
    ({ role, title }) => role === 'server' && !BOUND_OF_THE_CODEC_ALONE.test(title),
  );

/** The gateway allows a larger CONNECT than the codec does by itself; see memory.test.ts. */
const BOUND_OF_THE_CODEC_ALONE = /a CONNECT of 16 KiB/;

const ERRORS = 'sluice_gateway_protocol_errors_total';
const REASON_NAMES = new Map(Object.entries(ReasonCode).map(([name, code]) => [code as number, name.toLowerCase()]));

let broker: BrokerUnderAttack;
beforeAll(async () => {
  // As large as the tables assume.
  broker = await BrokerUnderAttack.start({ flags: ['--set', 'mqtt.maximumPacketSize=64KB'] });
});
afterEach(() => broker.hangUp());
afterAll(() => broker?.dispose());

/** What the client sees of it: reason codes, then the end of the connection. */
async function answersTo(each: Case, transport: Transport): Promise<string> {
  const client = each.version === 0 ? await broker.open(transport) : await broker.client(each.version, transport);
  if (each.version === 0) client.version = saysVersion5(each.bytes) ? 5 : 4;
  client.write(each.bytes);
  await client.untilClosed(2_000).catch((error: unknown) => {
    throw new Error(`${each.title}: ${String(error)}`);
  });
  return client.packets
    .map((packet) => {
      if (packet.type === PacketType.CONNACK) return `CONNACK ${hex(packet.reasonCode)}`;
      return packet.type === PacketType.DISCONNECT ? `DISCONNECT ${hex(packet.reasonCode)}` : `type ${packet.type}`;
    })
    .join(', ');
}

/** Before CONNECT only somebody who said CONNECT is answered, in the words of the version he named. */
function expected(each: Case): string {
  if (each.version === 4) return '';
  if (each.version === 5) return `DISCONNECT ${hex(each.reasonCode)}`;
  if (saysVersion5(each.bytes)) return `CONNACK ${hex(each.reasonCode)}`;
  if (each.reasonCode === ReasonCode.UNSUPPORTED_PROTOCOL_VERSION) return 'CONNACK 0x01';
  return each.reasonCode === ReasonCode.CLIENT_IDENTIFIER_NOT_VALID ? 'CONNACK 0x02' : '';
}

const hex = (code: number): string => `0x${code.toString(16).padStart(2, '0')}`;

/** A CONNECT that got as far as its level, which is 5. */
function saysVersion5(bytes: Uint8Array): boolean {
  const level = Buffer.from(bytes).indexOf('\x00\x04MQTT\x05', 'latin1');
  return bytes[0] === 0x10 && level >= 2 && level <= 5;
}

describe('B4 B9 B11 B13 B17 B19 B40: every malformed packet of the codec tables gets its reason code, and the end', () => {
  test.each<[Transport]>([['tcp'], ['ws']])(
    'over %s, the broker serves after each',
    async (transport) => {
      const before = await broker.metrics(ERRORS);
      const due = new Map<string, number>();
      const wrong: string[] = [];
      const cases = read('malformed');
      expect(cases.length).toBeGreaterThan(250);
      for (const each of cases) {
        const answers = await answersTo(each, transport);
        if (answers !== expected(each)) wrong.push(`${each.title}: ${answers}, expected ${expected(each)}`);
        const kind = REASON_NAMES.get(each.reasonCode) ?? 'other';
        due.set(kind, (due.get(kind) ?? 0) + 1);
        await broker.stillServes();
      }
      expect(wrong).toEqual([]);
      for (const [kind, count] of due) {
        const row = `{kind="${kind}"}`;
        expect([kind, ((await broker.metrics(ERRORS)).get(row) ?? 0) - (before.get(row) ?? 0)]).toEqual([kind, count]);
      }
    },
    120_000,
  );
});

test('B11 B15: every strange packet of the codec tables that is allowed leaves the broker as it was', async () => {
  for (const each of read('accepted')) {
    const client = each.version === 0 ? await broker.open() : await broker.client(each.version);
    if (each.version === 0) client.version = saysVersion5(each.bytes) ? 5 : 4;
    client.write(each.bytes);
    client.send({ type: PacketType.PINGREQ });
    // Some are allowed to a decoder and not to a client: then the end comes instead.
    await client.until(
      each.title,
      () => client.closed || client.packets.some(({ type }) => type === PacketType.PINGRESP),
    );
    client.destroy();
    await broker.stillServes();
  }
});
