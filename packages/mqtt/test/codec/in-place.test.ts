import { describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import type { Decoder } from '../../src/codec/decoder.ts';
import { encode } from '../../src/codec/encoder.ts';
import { BODY_ROOM_BYTES } from '../../src/codec/large-body.ts';
import { type Packet, PacketType, type PublishPacket } from '../../src/codec/packet.ts';
import { connectedDecoder, decodeAll } from './decode-all.ts';

const KIB = 1024;

function publishOf(sizeBytes: number, seed = 1): PublishPacket {
  const payload = new Uint8Array(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) payload[i] = ((i + seed) * 7919) >>> 3;
  return { type: PacketType.PUBLISH, topic: 'a/b', payload, qos: 1, retain: false, dup: false, packetId: seed };
}

function bytesOf(packets: readonly Packet[]): Uint8Array {
  return Buffer.concat(packets.map((packet) => encode(packet, 5)));
}

/** As a socket whose reads have these sizes, in turn: into the room where there is one, elsewhere as a chunk of its own or lent. */
function readAll(
  decoder: Decoder,
  stream: Uint8Array,
  sizes: readonly number[],
  lends = false,
): { packets: Packet[]; placed: number } {
  const packets: Packet[] = [];
  let placed = 0;
  const memory = Buffer.alloc(lends ? Math.min(Math.max(...sizes), stream.length) : 0);
  for (let at = 0, i = 0; at < stream.length; i++) {
    const room = decoder.room;
    const count = Math.min(
      sizes[i % sizes.length] as number,
      room?.length ?? Number.POSITIVE_INFINITY,
      stream.length - at,
    );
    const bytes = stream.subarray(at, at + count);
    at += count;
    if (room === undefined && lends) {
      memory.set(bytes);
      decoder.lend(memory.subarray(0, count));
    } else if (room === undefined) decoder.push(Uint8Array.from(bytes));
    else {
      room.set(bytes);
      decoder.filled(count);
      placed += count;
    }
    for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) packets.push(packet);
    decoder.reclaim();
    memory.fill(0xa5);
  }
  return { packets, placed };
}

describe('bytes that are read to where they belong', () => {
  const sent = [
    publishOf(10, 1),
    publishOf(70 * KIB, 2),
    { type: PacketType.PINGREQ } as Packet,
    publishOf(70 * KIB, 3),
    publishOf(90 * KIB, 4),
    publishOf(3000, 5),
    publishOf(0, 6),
  ];
  const stream = bytesOf(sent);
  const expected = decodeAll(connectedDecoder(5), [stream]);

  test('are the same packets however they are read', () => {
    const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 3 * KIB, max: 300 * KIB })), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(sizes, fc.boolean(), (sizes, lends) => {
        fc.pre(Math.max(...sizes) > KIB);
        const { packets } = readAll(connectedDecoder(5), stream, sizes, lends);
        expect(packets).toHaveLength(expected.length);
        expect(packets.findIndex((packet, i) => !isSame(packet, expected[i] as Packet))).toBe(-1);
      }),
      { numRuns: 40 },
    );
  });

  test('and wherever a read ends near the beginning or the end of a packet', () => {
    const digests = sent.map(digest);
    const ends = [0];
    for (const packet of sent) ends.push((ends.at(-1) as number) + encode(packet, 5).length);
    for (const end of ends) {
      for (let first = Math.max(1, end - 4); first <= Math.min(stream.length, end + 12); first++) {
        const decoder = connectedDecoder(5);
        const head = readAll(decoder, stream.subarray(0, first), [4 * KIB]);
        const rest = readAll(decoder, stream.subarray(first), [64 * KIB]);
        expect([...head.packets, ...rest.packets].map(digest)).toEqual(digests);
      }
    }
  });

  test('are most bytes of a large packet, and all but the first read of one that is as large as one before', () => {
    const decoder = connectedDecoder(5);
    const image = bytesOf([publishOf(256 * KIB)]);
    const first = readAll(decoder, image, [64 * KIB]);
    expect(first.placed).toBe(image.length - 128 * KIB);
    const second = readAll(decoder, image, [4 * KIB, 512 * KIB]);
    expect(second.placed).toBe(image.length - 4 * KIB);
    const [packet] = second.packets as PublishPacket[];
    expect(packet?.ownsBuffer).toBe(true);
    expect(packet?.payload.byteOffset).toBeGreaterThan(BODY_ROOM_BYTES);
    expect(decoder.assemblyBytes).toBe(0);
    expect(decoder.room).toBeUndefined();
  });
});

describe('bytes that are lent', () => {
  const acks = (count: number): Packet[] =>
    Array.from({ length: count }, (_, i) => ({
      type: PacketType.PUBACK,
      packetId: i + 1,
      reasonCode: 0,
      properties: undefined,
    }));

  test('of acknowledgements are not copied, and of others are once', () => {
    const decoder = connectedDecoder(5);
    const sent = acks(100);
    const mixed = [...acks(3), publishOf(100, 1), publishOf(100, 2), ...acks(3)];
    const [bytes, mixedBytes] = [bytesOf(sent), bytesOf(mixed)];
    expect(decoder.next()).toBeUndefined();
    const copies = jest.spyOn(Buffer, 'allocUnsafeSlow');
    try {
      expect(readAll(decoder, bytes, [400], true).packets).toEqual(sent);
      expect(copies).not.toHaveBeenCalled();
      expect(readAll(decoder, mixedBytes, [KIB], true).packets.map(digest)).toEqual(mixed.map(digest));
      expect(copies).toHaveBeenCalledTimes(1);
    } finally {
      copies.mockRestore();
    }
  });

  test('may be part of an acknowledgement as long as an image', () => {
    const userProperties = Array.from({ length: 64 }, (_, i) => [`${i}`, 'x'.repeat(2 * KIB)]).flat();
    const long: Packet = { type: PacketType.PUBACK, packetId: 7, reasonCode: 0x10, properties: { userProperties } };
    const sent = [...acks(2), long, ...acks(2)];
    for (const size of [3 * KIB, 64 * KIB, 200 * KIB]) {
      expect(readAll(connectedDecoder(5), bytesOf(sent), [size], true).packets).toEqual(sent);
    }
  });

  test('are nothing after an error', () => {
    const decoder = connectedDecoder(5);
    decoder.lend(Buffer.of(0x40, 2, 0, 0, 0x40, 2, 0, 1));
    expect(() => decoder.next()).toThrow();
    decoder.reclaim();
    decoder.lend(Buffer.of(0x40, 2, 0, 1));
    decoder.reclaim();
    expect(() => decoder.next()).toThrow();
  });
});

describe('room', () => {
  test('is nowhere before a third has come, for a length that was never shown', () => {
    const decoder = connectedDecoder(5);
    readAll(decoder, bytesOf([publishOf(100 * KIB)]), [64 * KIB]);
    const claim = bytesOf([publishOf(200 * KIB)]);
    readAll(decoder, claim.subarray(0, 60 * KIB), [4 * KIB]);
    expect(decoder.room).toBeUndefined();
    expect(decoder.assemblyBytes).toBeLessThanOrEqual(2 * 60 * KIB);
    readAll(decoder, claim.subarray(60 * KIB, 68 * KIB), [4 * KIB]);
    expect(decoder.room?.length).toBe(claim.length - 68 * KIB);
  });

  test('is nowhere while something that was pushed waits', () => {
    const decoder = connectedDecoder(5);
    const [image] = [bytesOf([publishOf(100 * KIB)])];
    decoder.push(image.subarray(0, 90 * KIB));
    expect(decoder.room).toBeUndefined();
    expect(decoder.next()).toBeUndefined();
    expect(decoder.room?.length).toBe(image.length - 90 * KIB);
    decoder.push(image.subarray(90 * KIB, 91 * KIB));
    expect(decoder.room).toBeUndefined();
  });

  test('that is full waits for whoever asks, and what is pushed behind it is the next packet', () => {
    const decoder = connectedDecoder(5);
    const image = bytesOf([publishOf(100 * KIB, 3)]);
    decoder.push(image.subarray(0, 64 * KIB));
    expect(decoder.next()).toBeUndefined();
    decoder.room?.set(image.subarray(64 * KIB));
    decoder.filled(image.length - 64 * KIB);
    expect(decoder.room).toBeUndefined();
    decoder.push(bytesOf([publishOf(5, 4)]));
    expect(digest(decoder.next() as Packet)).toEqual(digest(publishOf(100 * KIB, 3)));
    expect(digest(decoder.next() as Packet)).toEqual(digest(publishOf(5, 4)));
    expect(decoder.next()).toBeUndefined();
  });

  test('is nowhere after an error, and filling it is nothing', () => {
    const decoder = connectedDecoder(5);
    const image = bytesOf([publishOf(100 * KIB)]);
    // A topic that is not UTF-8.
    image[6] = 0xff;
    decoder.push(image.subarray(0, 64 * KIB));
    expect(decoder.next()).toBeUndefined();
    decoder.room?.set(image.subarray(64 * KIB));
    decoder.filled(image.length - 64 * KIB);
    expect(() => decoder.next()).toThrow();
    expect(decoder.room).toBeUndefined();
    decoder.filled(1);
    expect(() => decoder.next()).toThrow();
    expect(decoder.assemblyBytes).toBe(0);
  });

  test('is refused with its packet: one that is too large is none, whatever was shown', () => {
    const image = bytesOf([publishOf(100 * KIB)]);
    const decoder = connectedDecoder(5, 'server', { maximumPacketSizeBytes: image.length });
    readAll(decoder, image, [64 * KIB]);
    decoder.push(bytesOf([publishOf(101 * KIB)]).subarray(0, 8));
    expect(() => decoder.next()).toThrow();
    expect(decoder.room).toBeUndefined();
    expect(decoder.assemblyBytes).toBe(0);
  });
});

function isSame(a: Packet, b: Packet): boolean {
  if (a.type !== PacketType.PUBLISH || b.type !== PacketType.PUBLISH) return a.type === b.type;
  const isHead = a.topic === b.topic && a.packetId === b.packetId && a.qos === b.qos && a.dup === b.dup;
  return isHead && Buffer.compare(a.payload, b.payload) === 0;
}

/** A few bytes of a payload and its length: to compare all of it a thousand times takes seconds. */
function digest(packet: Packet): unknown {
  if (packet.type !== PacketType.PUBLISH) return packet.type;
  const { payload, packetId } = packet;
  return [packetId, payload.length, ...[0, 1, 4090, 4095, 4096, 65_530, -9, -1].map((at) => payload.at(at))];
}
