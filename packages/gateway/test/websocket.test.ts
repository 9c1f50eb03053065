import { get } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type Packet, PacketType } from '@sluice/mqtt/codec/packet';
import { WebSocket } from 'ws';
import { TestGateway, until } from './doubles/test-gateway.ts';

let gateway: TestGateway;
const sockets: WebSocket[] = [];
beforeEach(async () => {
  gateway = await TestGateway.start({ maximumPacketSizeBytes: 100_000 });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await gateway.stop();
});

const CONNECT = encode(
  { type: PacketType.CONNECT, protocolVersion: 5, clientId: 'x', cleanStart: true, keepAliveS: 0 },
  5,
);
const PING = encode({ type: PacketType.PINGREQ }, 5);

async function open(path = '/mqtt', protocols: string[] = ['mqtt']): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.wsPort}${path}`, protocols);
  sockets.push(socket);
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  return socket;
}

function packetsOf(socket: WebSocket): Packet[] {
  const packets: Packet[] = [];
  const decoder = new Decoder({ maximumPacketSizeBytes: 1e8, role: 'client' });
  decoder.protocolVersion = 5;
  socket.on('message', (data: Buffer) => {
    decoder.push(data);
    for (let p = decoder.next(); p !== undefined; p = decoder.next()) packets.push(p);
  });
  return packets;
}

const closeCode = (socket: WebSocket): Promise<number> => new Promise((resolve) => socket.once('close', resolve));

describe('the handshake', () => {
  test('the sub-protocol is answered, compression is not', async () => {
    const socket = await open('/mqtt', ['mqttv3.1', 'mqtt']);
    expect(socket.protocol).toBe('mqtt');
    expect(socket.extensions).toBe('');
  });

  test.each(['mqttv3.1', 'mqtt-v3', 'mqtt-v3.1.1', 'mqtt-v5'])(
    'who knows MQTT as %s alone is answered so',
    async (name) => {
      expect((await open('/mqtt', ['chat', name])).protocol).toBe(name);
    },
  );

  test.each([
    ['another path', '/', ['mqtt'], 404],
    ['no sub-protocol', '/mqtt', [], 400],
    ['another sub-protocol', '/mqtt', ['chat'], 400],
  ])('%s is refused', async (_name, path, protocols, status) => {
    await expect(open(path, protocols)).rejects.toThrow(String(status));
    const why = `path ${path}, sub-protocols ${protocols[0] ?? 'none'}, origin none`;
    expect(gateway.details).toContainEqual(
      expect.objectContaining({ peer: expect.stringContaining('127.0.0.1:'), why }),
    );
  });

  test.each([
    ['refused', 'GET / HTTP/1.1\r\nSec-WebSocket-Protocol: mqtt\r\n', '404'],
    ['malformed', 'GET /mqtt HTTP/1.1\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 1\r\n', '400'],
  ])(
    'whoever is %s and does not hang up is hung up on: nobody counts him as a connection',
    async (_name, head, status) => {
      await gateway.stop();
      gateway = await TestGateway.start({ connectTimeoutMs: 300 });
      const socket = connect({ port: gateway.wsPort, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => {});
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.write(`${head}Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
      const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
      expect(answer.toString()).toContain(status);
      // Its own end stays open: what it goes on to write finds nobody.
      const writing = setInterval(() => socket.write('x'), 10);
      await closed;
      clearInterval(writing);
    },
  );

  test('plain HTTP is told what this is', async () => {
    const status = await new Promise((resolve) => {
      get({ port: gateway.wsPort, host: '127.0.0.1', path: '/mqtt', agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
    });
    expect(status).toBe(426);
  });
});

describe('frames', () => {
  test('a packet in many frames, many packets in a frame', async () => {
    const socket = await open();
    const packets = packetsOf(socket);
    for (const byte of CONNECT) socket.send(Buffer.from([byte]));
    socket.send(Buffer.concat([PING, PING, PING.subarray(0, 1)]));
    socket.send(PING.subarray(1));
    socket.send(Buffer.alloc(0));
    await until(
      () => packets.length,
      (n) => n === 4,
    );
    expect(packets.map((p) => p.type)).toEqual([
      PacketType.CONNACK,
      PacketType.PINGRESP,
      PacketType.PINGRESP,
      PacketType.PINGRESP,
    ]);
    expect([...gateway.gateway.connections()][0]?.transport).toBe('ws');
  });

  test('what comes behind a message of megabytes waits for it, the end of the connection, too', async () => {
    await gateway.stop();
    gateway = await TestGateway.start({ maximumPacketSizeBytes: 4_000_000 });
    const payload = Buffer.alloc(3_000_000, 'large');
    const large: Packet = {
      type: PacketType.PUBLISH,
      topic: 't',
      payload,
      qos: 0,
      retain: false,
      dup: false,
      packetId: 0,
    };
    const subscription = { filter: 't', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const socket = await open();
    const packets = packetsOf(socket);
    socket.send(CONNECT);
    socket.send(encode({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [subscription] }, 5));
    socket.send(Buffer.concat([encode(large, 5), PING]));
    socket.send(PING);
    await until(() => packets.length === 5);
    const { CONNACK, SUBACK, PUBLISH, PINGRESP } = PacketType;
    expect(packets.map(({ type }) => type)).toEqual([CONNACK, SUBACK, PUBLISH, PINGRESP, PINGRESP]);
    const other = await open();
    other.send(
      encode({ type: PacketType.CONNECT, protocolVersion: 5, clientId: 'y', cleanStart: true, keepAliveS: 0 }, 5),
    );
    other.send(encode(large, 5));
    other.send(encode({ type: PacketType.DISCONNECT, reasonCode: 0 }, 5));
    other.close();
    await until(() => packets.length === 6);
    expect(packets.at(-1)).toMatchObject({ type: PUBLISH, topic: 't' });
    expect(Buffer.from((packets.at(-1) as typeof large).payload).equals(payload)).toBe(true);
  });

  test('text is refused', async () => {
    const socket = await open();
    socket.send(CONNECT.toString());
    expect(await closeCode(socket)).toBe(1003);
  });

  test('a frame larger than any packet is refused', async () => {
    const socket = await open();
    socket.send(Buffer.alloc(200_000));
    expect(await closeCode(socket)).toBe(1009);
    await until(
      () => gateway.gateway.counts().connections,
      (n) => n === 0,
    );
  });

  test('a frame shorter than the packet it promises waits, and is cut at the deadline', async () => {
    const socket = await open();
    socket.send(CONNECT.subarray(0, 5));
    await until(() => gateway.gateway.counts().connections === 1);
    gateway.clock.shiftMs += 11_000;
    await closeCode(socket);
  });

  test('rubbish is closed', async () => {
    const socket = await open();
    socket.send(Buffer.from([0, 0, 0]));
    await closeCode(socket);
  });
});

test('the end of the connection is the end of the session', async () => {
  const socket = await open();
  const packets = packetsOf(socket);
  socket.send(CONNECT);
  await until(
    () => packets.length,
    (n) => n === 1,
  );
  socket.terminate();
  await until(
    () => gateway.gateway.counts().sessions,
    (n) => n === 0,
  );
});

test('the server says goodbye in both languages', async () => {
  const socket = await open();
  const packets = packetsOf(socket);
  socket.send(CONNECT);
  await until(
    () => packets.length,
    (n) => n === 1,
  );
  const code = closeCode(socket);
  await gateway.gateway.close({ drainMs: 1_000 });
  expect(packets[1]).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x8b });
  expect(await code).toBe(1000);
});
