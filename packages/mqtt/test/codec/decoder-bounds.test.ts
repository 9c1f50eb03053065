import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Decoder, PACKET_LIMITS, PRE_CONNECT_BYTES_MAX } from '../../src/codec/decoder.ts';
import { encode } from '../../src/codec/encoder.ts';
import { BODY_ROOM_BYTES, LargeBody } from '../../src/codec/large-body.ts';
import type { ConnectPacket, PublishPacket } from '../../src/codec/packet.ts';
import { PacketType } from '../../src/codec/packet.ts';
import { MqttProtocolError } from '../../src/codec/protocol-error.ts';
import { ReasonCode } from '../../src/codec/reason-code.ts';
import type { TextBytes } from '../../src/codec/utf8.ts';
import { connectedDecoder, decodeAll } from './decode-all.ts';

const MIB = 1024 * 1024;

function refusal(run: () => unknown): number {
  try {
    run();
  } catch (error) {
    if (error instanceof MqttProtocolError) return error.reasonCode;
    throw error;
  }
  return 0;
}

function connectWithWill(willBytes: number): ConnectPacket {
  const will = { topic: 'w', payload: new Uint8Array(willBytes), qos: 0 as const, retain: false };
  return { type: PacketType.CONNECT, protocolVersion: 4, clientId: 'c', cleanStart: true, keepAliveS: 0, will };
}

function publishOf(payload: Uint8Array): PublishPacket {
  return { type: PacketType.PUBLISH, topic: 'a', payload, qos: 0, retain: false, dup: false, packetId: 0 };
}

/** Of all `ArrayBuffer`s that somebody refers to. */
function memoryOfBuffers(): () => number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  return () => {
    collect();
    collect();
    return process.memoryUsage().arrayBuffers;
  };
}

describe('what an announced length costs', () => {
  test('256 MB announced: nothing is allocated until bytes arrive, and then in proportion to them', () => {
    const decoder = connectedDecoder(4, 'server', { maximumPacketSizeBytes: 300 * MIB });
    decodeAll(decoder, [Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f)]);
    expect(decoder.assemblyBytes).toBe(0);
    decodeAll(decoder, [Uint8Array.of(0)]);
    expect(decoder.assemblyBytes).toBeLessThanOrEqual(1024);
    for (let received = 1; received < 4 * MIB; received += 64 * 1024) {
      expect(decoder.assemblyBytes).toBeLessThanOrEqual(Math.max(1024, 4 * received));
      decodeAll(decoder, [new Uint8Array(64 * 1024)]);
    }
  });

  test('a thousand decoders that hold a claim each hold next to no memory', () => {
    const before = process.memoryUsage().arrayBuffers;
    const claim = Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f, 0x00);
    const decoders = Array.from({ length: 1000 }, () => {
      const decoder = connectedDecoder(4, 'server', { maximumPacketSizeBytes: 300 * MIB });
      decodeAll(decoder, [claim]);
      return decoder;
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * MIB);
    expect(decoders).toHaveLength(1000);
  });

  test('a split packet ends in a buffer of exactly its size', () => {
    const payload = Uint8Array.from({ length: 60_000 }, (_, i) => i * 7);
    const bytes = encode(publishOf(payload), 4);
    const decoder = connectedDecoder(4);
    const chunks = Array.from({ length: Math.ceil(bytes.length / 1000) }, (_, i) =>
      bytes.subarray(i * 1000, i * 1000 + 1000),
    );
    const [packet] = decodeAll(decoder, chunks) as PublishPacket[];
    expect(Buffer.from(packet!.payload).equals(payload)).toBe(true);
    expect(packet!.payload.buffer.byteLength).toBe(bytes.length - 4);
    expect(decoder.assemblyBytes).toBe(0);
  });

  test('a large packet ends, however it was split, in a buffer of its own with room in front', () => {
    const payload = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) >>> 3);
    const small = encode(publishOf(Uint8Array.of(1, 2, 3)), 4);
    const large = encode(publishOf(payload), 4);
    const stream = Buffer.concat([small, large, small]);
    const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 3000, max: 65_536 })), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(sizes, (sizes) => {
        const decoder = connectedDecoder(4);
        const packets: PublishPacket[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const end = Math.min(stream.length, at + (sizes[i % sizes.length] as number));
          // As a socket gives them: each in a block of its own.
          packets.push(...(decodeAll(decoder, [Uint8Array.from(stream.subarray(at, end))]) as PublishPacket[]));
          expect(decoder.assemblyBytes).toBeLessThanOrEqual(4 * end + 16 * 1024);
          at = end;
        }
        expect(packets.map(({ payload }) => payload.length)).toEqual([3, payload.length, 3]);
        const packet = packets[1] as PublishPacket;
        expect(Buffer.from(packet.payload).equals(payload)).toBe(true);
        expect(packet.ownsBuffer).toBe(true);
        expect(packet.payload.byteOffset + packet.payload.length).toBe(packet.payload.buffer.byteLength);
        expect(packet.payload.byteOffset).toBeGreaterThan(BODY_ROOM_BYTES);
        expect(packets[0]?.ownsBuffer).toBeUndefined();
        expect(decoder.assemblyBytes).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('of a large packet no more is kept than has come until that is a third, and moved with what comes then', () => {
    const chunk = (value: number): TextBytes => Buffer.alloc(10_000, value) as unknown as TextBytes;
    const body = new LargeBody(90_000);
    const held: number[] = [];
    for (let i = 0; i < 9; i++) {
      body.add(chunk(i), 0, 10_000);
      held.push(body.heldBytes);
    }
    const whole = 90_000 + BODY_ROOM_BYTES;
    expect(held).toEqual([10_000, 20_000, whole + 10_000, ...Array.from({ length: 6 }, () => whole)]);
    const bytes = body.whole();
    expect(Array.from({ length: 9 }, (_, i) => bytes[BODY_ROOM_BYTES + i * 10_000 + 9_999])).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8,
    ]);
  });

  test('what is held is the memory that is kept alive, whatever a peer sends in turns', () => {
    const memory = memoryOfBuffers();
    const body = new LargeBody(256 * MIB);
    const before = memory();
    const rounds = 500;
    for (let i = 0; i < rounds; i++) {
      // One byte has to be gathered; the piece after it ends that, and is the smallest that keeps its chunk.
      body.add(Buffer.alloc(1) as unknown as TextBytes, 0, 1);
      body.add(Buffer.from(new ArrayBuffer(16 * 1024)) as unknown as TextBytes, 0, 4 * 1024);
    }
    const received = rounds * (4 * 1024 + 1);
    expect(memory() - before).toBeLessThan(body.heldBytes + MIB);
    expect(body.heldBytes).toBeLessThanOrEqual(4 * received + 16 * 1024);
  });

  test('a small part of a chunk does not keep the chunk', () => {
    const decoder = connectedDecoder(4, 'server', { maximumPacketSizeBytes: MIB });
    const large = encode(publishOf(new Uint8Array(300_000)), 4);
    const small = encode(publishOf(new Uint8Array(50_000)), 4);
    const chunk = Buffer.concat([small, large.subarray(0, 8000)]);
    const [packet] = decodeAll(decoder, [chunk]) as PublishPacket[];
    expect(packet?.payload.length).toBe(50_000);
    // Changed after it was decoded: what was kept of it is not in it any more.
    chunk.fill(255);
    const rest: PublishPacket[] = [];
    for (let at = 8000; at < large.length; at += 65_536) {
      rest.push(...(decodeAll(decoder, [large.subarray(at, at + 65_536)]) as PublishPacket[]));
    }
    expect(Buffer.from(rest[0]?.payload as Uint8Array).equals(Buffer.alloc(300_000))).toBe(true);
  });

  test('a packet within one chunk is not copied', () => {
    const chunk = encode(publishOf(Uint8Array.of(1, 2, 3)), 4);
    const [packet] = decodeAll(connectedDecoder(4), [chunk]) as PublishPacket[];
    expect(packet!.payload.buffer).toBe(chunk.buffer);
    expect(packet!.payload.byteOffset).toBe(chunk.byteOffset + chunk.length - 3);
  });

  test('what a CONNECT carries is copied: a session outlives the chunk', () => {
    const chunk = encode(connectWithWill(10), 4);
    const [packet] = decodeAll(new Decoder({ maximumPacketSizeBytes: MIB }), [chunk]) as ConnectPacket[];
    expect(packet!.will!.payload.buffer).not.toBe(chunk.buffer);
  });
});

describe('before CONNECT', () => {
  test('a CONNECT above 16 KiB is refused by its fixed header alone', () => {
    expect(PRE_CONNECT_BYTES_MAX).toBe(16 * 1024);
    const bytes = encode(connectWithWill(16 * 1024), 4);
    const decoder = new Decoder({ maximumPacketSizeBytes: MIB });
    expect(refusal(() => decodeAll(decoder, [bytes.subarray(0, 4)]))).toBe(ReasonCode.PACKET_TOO_LARGE);
    expect(decoder.assemblyBytes).toBe(0);
  });

  test('one of exactly the bound is taken, one byte more is not', () => {
    // The larger remaining length takes a byte more.
    const head = encode(connectWithWill(0), 4).length + 1;
    const fitting = encode(connectWithWill(16 * 1024 - head), 4);
    expect(fitting.length).toBe(16 * 1024);
    const decoder = new Decoder({ maximumPacketSizeBytes: MIB });
    expect(decodeAll(decoder, [fitting.subarray(0, 9000), fitting.subarray(9000)])).toHaveLength(1);
    const above = encode(connectWithWill(16 * 1024 - head + 1), 4);
    expect(refusal(() => decodeAll(new Decoder({ maximumPacketSizeBytes: MIB }), [above]))).toBe(0x95);
  });

  test('a larger will is possible up to the option, but not beyond the maximum packet size', () => {
    const bytes = encode(connectWithWill(60_000), 4);
    const options = { maximumPacketSizeBytes: MIB, preConnectBytesMax: 64 * 1024 };
    expect(decodeAll(new Decoder(options), [bytes])).toHaveLength(1);
    expect(refusal(() => decodeAll(new Decoder({ ...options, maximumPacketSizeBytes: 50_000 }), [bytes]))).toBe(0x95);
  });

  test('a stranger who trickles never holds more than the bound', () => {
    const bytes = encode(connectWithWill(16_000), 4);
    const decoder = new Decoder({ maximumPacketSizeBytes: MIB });
    for (const byte of bytes.subarray(0, -1)) {
      decodeAll(decoder, [Uint8Array.of(byte)]);
      expect(decoder.assemblyBytes).toBeLessThanOrEqual(PRE_CONNECT_BYTES_MAX);
    }
    expect(decodeAll(decoder, [bytes.subarray(-1)])).toHaveLength(1);
  });

  test('packets that follow the CONNECT in one chunk are held to the larger bound', () => {
    const bytes = [encode(connectWithWill(0), 4), encode(publishOf(new Uint8Array(100_000)), 4)];
    expect(decodeAll(new Decoder({ maximumPacketSizeBytes: MIB }), [Buffer.concat(bytes)])).toHaveLength(2);
  });
});

describe('the other bounds', () => {
  test('maximum packet size counts the whole packet', () => {
    const bytes = encode(publishOf(new Uint8Array(200)), 4);
    const taken = connectedDecoder(4, 'server', { maximumPacketSizeBytes: bytes.length });
    expect(decodeAll(taken, [bytes])).toHaveLength(1);
    const refused = connectedDecoder(4, 'server', { maximumPacketSizeBytes: bytes.length - 1 });
    expect(refusal(() => decodeAll(refused, [bytes.subarray(0, 3)]))).toBe(ReasonCode.PACKET_TOO_LARGE);
  });

  test('maximum packet size holds for the smallest packets too', () => {
    const decoder = new Decoder({ maximumPacketSizeBytes: 15 });
    decodeAll(decoder, [encode({ ...connectWithWill(0), will: undefined }, 4)]);
    expect(decodeAll(decoder, [encode(publishOf(new Uint8Array(10)), 4)])).toHaveLength(1);
    expect(refusal(() => decodeAll(decoder, [encode(publishOf(new Uint8Array(11)), 4)]))).toBe(0x95);
  });

  test('levels of topics and filters', () => {
    const topic = Uint8Array.of(0x30, 7, 0, 5, ...Buffer.from('a/b/c'));
    expect(
      decodeAll(connectedDecoder(4, 'server', { limits: { ...PACKET_LIMITS, topicLevelsMax: 3 } }), [topic]),
    ).toHaveLength(1);
    expect(
      refusal(() =>
        decodeAll(connectedDecoder(4, 'server', { limits: { ...PACKET_LIMITS, topicLevelsMax: 2 } }), [topic]),
      ),
    ).toBe(0x90);
    const filter = Uint8Array.of(0x82, 10, 0, 1, 0, 5, ...Buffer.from('a/+/c'), 0);
    expect(
      decodeAll(connectedDecoder(4, 'server', { limits: { ...PACKET_LIMITS, topicLevelsMax: 3 } }), [filter]),
    ).toHaveLength(1);
    expect(
      refusal(() =>
        decodeAll(connectedDecoder(4, 'server', { limits: { ...PACKET_LIMITS, topicLevelsMax: 2 } }), [filter]),
      ),
    ).toBe(0x8f);
  });

  test('user properties and filters of one packet', () => {
    const userProperties = Array.from({ length: 8 }, (_, i) => `${i}`);
    const publish = encode({ ...publishOf(new Uint8Array(0)), properties: { userProperties } }, 5);
    expect(
      decodeAll(connectedDecoder(5, 'server', { limits: { ...PACKET_LIMITS, userPropertiesMax: 4 } }), [publish]),
    ).toHaveLength(1);
    expect(
      refusal(() =>
        decodeAll(connectedDecoder(5, 'server', { limits: { ...PACKET_LIMITS, userPropertiesMax: 3 } }), [publish]),
      ),
    ).toBe(0x97);
    const filters = encode({ type: PacketType.UNSUBSCRIBE, packetId: 1, filters: ['a', 'b', 'c'] }, 4);
    expect(
      decodeAll(connectedDecoder(4, 'server', { limits: { ...PACKET_LIMITS, filtersMax: 3 } }), [filters]),
    ).toHaveLength(1);
    expect(
      refusal(() =>
        decodeAll(connectedDecoder(4, 'server', { limits: { ...PACKET_LIMITS, filtersMax: 2 } }), [filters]),
      ),
    ).toBe(0x97);
  });

  test('short and long runs of user properties, and strings that are not ASCII among them, do not mix', () => {
    const runs = [
      ['a', 'b'],
      ['k', 'v'.repeat(600)],
      ['c', 'd'],
      ['é', 'ü', 'x', '', '', 'y'],
      ['k', 'w'.repeat(600)],
    ];
    const bytes = runs.map((userProperties) =>
      encode({ ...publishOf(new Uint8Array(0)), properties: { contentType: 'text', userProperties } }, 5),
    );
    const packets = decodeAll(connectedDecoder(5), [Buffer.concat(bytes)]) as PublishPacket[];
    expect(packets.map((packet) => packet.properties!.userProperties)).toEqual(runs);
  });

  test('8000 user properties keep their order', () => {
    const userProperties = Array.from({ length: 16_000 }, (_, i) => `k${i % 7}-${i}`);
    const bytes = encode({ ...publishOf(new Uint8Array(0)), properties: { userProperties } }, 5);
    const [packet] = decodeAll(connectedDecoder(5), [bytes]) as PublishPacket[];
    expect(packet!.properties!.userProperties).toEqual(userProperties);
  });
});

test('topics that repeat, alternate and resemble each other come out right', () => {
  const topics = ['a/b', 'a/b', 'a/c', 'x/b', 'a/b', 'ä', 'a/bc', 'ä', 'ä', 't'.repeat(128), 't'.repeat(129), 'a/b'];
  const bytes = topics.map((topic) => encode({ ...publishOf(new Uint8Array(1)), topic }, 4));
  const packets = decodeAll(connectedDecoder(4), [Buffer.concat(bytes)]) as PublishPacket[];
  expect(packets.map((packet) => packet.topic)).toEqual(topics);
});
