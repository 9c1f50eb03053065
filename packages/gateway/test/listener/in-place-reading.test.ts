import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type Packet, PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import type { ByteSink } from '../../src/connection/byte-channel.ts';
import { SocketChannel } from '../../src/listener/tcp-listener.ts';
import { until } from '../doubles/test-gateway.ts';

const KIB = 1024;
/** A stream's high-water mark, and the read that goes over it. */
const HELD_BYTES_MAX = (64 + 64) * KIB;

/** Takes packets as a connection does, and counts how their bytes came. */
class CountingSink implements ByteSink {
  readonly pieceBytesMax = Number.POSITIVE_INFINITY;
  readonly packets: Packet[] = [];
  pushed = 0;
  lentBytes = 0;
  placed = 0;
  isClosed = false;
  /** Looked at after each read. */
  afterRead: () => unknown = () => {};
  readonly decoder = new Decoder({ maximumPacketSizeBytes: 10 * KIB * KIB });

  get room(): Uint8Array | undefined {
    return this.decoder.room;
  }
  bytes(chunk: Uint8Array): void {
    this.pushed += chunk.length;
    this.decoder.push(chunk);
    this.#take();
  }
  lent(chunk: Buffer): void {
    this.pushed += chunk.length;
    this.lentBytes += chunk.length;
    this.decoder.lend(chunk);
    this.#take();
    this.decoder.reclaim();
  }
  filled(count: number): void {
    this.placed += count;
    this.decoder.filled(count);
    this.#take();
  }
  #take(): void {
    for (let packet = this.decoder.next(); packet !== undefined; packet = this.decoder.next())
      this.packets.push(packet);
    this.afterRead();
  }
  misused(): void {}
  drained(): void {}
  closed(): void {
    this.isClosed = true;
  }
}

function payloadOf(sizeBytes: number, seed: number): Uint8Array {
  const payload = new Uint8Array(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) payload[i] = ((i + seed) * 7919) >>> 3;
  return payload;
}

function imageOf(sizeBytes: number, seed: number): Buffer {
  const payload = payloadOf(sizeBytes, seed);
  return encode(
    { type: PacketType.PUBLISH, topic: 'a', payload, qos: 1, retain: false, dup: false, packetId: seed },
    5,
  ) as Buffer;
}

const HELLO = encode(
  { type: PacketType.CONNECT, protocolVersion: 5, clientId: 'c', cleanStart: true, keepAliveS: 0 },
  5,
) as Buffer;
const PING = encode({ type: PacketType.PINGREQ }, 5) as Buffer;

let isReadInPlace = true;
let server: Server;
const clients: Socket[] = [];
let accepted: { channel: SocketChannel; sink: CountingSink; socket: Socket }[];

async function client(): Promise<{ socket: Socket; sink: CountingSink; channel: SocketChannel; served: Socket }> {
  const socket = connect((server.address() as { port: number }).port, '127.0.0.1');
  socket.on('error', () => {});
  clients.push(socket);
  const count = accepted.length;
  await until(() => accepted.length > count);
  const { channel, sink, socket: served } = accepted[count]!;
  socket.write(HELLO);
  await until(() => sink.packets.length === 1);
  return { socket, sink, channel, served };
}

beforeEach(async () => {
  accepted = [];
  server = createServer((socket) => {
    const sink = new CountingSink();
    const peer = { host: '127.0.0.1', port: 0, certificate: undefined };
    const channel = new SocketChannel(socket, { peer, transport: 'tcp', wire: socket, isReadInPlace });
    accepted.push({ channel, sink, socket });
    channel.open(sink);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  for (const { channel } of accepted) channel.destroy();
  for (const socket of clients) socket.destroy();
  // Only comes when the server knows that each of its connections is gone.
  await new Promise((resolve) => server.close(resolve));
});

describe.each([true, false])('a client that sends large packets, read in place: %s', (inPlace) => {
  beforeEach(() => {
    isReadInPlace = inPlace;
  });
  /** Nothing else may differ. */
  const expectPlaced = (sink: CountingSink, bytesMin: number): void => {
    if (inPlace) expect(sink.placed).toBeGreaterThan(bytesMin);
    else expect(sink.placed).toBe(0);
  };

  test('has them read to where they belong, and small ones around them as ever', async () => {
    const { socket, sink } = await client();
    const images = [256, 256, 300, 100, 1000].map((size, i) => imageOf(size * KIB, i + 1));
    for (const image of images) {
      const before = sink.packets.length;
      socket.write(Buffer.concat([PING, image, PING, PING]));
      await until(() => sink.packets.length === before + 4);
    }
    const publishes = sink.packets.filter(({ type }) => type === PacketType.PUBLISH);
    expect(publishes.map(isWhole)).toEqual(images.map(() => true));
    expect(sink.packets.map(({ type }) => type).filter((type) => type === PacketType.PINGREQ)).toHaveLength(15);
    const all = images.reduce((sum, image) => sum + image.length, 0);
    expectPlaced(sink, all / 2);
    expect(sink.pushed + sink.placed).toBe(all + 15 * PING.length + HELLO.length);
  });

  test('is read no further than a stream holds while it is paused in the middle of one, and goes on where it was', async () => {
    const { socket, sink, channel, served } = await client();
    socket.write(imageOf(300 * KIB, 1));
    await until(() => sink.packets.length === 2);
    for (let seed = 2; seed < 8; seed += 2) {
      const [one, other] = [imageOf(1000 * KIB, seed), imageOf(3000 * KIB, seed + 1)];
      const begun = served.bytesRead;
      socket.write(one.subarray(0, 500 * KIB));
      await until(() => served.bytesRead - begun === 500 * KIB);
      channel.pause();
      socket.write(Buffer.concat([one.subarray(500 * KIB), other]));
      await until(() => served.readableLength > 0);
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      // The room that was given may be filled, and then it is as with any stream.
      expect(served.bytesRead - begun).toBeLessThanOrEqual(one.length + HELD_BYTES_MAX);
      channel.resume();
      await until(() => sink.packets.length === seed + 2);
      expect(sink.packets.slice(-2).every(isWhole)).toBe(true);
    }
    expectPlaced(sink, 3 * 1000 * KIB);
  });

  test.each([
    ['read', 'end'],
    ['read', 'destroy'],
    ['read', 'resetAndDestroy'],
    ['paused', 'end'],
    ['paused', 'destroy'],
    ['paused', 'resetAndDestroy'],
  ] as const)('may stop midway, %s, by %s: the end is told and nothing is held', async (state, leave) => {
    const { socket, sink, channel } = await client();
    socket.write(imageOf(300 * KIB, 1));
    await until(() => sink.packets.length === 2);
    socket.write(imageOf(300 * KIB, 2).subarray(0, 200 * KIB));
    await until(() => sink.pushed + sink.placed >= HELLO.length + imageOf(300 * KIB, 1).length + 200 * KIB);
    expect(sink.decoder.assemblyBytes).toBeGreaterThan(300 * KIB);
    if (state === 'paused') channel.pause();
    socket[leave]();
    await until(() => sink.isClosed);
    expect(sink.packets).toHaveLength(2);
  });

  test('is found to be gone by a probe, when it left more behind than is read while it is paused', async () => {
    const { socket, sink, channel } = await client();
    socket.write(imageOf(300 * KIB, 1));
    await until(() => sink.packets.length === 2);
    channel.pause();
    socket.write(imageOf(300 * KIB, 2));
    await until(() => socket.writableLength === 0);
    channel.probe();
    expect(sink.isClosed).toBe(false);
    socket.resetAndDestroy();
    await until(() => {
      channel.probe();
      return sink.isClosed;
    });
    expect(sink.packets).toHaveLength(2);
  });

  test('has small ones read past the stream, each client its own, also while some are paused now and then', async () => {
    const three = [await client(), await client(), await client()];
    const rounds = 400;
    const streams = three.map((_, i) => {
      const packets = Array.from({ length: rounds }, (_, round) => {
        const ack = encode({ type: PacketType.PUBACK, packetId: round + 1, reasonCode: 0, properties: undefined }, 5);
        return [ack as Buffer, imageOf((round * 37) % 300, 1000 * (i + 1) + round)];
      });
      return Buffer.concat(packets.flat());
    });
    for (let at = 0; at < (streams[0] as Buffer).length; at += 311) {
      for (const [i, { socket, channel }] of three.entries()) {
        socket.write((streams[i] as Buffer).subarray(at, at + 311));
        if (at % 5 === i) channel.pause();
        else channel.resume();
      }
      await new Promise(setImmediate);
    }
    for (const { channel } of three) channel.resume();
    await until(() => three.every(({ sink }) => sink.packets.length === 2 * rounds + 1));
    for (const [i, { sink }] of three.entries()) {
      const publishes = sink.packets.filter(({ type }) => type === PacketType.PUBLISH) as PublishPacket[];
      const ids = Array.from({ length: rounds }, (_, round) => 1000 * (i + 1) + round);
      expect(publishes.map(({ packetId }) => packetId)).toEqual(ids);
      expect(publishes.every(isWhole)).toBe(true);
      expect(sink.placed).toBe(0);
      if (inPlace) expect(sink.lentBytes).toBeGreaterThan(0);
      else expect(sink.lentBytes).toBe(0);
    }
  });

  test('that is done with large ones has its acknowledgements read past the stream again', async () => {
    const { socket, sink } = await client();
    socket.write(imageOf(300 * KIB, 1));
    await until(() => sink.packets.length === 2);
    for (let round = 0; round < 5; round++) {
      const before = sink.lentBytes;
      socket.write(PING);
      await until(() => sink.packets.length === 3 + round);
      expect(sink.lentBytes - before).toBe(inPlace ? PING.length : 0);
    }
  });

  test('never gets bytes of another one that is read between its own', async () => {
    const three = [await client(), await client(), await client()];
    const rounds = 12;
    for (const [i, { socket }] of three.entries()) {
      for (let round = 1; round <= rounds; round++) {
        const image = imageOf(70 * KIB + 1000 * round, 100 * (i + 1) + round);
        // In uneven pieces, so that reads of all three fall between each other.
        for (let at = 0; at < image.length; at += 9973) socket.write(image.subarray(at, at + 9973));
      }
    }
    await until(() => three.every(({ sink }) => sink.packets.length === rounds + 1));
    for (const [i, { sink }] of three.entries()) {
      const publishes = sink.packets.slice(1) as PublishPacket[];
      expect(publishes.map(({ packetId }) => packetId)).toEqual(
        Array.from({ length: rounds }, (_, round) => 100 * (i + 1) + round + 1),
      );
      expect(publishes.every(isWhole)).toBe(true);
      expectPlaced(sink, 0);
    }
  });
});

/** Whether it carries what its number says. */
function isWhole(packet: Packet | undefined): boolean {
  const { packetId, payload } = packet as PublishPacket;
  return Buffer.compare(payload, payloadOf(payload.length, packetId)) === 0;
}
