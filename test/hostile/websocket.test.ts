import { randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { BrokerUnderAttack, publishing } from './broker-under-attack.ts';
import { type FrameOptions, frame, OPCODE, RawClient } from './raw-client.ts';

const ERRORS = 'sluice_gateway_protocol_errors_total';
const REFUSED = 'sluice_gateway_handshakes_refused_total';

const CONNECT = encode(
  { type: PacketType.CONNECT, protocolVersion: 5, clientId: 'ws', cleanStart: true, keepAliveS: 0 },
  5,
);
const PING = encode({ type: PacketType.PINGREQ }, 5);

let broker: BrokerUnderAttack;
beforeAll(async () => {
  broker = await BrokerUnderAttack.start({ flags: ['--set', 'mqtt.connectTimeout=2s'] });
});
afterEach(async () => {
  broker.hangUp();
  await broker.stillServes();
});
afterAll(() => broker?.dispose());

const before = async (): Promise<RawClient> => await RawClient.beforeUpgrade(broker.server.address('ws'));

describe('B7: handshakes', () => {
  test.each<[string, string, Record<string, string>, number, string]>([
    ['to another path', '/', {}, 404, 'path'],
    ['to a path that climbs', '/x/../mqtt', {}, 404, 'path'],
    ['to an encoded path', '/%6dqtt', {}, 404, 'path'],
    ['without a sub-protocol', '/mqtt', { 'sec-websocket-protocol': '' }, 400, 'sub_protocol'],
    ['with another sub-protocol', '/mqtt', { 'sec-websocket-protocol': 'chat, soap' }, 400, 'sub_protocol'],
    ['with a sub-protocol that only begins right', '/mqtt', { 'sec-websocket-protocol': 'mqttx' }, 400, 'sub_protocol'],
    ['from a page of the web', '/mqtt', { origin: 'https://evil.example' }, 403, 'origin'],
    ['from a name made to point here', '/mqtt', { origin: 'http://evil.example', host: 'evil.example' }, 403, 'origin'],
    ['from an origin that hides itself', '/mqtt', { origin: 'null' }, 403, 'origin'],
    ['from an origin that looks local', '/mqtt', { origin: 'http://localhost.evil.example' }, 403, 'origin'],
    ['with a key that is none', '/mqtt', { 'sec-websocket-key': 'short' }, 400, 'malformed'],
    ['with a version that is none', '/mqtt', { 'sec-websocket-version': '12' }, 400, 'malformed'],
  ])('%s', async (_name, path, headers, status, reason) => {
    const count = await broker.metric(REFUSED, { reason });
    const client = await before();
    client.upgrade(path, headers);
    await client.untilClosed();
    expect(client.handshake).toContain(`HTTP/1.1 ${status} `);
    await broker.untilRisen(count, 1, REFUSED, { reason });
  });

  test.each(['http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:8080', 'https://app.localhost'])(
    'from a page of this machine, %s, are taken',
    async (origin) => {
      const client = await before();
      client.upgrade('/mqtt', { origin });
      await client.until('101', () => client.handshake.includes('HTTP/1.1 101 '));
      expect(await client.hello('page')).toMatchObject({ reasonCode: 0 });
      client.destroy();
    },
  );

  test('that are no HTTP, that have headers without end, or that have two lengths are refused', async () => {
    for (const bytes of [
      randomBytes(200),
      Buffer.from(`GET /mqtt HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
      Buffer.from('POST /mqtt HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!'),
      Buffer.from('POST /mqtt HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'),
      encode({ type: PacketType.PINGREQ }, 5),
    ]) {
      const client = await before();
      client.socket.write(bytes);
      await client.untilClosed();
      expect(client.handshake).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
    }
  });

  test('that never end are cut off at the connect timeout, a byte at a time or none', async () => {
    const silent = await before();
    const slow = await before();
    const text = 'GET /mqtt HTTP/1.1\r\nhost: localhost\r\nx: '.padEnd(10_000, 'x');
    let at = 0;
    const timer = setInterval(() => slow.socket.write(text.charAt(at++)), 50);
    await Promise.all([silent.untilClosed(8_000), slow.untilClosed(8_000)]);
    clearInterval(timer);
  });

  test('compression is never agreed to', async () => {
    const client = await before();
    client.upgrade('/mqtt', { 'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits' });
    await client.until('101', () => client.handshake.includes('\r\n\r\n'));
    expect(client.handshake).toMatch(/^HTTP\/1\.1 101 /);
    expect(client.handshake.toLowerCase()).not.toContain('sec-websocket-extensions');
    client.destroy();
  });
});

describe('frames that are refused, before CONNECT and after', () => {
  const bomb = deflateRawSync(Buffer.alloc(50 * 1024 * 1024));

  test.each<[string, number, Uint8Array, FrameOptions]>([
    ['B6: a compressed frame that would unpack to 50 MB', 1002, bomb.subarray(0, 60_000), { rsv1: true }],
    ['B5: text', 1003, CONNECT, { opcode: OPCODE.text }],
    ['B5: a frame that claims 2^63 bytes', 1009, CONNECT, { claimedLength: 0x7fff_ffff_ffff_ffffn }],
    ['B5: a frame that claims 2^53 bytes', 1009, CONNECT, { claimedLength: 1n << 53n }],
    ['B5: a frame that claims 4 GB', 1009, CONNECT, { claimedLength: 1n << 32n }],
    ['B5: a frame larger than any packet', 1009, CONNECT, { claimedLength: BigInt(11 * 1024 * 1024) }],
    ['B5: a frame without a mask', 1002, CONNECT, { masked: false }],
    ['B5: a frame of a kind that does not exist', 1002, CONNECT, { opcode: 5 }],
    ['B5: a continuation of nothing', 1002, CONNECT, { opcode: OPCODE.continuation }],
    ['B5: a ping in two parts', 1002, PING, { opcode: OPCODE.ping, fin: false }],
    ['B5: a ping of 126 bytes', 1002, Buffer.alloc(126), { opcode: OPCODE.ping }],
  ])('%s', async (_name, closeCode, payload, options) => {
    for (const connected of [false, true]) {
      const count = await broker.metric(ERRORS, { kind: 'malformed_packet' });
      const client = connected ? await broker.client(5, 'ws') : await broker.open('ws');
      client.socket.write(frame(payload, options));
      await client.untilClosed();
      expect(client.closeCode).toBe(closeCode);
      await broker.untilRisen(count, 1, ERRORS, { kind: 'malformed_packet' });
    }
  });

  test('B2: a frame of 8 MB before CONNECT is cut off where a CONNECT would be too large', async () => {
    const residentMb = await broker.residentMb();
    const clients: RawClient[] = [];
    for (let i = 0; i < 20; i++) {
      const client = await broker.open('ws');
      clients.push(client);
      const size = 8 * 1024 * 1024;
      client.socket.write(frame(new Uint8Array(0), { claimedLength: BigInt(size) }));
      client.socket.write(Buffer.alloc(size - 1));
    }
    for (const client of clients) await client.untilClosed();
    expect(await broker.residentMb()).toBeLessThan(residentMb + 80);
  }, 20_000);

  test('B2: the same in a hundred thousand fragments', async () => {
    const client = await broker.open('ws');
    client.socket.write(frame(CONNECT.subarray(0, 1), { fin: false }));
    const fragments = Buffer.concat(
      Array.from({ length: 10_000 }, () => frame(Uint8Array.of(0), { opcode: OPCODE.continuation, fin: false })),
    );
    for (let i = 0; i < 10; i++) client.socket.write(fragments);
    await client.untilClosed();
  });

  test('B31: a million pings whose answers nobody reads', async () => {
    const client = await broker.client(5, 'ws');
    client.stopReading();
    const pings = Buffer.concat(Array.from({ length: 8_000 }, () => frame(Buffer.alloc(120), { opcode: OPCODE.ping })));
    const residentMb = await broker.residentMb();
    for (let i = 0; i < 125; i++) await new Promise((resolve) => client.socket.write(pings, resolve));
    await broker.stillServes();
    expect(await broker.metric('sluice_gateway_send_buffer_bytes')).toBeLessThan(1_000_000);
    expect(await broker.residentMb()).toBeLessThan(residentMb + 80);
  }, 30_000);
});

describe('frames are only pieces', () => {
  test('B5: a packet in many frames, a byte each, and many packets in one', async () => {
    const client = await broker.open('ws');
    for (const byte of CONNECT) client.socket.write(frame(Uint8Array.of(byte)));
    client.socket.write(frame(Buffer.concat([PING, PING, PING.subarray(0, 1)])));
    client.socket.write(frame(PING.subarray(1)));
    client.socket.write(frame(new Uint8Array(0)));
    const types: number[] = [];
    for (let i = 0; i < 4; i++) types.push((await client.next()).type);
    expect(types).toEqual([PacketType.CONNACK, PacketType.PINGRESP, PacketType.PINGRESP, PacketType.PINGRESP]);
  });

  test('B5: one packet in three fragments with a ping between them', async () => {
    const client = await broker.client(5, 'ws');
    const bytes = encode(publishing('alive', { qos: 1, packetId: 3, payload: Buffer.alloc(1_000) }), 5);
    client.socket.write(frame(bytes.subarray(0, 10), { fin: false }));
    client.socket.write(frame(Buffer.from('?'), { opcode: OPCODE.ping }));
    client.socket.write(frame(bytes.subarray(10, 500), { opcode: OPCODE.continuation, fin: false }));
    client.socket.write(frame(bytes.subarray(500), { opcode: OPCODE.continuation }));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, packetId: 3 });
  });

  test('B5: a frame shorter than the packet in it waits, and before CONNECT not for ever', async () => {
    const open = await broker.client(5, 'ws');
    const waiting = await broker.open('ws');
    waiting.socket.write(frame(CONNECT.subarray(0, 5)));
    open.socket.write(frame(PING.subarray(0, 1)));
    await waiting.untilClosed(8_000);
    open.socket.write(frame(PING.subarray(1)));
    expect((await open.next()).type).toBe(PacketType.PINGRESP);
  });

  test('B5: nothing that follows a text frame counts', async () => {
    const [subscriber, client] = [await broker.client(), await broker.client(5, 'ws')];
    subscriber.send({
      type: PacketType.SUBSCRIBE,
      packetId: 1,
      subscriptions: [{ filter: 'after', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
    });
    await subscriber.next();
    const publish = encode(publishing('after'), 5);
    client.socket.write(Buffer.concat([frame(PING, { opcode: OPCODE.text }), frame(publish)]));
    await client.untilClosed();
    subscriber.send({ type: PacketType.PINGREQ });
    expect((await subscriber.next()).type).toBe(PacketType.PINGRESP);
  });
});
