import { describe, expect, jest, test } from '@jest/globals';
import { encode, encodedSizeBytes } from '../../src/codec/encoder.ts';
import type { AckPacket, Packet, PublishPacket } from '../../src/codec/packet.ts';
import { PacketType } from '../../src/codec/packet.ts';
import { fitPacket } from '../../src/codec/packet-fit.ts';
import { CHUNK_BYTES_MAX, PacketWriter } from '../../src/codec/packet-writer.ts';

function publishOf(payload: Uint8Array): PublishPacket {
  return { type: PacketType.PUBLISH, topic: 'a/b', payload, qos: 1, retain: false, dup: false, packetId: 9 };
}

describe('chunks', () => {
  test('nothing appended, nothing to write', () => {
    expect(new PacketWriter().take()).toEqual([]);
  });

  test('small packets share one chunk', () => {
    const writer = new PacketWriter({ version: 5 });
    for (let i = 1; i <= 1000; i++) writer.ack(PacketType.PUBACK, i);
    const chunks = writer.take();
    expect(chunks).toHaveLength(1);
    expect(chunks[0]).toHaveLength(4000);
    expect(writer.sizeBytes).toBe(0);
  });

  test('a turn like the one before has a buffer of exactly its size', () => {
    const writer = new PacketWriter({ version: 5 });
    const packet = publishOf(new Uint8Array(100));
    writer.append(packet);
    const [first] = writer.take() as [Uint8Array];
    const allocated = jest.spyOn(Buffer, 'allocUnsafe');
    try {
      writer.append(packet);
      expect(writer.take()).toEqual([first]);
      expect(allocated.mock.calls).toEqual([[first.length]]);
    } finally {
      allocated.mockRestore();
    }
  });

  test('a large payload is passed on, not copied, and order is kept around it', () => {
    const payload = new Uint8Array(8192).fill(7);
    const writer = new PacketWriter({ version: 5 });
    const packets: Packet[] = [publishOf(new Uint8Array(8191)), publishOf(payload), { type: PacketType.PINGRESP }];
    for (const packet of packets) writer.append(packet);
    const chunks = writer.take();
    expect(chunks).toHaveLength(3);
    expect(chunks[1]).toBe(payload);
    expect(Buffer.concat(chunks).equals(Buffer.concat(packets.map((each) => encode(each, 5))))).toBe(true);
  });

  test('a chunk is closed at its bound, and a packet above it has one of its own', () => {
    const writer = new PacketWriter({ payloadSliceBytesMin: 1 << 20 });
    const packets = [30_000, 30_000, 30_000, 200_000, 1].map((size) => publishOf(new Uint8Array(size)));
    for (const packet of packets) writer.append(packet);
    const chunks = writer.take();
    expect(chunks.length).toBeLessThanOrEqual(4);
    expect(chunks[0]!.length).toBeLessThanOrEqual(CHUNK_BYTES_MAX);
    expect(Buffer.concat(chunks).equals(Buffer.concat(packets.map((each) => encode(each, 4))))).toBe(true);
  });
});

describe('acknowledgements without an object', () => {
  const types = [PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP];
  test.each(types)('type %i is written as by encode', (type) => {
    for (const version of [4, 5] as const) {
      for (const reasonCode of [0, 0x92]) {
        const writer = new PacketWriter({ version });
        writer.ack(type, 0xabcd, reasonCode);
        const packet: AckPacket = { type, packetId: 0xabcd, reasonCode };
        expect(Buffer.concat(writer.take()).equals(encode(packet, version))).toBe(true);
      }
    }
  });
});

describe("the peer's maximum packet size", () => {
  const reasonString = 'the queue is full';
  const bare: AckPacket = { type: PacketType.PUBACK, packetId: 1, reasonCode: 0x97 };
  const explained: AckPacket = { ...bare, properties: { reasonString } };
  const full: AckPacket = { ...bare, properties: { reasonString, userProperties: ['queue', 'orders'] } };

  test('user properties go first, then the reason string', () => {
    const sizes = [full, explained, bare].map((packet) => encodedSizeBytes(packet, 5));
    expect(fitPacket(full, 5, sizes[0]!)).toBe(full);
    expect(encode(fitPacket(full, 5, sizes[0]! - 1)!, 5)).toEqual(encode(explained, 5));
    expect(encode(fitPacket(full, 5, sizes[1]! - 1)!, 5)).toEqual(encode(bare, 5));
    expect(fitPacket(full, 5, sizes[2]! - 1)).toBeUndefined();
    expect(full.properties!.userProperties).toHaveLength(2);
  });

  test('what cannot be cut stays', () => {
    const connack: Packet = {
      type: PacketType.CONNACK,
      sessionPresent: false,
      reasonCode: 0,
      properties: { receiveMaximum: 10, userProperties: ['a', 'b'] },
    };
    const cut = fitPacket(connack, 5, 10);
    expect(cut).toEqual({ ...connack, properties: { receiveMaximum: 10 } });
    expect(fitPacket(connack, 5, 4)).toBeUndefined();
  });

  test('a writer drops a PUBLISH that is too large, whole, and says so', () => {
    const packet = publishOf(new Uint8Array(100));
    const peerMaximumPacketSizeBytes = encodedSizeBytes(packet, 5) - 1;
    const writer = new PacketWriter({ version: 5, peerMaximumPacketSizeBytes });
    expect(writer.append(packet)).toBe(false);
    expect(writer.append({ ...packet, properties: { userProperties: ['a', 'b'] }, payload: new Uint8Array(80) })).toBe(
      true,
    );
    expect(writer.append(full)).toBe(true);
    expect(writer.take()).toHaveLength(1);
  });

  test('a writer cuts acknowledgements', () => {
    const writer = new PacketWriter({ version: 5, peerMaximumPacketSizeBytes: 5 });
    expect(writer.append(full)).toBe(true);
    expect(Buffer.concat(writer.take()).equals(encode(bare, 5))).toBe(true);
    writer.peerMaximumPacketSizeBytes = 4;
    expect(writer.append(full)).toBe(false);
    expect(writer.ack(PacketType.PUBACK, 1, 0x97)).toBe(false);
    expect(writer.take()).toEqual([]);
  });
});

test('what does not fit MQTT throws, and leaves nothing behind', () => {
  const writer = new PacketWriter({ version: 5 });
  const packet = { ...publishOf(new Uint8Array(1)), topic: 't'.repeat(65_536) };
  expect(() => writer.append(packet)).toThrow(expect.objectContaining({ code: 'MQTT_STRING_TOO_LONG' }));
  expect(writer.sizeBytes).toBe(0);
  const payload = new Uint8Array(new ArrayBuffer(0x1000_0000));
  expect(() => encode(publishOf(payload), 4)).toThrow(expect.objectContaining({ code: 'MQTT_PACKET_TOO_LONG' }));
});

test('strings around the writing loop, and those with lone surrogates', () => {
  for (const text of ['', 'x'.repeat(47), 'x'.repeat(48), 'x'.repeat(49), `${'x'.repeat(47)}é`, 'é'.repeat(60)]) {
    const bytes = encode({ ...publishOf(new Uint8Array(0)), topic: text, qos: 0 }, 4);
    expect(Buffer.from(bytes.subarray(bytes.length - Buffer.byteLength(text))).toString()).toBe(text);
  }
  // Bytes that no peer may refuse stand for what has no encoding.
  const bytes = encode({ ...publishOf(new Uint8Array(0)), topic: 'a\ud800b', qos: 0 }, 4);
  expect(Buffer.from(bytes).toString('hex')).toBe('300700056 1efbfbd62'.replaceAll(' ', ''));
});
