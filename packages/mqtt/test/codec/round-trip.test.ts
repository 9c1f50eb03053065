import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Decoder } from '../../src/codec/decoder.ts';
import { encode, encodedSizeBytes } from '../../src/codec/encoder.ts';
import type { Packet, ProtocolVersion } from '../../src/codec/packet.ts';
import { PacketWriter } from '../../src/codec/packet-writer.ts';
import { connectPacket, packetFrom, type Sender } from './arbitraries.ts';
import { connectedDecoder, decodeAll, plain } from './decode-all.ts';

const SIDES = ([4, 5] as const).flatMap((version) =>
  (['client', 'server'] as const).map((sender) => [version, sender] as const),
);

const receiverOf = (version: ProtocolVersion, sender: Sender): Decoder =>
  connectedDecoder(version, sender === 'client' ? 'server' : 'client');

describe.each(SIDES)('MQTT %i from a %s', (version, sender) => {
  test('what is encoded is decoded as it was, from exactly the bytes that were announced', () => {
    fc.assert(
      fc.property(packetFrom(sender, version), (packet) => {
        const bytes = encode(packet, version);
        expect(bytes.length).toBe(encodedSizeBytes(packet, version));
        const packets = decodeAll(receiverOf(version, sender), [bytes]);
        expect(packets.map(plain)).toEqual([plain(packet)]);
      }),
      { seed: 11, numRuns: 600 },
    );
  });

  test('a stream gives the same packets wherever it is cut', () => {
    const stream = fc.array(packetFrom(sender, version), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(stream, fc.array(fc.nat(400), { maxLength: 30 }), (packets, cuts) => {
        const bytes = Buffer.concat(packets.map((packet) => encode(packet, version)));
        expect(decodeAll(receiverOf(version, sender), cut(bytes, cuts)).map(plain)).toEqual(packets.map(plain));
      }),
      { seed: 12, numRuns: 250 },
    );
  });

  test('a stream gives the same packets a byte at a time, and when all chunks wait', () => {
    fc.assert(
      fc.property(fc.array(packetFrom(sender, version), { minLength: 1, maxLength: 4 }), (packets) => {
        const bytes = Buffer.concat(packets.map((packet) => encode(packet, version)));
        const single = [...bytes].map((byte) => Uint8Array.of(byte));
        expect(decodeAll(receiverOf(version, sender), single).map(plain)).toEqual(packets.map(plain));
        const waiting = receiverOf(version, sender);
        for (const chunk of single) waiting.push(chunk);
        expect(decodeAll(waiting, [new Uint8Array(0)]).map(plain)).toEqual(packets.map(plain));
      }),
      { seed: 13, numRuns: 60 },
    );
  });

  test('a stream gives the same packets when its chunks are lent and written over, however far each was decoded', () => {
    const stream = fc.array(packetFrom(sender, version), { minLength: 1, maxLength: 6 });
    const decoded = fc.array(fc.oneof(fc.nat(3), fc.constant(Number.POSITIVE_INFINITY)), {
      minLength: 1,
      maxLength: 10,
    });
    fc.assert(
      fc.property(stream, fc.array(fc.nat(400), { maxLength: 30 }), decoded, (packets, cuts, counts) => {
        const bytes = Buffer.concat(packets.map((packet) => encode(packet, version)));
        const decoder = receiverOf(version, sender);
        const memory = Buffer.alloc(bytes.length);
        const got: Packet[] = [];
        const take = (count: number): void => {
          for (let left = count; left > 0; left--) {
            const packet = decoder.next();
            if (packet === undefined) return;
            got.push(packet);
          }
        };
        for (const [i, chunk] of [...cut(bytes, cuts)].entries()) {
          memory.set(chunk);
          decoder.lend(memory.subarray(0, chunk.length));
          take(counts[i % counts.length] as number);
          decoder.reclaim();
          memory.fill(0xa5);
        }
        take(Number.POSITIVE_INFINITY);
        expect(got.map(plain)).toEqual(packets.map(plain));
      }),
      { seed: 14, numRuns: 250 },
    );
  });

  test('a writer gives the same bytes as encoding one by one, whatever it slices', () => {
    const turns = fc.array(fc.array(packetFrom(sender, version), { maxLength: 6 }), { maxLength: 4 });
    fc.assert(
      fc.property(turns, fc.nat(40), (turn, payloadSliceBytesMin) => {
        const writer = new PacketWriter({ version, payloadSliceBytesMin });
        // Taken chunks must stay as they are while later turns are written.
        const taken: Uint8Array[] = [];
        for (const packets of turn) {
          for (const packet of packets) expect(writer.append(packet)).toBe(true);
          const size = writer.sizeBytes;
          const chunks = writer.take();
          expect(chunks.reduce((sum, chunk) => sum + chunk.length, 0)).toBe(size);
          taken.push(...chunks);
        }
        const expected = Buffer.concat(turn.flat().map((packet) => encode(packet, version)));
        expect(Buffer.concat(taken).equals(expected)).toBe(true);
      }),
      { seed: 14, numRuns: 150 },
    );
  });
});

test.each([4, 5] as const)('CONNECT of MQTT %i', (version) => {
  fc.assert(
    fc.property(connectPacket(version), fc.array(fc.nat(100), { maxLength: 8 }), (packet: Packet, cuts) => {
      const bytes = encode(packet, version);
      expect(bytes.length).toBe(encodedSizeBytes(packet, version));
      const decoder = new Decoder({ maximumPacketSizeBytes: 1 << 20 });
      expect(decodeAll(decoder, cut(bytes, cuts)).map(plain)).toEqual([plain(packet)]);
      expect(decoder.protocolVersion).toBe(version);
    }),
    { seed: 15, numRuns: 600 },
  );
});

/** Pieces of these sizes, in a ring, each in memory of its own. */
function cut(bytes: Uint8Array, sizes: number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[i % sizes.length] as number) + 1;
    chunks.push(new Uint8Array(bytes.subarray(at, at + size)));
    at += size;
  }
  return chunks;
}
