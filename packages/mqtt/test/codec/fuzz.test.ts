import { describe, expect, test } from '@jest/globals';
import { SeededPrng } from '@sluice/common/prng';
import fc from 'fast-check';
import { Decoder } from '../../src/codec/decoder.ts';
import { encode } from '../../src/codec/encoder.ts';
import type { Packet } from '../../src/codec/packet.ts';
import { MqttProtocolError } from '../../src/codec/protocol-error.ts';
import { connectPacket, packetFrom } from './arbitraries.ts';
import { connectedDecoder, plain } from './decode-all.ts';

/**
 * Bytes nobody meant to send: random ones, and good packets with a few bits, lengths and pieces changed. A decoder may
 * yield packets or throw an `MqttProtocolError` with a code a DISCONNECT can carry, and nothing else; what it yields can
 * be encoded again and is then read as the same. The seeds are fixed: a failure names its run.
 */
const MUTANTS_PER_SIDE = 30_000;
const RANDOM_PER_SIDE = 10_000;

const SIDES = ([4, 5] as const).flatMap((version) =>
  (['client', 'server'] as const).map((sender) => [version, sender] as const),
);

describe.each(SIDES)('MQTT %i from a %s', (version, sender) => {
  const role = sender === 'client' ? 'server' : 'client';
  const decoder = (): Decoder => connectedDecoder(version, role, { maximumPacketSizeBytes: 4096 });

  test('changed packets', () => {
    const seeds = fc.sample(packetFrom(sender, version), { seed: 31, numRuns: 400 });
    const originals = seeds.map((packet) => encode(packet, version));
    const prng = new SeededPrng(31);
    let refused = 0;
    for (let run = 0; run < MUTANTS_PER_SIDE; run++) {
      const original = originals[prng.below(originals.length)]!;
      if (!survives(decoder, mutant(original, originals, prng), `mutant ${run}`)) refused++;
    }
    // Neither all alike nor all refused: the mutations reach both sides of the rules.
    expect(refused).toBeGreaterThan(MUTANTS_PER_SIDE * 0.2);
    expect(refused).toBeLessThan(MUTANTS_PER_SIDE * 0.9);
  });

  test('random bytes behind a plausible header', () => {
    const prng = new SeededPrng(32);
    for (let run = 0; run < RANDOM_PER_SIDE; run++) {
      const bytes = randomBytes(prng, 2 + prng.below(60));
      bytes[1] = bytes.length - 2;
      survives(decoder, bytes, `random ${run}`);
    }
  });
});

const unconnected = (): Decoder => new Decoder({ maximumPacketSizeBytes: 4096 });

test('changed CONNECTs', () => {
  const originals = ([4, 5] as const).flatMap((version) =>
    fc.sample(connectPacket(version), { seed: 33, numRuns: 300 }).map((packet) => encode(packet, version)),
  );
  const prng = new SeededPrng(33);
  for (let run = 0; run < MUTANTS_PER_SIDE; run++) {
    const bytes = mutant(originals[prng.below(originals.length)]!, originals, prng);
    survives(unconnected, bytes, `connect ${run}`);
  }
});

test('random first bytes', () => {
  const prng = new SeededPrng(34);
  for (let run = 0; run < RANDOM_PER_SIDE; run++) {
    const bytes = randomBytes(prng, 1 + prng.below(40));
    if (prng.below(2) === 0) bytes[0] = 0x10;
    survives(unconnected, bytes, `first ${run}`);
  }
});

/** False when the bytes were refused. `fresh` is what the bytes are given to, and what reads packets back. */
function survives(fresh: () => Decoder, bytes: Uint8Array, run: string): boolean {
  try {
    const decoder = fresh();
    decoder.push(bytes);
    for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) {
      const again = encode(packet, decoder.protocolVersion);
      if (again.length > bytes.length) throw new Error(`${again.length} bytes out of ${bytes.length}`);
      if (bytes.length % 4 === 0) readBack(fresh(), packet, again);
    }
    return true;
  } catch (error) {
    if (error instanceof MqttProtocolError && error.reasonCode >= 0x80 && error.reasonCode <= 0xa2) return false;
    throw new Error(`${run}: ${Buffer.from(bytes).toString('hex')}`, { cause: error });
  }
}

function readBack(decoder: Decoder, packet: Packet, bytes: Uint8Array): void {
  let read: Packet | undefined;
  try {
    decoder.push(bytes);
    read = decoder.next();
  } catch (error) {
    throw new Error('what was yielded is refused when it comes again', { cause: error });
  }
  if (JSON.stringify(plain(read)) !== JSON.stringify(plain(packet))) throw new Error('read back as something else');
}

function randomBytes(prng: SeededPrng, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => prng.below(256));
}

/** One to three changes, of the kinds that parsers trip over. */
function mutant(original: Uint8Array, others: Uint8Array[], prng: SeededPrng): Uint8Array {
  let bytes = new Uint8Array(original);
  for (let changes = 1 + prng.below(3); changes > 0; changes--) {
    const at = prng.below(bytes.length);
    switch (prng.below(8)) {
      case 0:
        bytes[at] = bytes[at]! ^ (1 << prng.below(8));
        break;
      case 1:
        bytes[at] = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x26, 0x2b, 0xed][prng.below(8)]!;
        break;
      case 2:
        bytes[at] = bytes[at]! + 1;
        break;
      case 3:
        bytes[at] = bytes[at]! - 1;
        break;
      case 4:
        bytes = bytes.slice(0, at + 1);
        break;
      case 5:
        bytes = joined(bytes.subarray(0, at), bytes.subarray(at + 1 + prng.below(3)));
        break;
      case 6:
        bytes = joined(bytes.subarray(0, at), randomBytes(prng, 1 + prng.below(3)), bytes.subarray(at));
        break;
      default: {
        const other = others[prng.below(others.length)]!;
        bytes = joined(bytes.subarray(0, at), other.subarray(prng.below(other.length)));
      }
    }
    if (bytes.length === 0) return Uint8Array.of(0);
  }
  // Half of them keep an honest length, so that the change is looked at and not the length.
  if (bytes.length > 2 && bytes.length < 130 && prng.below(2) === 0) bytes[1] = bytes.length - 2;
  return bytes;
}

function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}
