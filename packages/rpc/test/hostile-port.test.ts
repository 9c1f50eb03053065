import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { AddressBook } from '../src/address-book.ts';
import type { AppendRequest, AppendResponse } from '../src/contract/append.ts';
import { GrpcServer } from '../src/grpc/grpc-server.ts';
import { GrpcTransport } from '../src/grpc/grpc-transport.ts';
import type { Channel } from '../src/transport.ts';
import { until } from './support/until.ts';

const CLUSTER = 'cluster-a';
const GOOD = { 'sluice-cluster': CLUSTER, 'sluice-from': '1', 'sluice-to': '2' };

let metrics: PlainMetrics;
let server: GrpcServer;
let port: number;
let received: number;
const sessions: ClientHttp2Session[] = [];
const sockets: Socket[] = [];

beforeEach(async () => {
  metrics = new PlainMetrics();
  server = new GrpcServer({
    tls: undefined,
    addresses: new AddressBook(),
    logger: silentLogger,
    metrics,
    clock: systemClock,
  });
  server.setIdentity({ clusterId: CLUSTER, nodeId: 2 });
  received = 0;
  server.serveChannel<AppendRequest, AppendResponse>('append', (channel) => {
    channel.onMessage(({ sequence }) => {
      received++;
      channel.send({ type: 'leading', partition: 1, term: sequence });
    });
  });
  server.serveCall('metadata', () => Promise.resolve({ type: 'unknown' }));
  port = await server.listen('127.0.0.1', 0);
});

afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  for (const socket of sockets.splice(0)) socket.destroy();
  await server.shutdown();
  expect(server.openChannels).toBe(0);
});

const refused = (reason: string): number => metrics.counter('sluice_rpc_refused_total', '', { reason }).value;

/** The port still serves who belongs here. */
async function expectAlive(): Promise<void> {
  const addresses = new AddressBook();
  addresses.set(2, `127.0.0.1:${port}`);
  const transport = new GrpcTransport({ addresses, tls: undefined, logger: silentLogger, clock: systemClock });
  transport.setIdentity({ clusterId: CLUSTER, nodeId: 1 });
  const channel: Channel<AppendRequest, AppendResponse> = transport.open(2, 'append');
  const terms: number[] = [];
  channel.onMessage((message) => terms.push(message.type === 'leading' ? message.term : -1));
  channel.send({ sequence: 7, partition: 1, batch: new Uint8Array(3) });
  await until(() => terms.length > 0);
  expect(terms).toEqual([7]);
  await transport.shutdown();
  await until(() => server.openChannels === 0);
}

function raw(bytes: Uint8Array | string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('close', () => resolve());
  });
}

interface Outcome {
  status: string | undefined;
  reset: boolean;
}

/** A stream as anybody can make it; `body` as its bytes are, gRPC's own framing included. */
function stream(path: string, headers: Record<string, string>, body: Uint8Array, end = false): Promise<Outcome> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  sessions.push(session);
  session.on('error', () => {});
  return new Promise((resolve) => {
    let status: string | undefined;
    const request = session.request(
      { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers },
      { endStream: false },
    );
    const look = (fields: Record<string, unknown>): void => {
      status = (fields['grpc-status'] as string | undefined) ?? status;
    };
    request.on('response', look);
    request.on('trailers', look);
    request.on('error', () => {});
    request.on('data', () => {});
    request.on('end', () => resolve({ status, reset: false }));
    request.on('close', () => resolve({ status, reset: true }));
    request.write(body);
    if (end) request.end();
  });
}

function framed(message: Uint8Array, claimedBytes = message.length, flag = 0): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame[0] = flag;
  frame.writeUInt32BE(claimedBytes, 1);
  frame.set(message, 5);
  return frame;
}

const APPEND = '/sluice.v1.Append/Open';
const METADATA = '/sluice.v1.Metadata/Ask';
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** One address and port at the other end may have several connections, to several addresses of this machine. */
test('a connection is known by itself, and not by the address and port at its other end', async () => {
  const toEverybody = new GrpcServer({
    tls: undefined,
    addresses: new AddressBook(),
    logger: silentLogger,
    metrics,
    clock: systemClock,
  });
  toEverybody.setIdentity({ clusterId: CLUSTER, nodeId: 2 });
  toEverybody.serveChannel('append', () => {});
  const everywhere = await toEverybody.listen('0.0.0.0', 0);
  const localPort = { value: 0 };
  const connected = async (host: string): Promise<Socket> => {
    const from = { localAddress: '127.0.0.1', localPort: localPort.value };
    const socket = connect({ host, port: everywhere, ...from });
    sockets.push(socket);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    localPort.value = socket.localPort as number;
    return socket;
  };
  const first = await connected('127.0.0.1');
  const session = connectHttp2(`http://127.0.0.1:${everywhere}`, { createConnection: () => first });
  sessions.push(session);
  const isAnswered = new Promise((resolve) => session.once('remoteSettings', resolve));
  await isAnswered;
  const second = await connected('127.0.0.2');
  // It says that it is no node, and is gone.
  second.write('GET / HTTP/1.1\r\n\r\n');
  await new Promise((resolve) => second.once('close', resolve));
  expect(refused('not-http2')).toBe(1);
  const stream = session.request({
    ':method': 'POST',
    ':path': APPEND,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...GOOD,
  });
  stream.on('error', () => {});
  await until(() => toEverybody.openChannels === 1);
  session.destroy();
  await until(() => toEverybody.openChannels === 0);
  await toEverybody.shutdown();
  expect(refused('no-stream')).toBe(0);
});

describe('B37: the port for nodes, from strangers', () => {
  test.each([
    ['HTTP/1', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['MQTT', Buffer.from('101000044d51545404020000000361626300', 'hex')],
    ['noise', Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 7919) & 0xff))],
    ['TLS', Buffer.from('160301020001000001fc0303', 'hex')],
  ])('%s is shown the door', async (_, bytes) => {
    await raw(bytes);
    expect(refused('not-http2')).toBe(1);
    await expectAlive();
  });

  test.each([
    ['noise', Buffer.concat([Buffer.from(PREFACE), Buffer.alloc(3000, 0xab)])],
    ['a frame longer than allowed', Buffer.concat([Buffer.from(PREFACE), Buffer.from('ffffff000000000001', 'hex')])],
  ])('behind a good beginning, %s ends the connection', async (_, bytes) => {
    await raw(bytes);
    await until(() => refused('no-stream') === 1);
    await expectAlive();
  });

  test('a beginning in pieces is a beginning', async () => {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    let answered = 0;
    socket.on('data', (bytes) => {
      answered += bytes.length;
    });
    for (const byte of PREFACE) {
      socket.write(byte);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    socket.write(Buffer.from('000000040000000000', 'hex'));
    await until(() => answered > 0);
    expect(refused('not-http2')).toBe(0);
  });

  test('methods nobody has', async () => {
    const { status } = await stream('/sluice.v1.Append/Drop', GOOD, framed(new Uint8Array(0)), true);
    expect(status).toBe('12');
    sessions[0]?.destroy();
    await until(() => refused('no-stream') === 1);
    await expectAlive();
  });

  test.each([
    ['none', {}, 'no-cluster'],
    ['of another cluster', { ...GOOD, 'sluice-cluster': 'b' }, 'wrong-cluster'],
    ['for another node', { ...GOOD, 'sluice-to': '3' }, 'wrong-node'],
    ['without a receiver', { 'sluice-cluster': CLUSTER, 'sluice-from': '1' }, 'wrong-node'],
    ['without a sender', { 'sluice-cluster': CLUSTER, 'sluice-to': '2' }, 'bad-sender'],
    ['from nobody', { ...GOOD, 'sluice-from': '0' }, 'bad-sender'],
    ['from a fraction', { ...GOOD, 'sluice-from': '1.5' }, 'bad-sender'],
    ['from a huge number', { ...GOOD, 'sluice-from': '9007199254740993' }, 'bad-sender'],
    ['from this node', { ...GOOD, 'sluice-from': '2' }, 'bad-sender'],
  ])('metadata %s', async (_, headers, reason) => {
    for (const path of [APPEND, METADATA]) {
      const { status } = await stream(path, headers as Record<string, string>, framed(new Uint8Array(0)), true);
      expect(status).toBe('9');
    }
    expect(refused(reason)).toBe(2);
    expect(received).toBe(0);
    await expectAlive();
  });

  test.each([
    ['no frame', Buffer.from([0xff, 0xff, 0xff])],
    ['a message beyond its frame', Buffer.from([10, 200, 1, 1])],
    ['a length of 4 GiB', Buffer.from([10, 0xff, 0xff, 0xff, 0xff, 0x0f, 1])],
    ['another field', Buffer.from([18, 1, 1])],
    ['a sequence beyond 2^53', Buffer.from([10, 11, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])],
  ])('in a good stream, %s ends the stream', async (_, message) => {
    const { status } = await stream(APPEND, GOOD, framed(message));
    expect(status).toBe('3');
    expect(refused('invalid')).toBe(1);
    expect(received).toBe(0);
    await expectAlive();
  });

  test('a message that claims more bytes than any may have', async () => {
    const { status } = await stream(APPEND, GOOD, framed(Buffer.alloc(100), 0xffff_ffff));
    expect(status).toBe('8');
    await until(() => refused('aborted') === 1);
    await expectAlive();
  });

  test('a message said to be compressed', async () => {
    const { status } = await stream(APPEND, { ...GOOD, 'grpc-encoding': 'gzip' }, framed(Buffer.alloc(9, 7), 9, 1));
    expect(status).not.toBe('0');
    await expectAlive();
  });

  test.each([
    ['noise', Buffer.from('this is no protobuf', 'utf8')],
    ['no JSON', Buffer.from([10, 3, 0x7b, 0x7b, 0x7b])],
    ['JSON of nothing known', Buffer.concat([Buffer.from([10, 14]), Buffer.from('{"type":"rob"}')])],
    ['JSON of a prototype', Buffer.concat([Buffer.from([10, 22]), Buffer.from('{"type":"constructor"}')])],
  ])('a call with %s', async (_, message) => {
    const { status } = await stream(METADATA, GOOD, framed(message), true);
    expect(status).toBe('3');
    expect(refused('invalid')).toBe(1);
    await expectAlive();
  });

  test('streams cut short, many at once', async () => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    sessions.push(session);
    session.on('error', () => {});
    for (let i = 0; i < 200; i++) {
      const request = session.request(
        { ':method': 'POST', ':path': APPEND, 'content-type': 'application/grpc', te: 'trailers', ...GOOD },
        { endStream: false },
      );
      request.on('error', () => {});
      request.write(framed(Buffer.alloc(50), 5000));
      if (i % 2 === 0) setTimeout(() => request.close(8), i % 20);
    }
    await until(() => server.openChannels >= 90);
    session.destroy();
    await until(() => server.openChannels === 0);
    await expectAlive();
  });
});
