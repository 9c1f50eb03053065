import { connect as connectHttp2 } from 'node:http2';
import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { AddressBook } from '../src/address-book.ts';
import type { AppendRequest, AppendResponse } from '../src/contract/append.ts';
import type { ClusterRequest, ClusterResponse } from '../src/contract/cluster.ts';
import type { MetadataRequest, MetadataResponse } from '../src/contract/metadata.ts';
import { GrpcServer } from '../src/grpc/grpc-server.ts';
import { GrpcTransport } from '../src/grpc/grpc-transport.ts';
import { RECONNECT_PAUSE_MS, STREAMS_PER_CONNECTION_MAX, WINDOW_BYTES } from '../src/grpc/limits.ts';
import type { Channel } from '../src/transport.ts';
import { standingClock } from './support/standing-clock.ts';
import { until } from './support/until.ts';

type Near = Channel<AppendRequest, AppendResponse>;
type Far = Channel<AppendResponse, AppendRequest>;

const CLUSTER = 'cluster-a';
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  standingClock.end();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function server(clusterId = CLUSTER, nodeId = 2): { server: GrpcServer; metrics: PlainMetrics } {
  const metrics = new PlainMetrics();
  const made = new GrpcServer({
    tls: undefined,
    addresses: new AddressBook(),
    logger: silentLogger,
    metrics,
    clock: systemClock,
  });
  if (nodeId > 0) made.setIdentity({ clusterId, nodeId });
  cleanups.push(() => made.shutdown());
  return { server: made, metrics };
}

function client(port: number, nodeId = 1): GrpcTransport {
  const addresses = new AddressBook();
  addresses.set(2, `127.0.0.1:${port}`);
  const made = new GrpcTransport({ addresses, tls: undefined, logger: silentLogger, clock: systemClock });
  made.setIdentity({ clusterId: CLUSTER, nodeId });
  cleanups.push(() => made.shutdown());
  return made;
}

const refused = (metrics: PlainMetrics, reason: string): number =>
  metrics.counter('sluice_rpc_refused_total', '', { reason }).value;

const request = (sequence: number, sizeBytes = 3): AppendRequest => ({
  sequence,
  partition: 1,
  batch: new Uint8Array(sizeBytes).fill(sequence),
});

async function pair() {
  const { server: made, metrics } = server();
  let far: Far | undefined;
  made.serveChannel<AppendRequest, AppendResponse>('append', (channel, from) => {
    expect(from).toBe(1);
    far = channel;
  });
  const port = await made.listen('127.0.0.1', 0);
  const transport = client(port);
  const near: Near = transport.open(2, 'append');
  await until(() => far !== undefined);
  return { near, far: far as Far, server: made, metrics, client: transport, port };
}

/**
 * Until nothing leaves any more, because the windows of HTTP/2 are full; of that nobody here is told. Taken for so too early,
 * more is unsent than later, which fails nothing that is expected of it.
 */
async function standstill(channel: Near): Promise<void> {
  for (let before = -1; before !== channel.unsentBytes; ) {
    before = channel.unsentBytes;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A stream that ends amiss while its connection lives: it claims more bytes than a message may have. */
function cutShort(port: number): void {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  cleanups.push(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': '/sluice.v1.Append/Open',
    'content-type': 'application/grpc',
    te: 'trailers',
    'sluice-cluster': CLUSTER,
    'sluice-from': '1',
    'sluice-to': '2',
  });
  stream.on('error', () => {});
  stream.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
  stream.resume();
}

describe('channels over gRPC', () => {
  test('carry messages both ways, in order, also those sent before the connection stands', async () => {
    const { server: made } = server();
    const got: number[] = [];
    made.serveChannel<AppendRequest, AppendResponse>('append', (channel) => {
      channel.onMessage((message) => {
        got.push(message.sequence);
        expect(message).toEqual(request(message.sequence));
        channel.send({ type: 'leading', partition: 9, term: message.sequence });
      });
    });
    const near: Near = client(await made.listen('127.0.0.1', 0)).open(2, 'append');
    const back: number[] = [];
    near.onMessage((message) => back.push(message.type === 'leading' ? message.term : -1));
    const sent = Array.from({ length: 200 }, (_, at) => at);
    for (const sequence of sent) near.send(request(sequence));
    await until(() => back.length === sent.length);
    expect(got).toEqual(sent);
    expect(back).toEqual(sent);
    expect(near.unsentBytes).toBe(0);
  });

  test('count what has not left this node, and let go of it when it has', async () => {
    const { near, far } = await pair();
    const size = 1024 * 1024;
    const count = 40;
    let arrived = 0;
    for (let sequence = 0; sequence < count; sequence++) near.send(request(sequence, size));
    expect(near.unsentBytes).toBeGreaterThanOrEqual(count * size);
    expect(near.unsentBytes).toBeLessThan(count * (size + 100));
    // Nobody listens there: some frames wait at the other end, the windows of HTTP/2 fill, and the rest stays here.
    await standstill(near);
    expect(near.unsentBytes).toBeGreaterThan((count / 4) * size);
    far.onMessage(({ batch }) => {
      arrived += batch.length;
    });
    await until(() => near.unsentBytes === 0 && arrived === count * size);
  });

  test('that nobody reads holds up no other on its connection', async () => {
    const { server: made } = server();
    let accepted = 0;
    const got: number[] = [];
    made.serveChannel<AppendRequest, AppendResponse>('append', (channel) => {
      if (++accepted === 2) channel.onMessage(({ sequence }) => got.push(sequence));
    });
    const transport = client(await made.listen('127.0.0.1', 0));
    const unread = transport.open<AppendRequest, AppendResponse>(2, 'append');
    for (let sequence = 1; sequence <= 40; sequence++) unread.send(request(sequence, WINDOW_BYTES / 4));
    await until(() => accepted === 1);
    await standstill(unread);
    expect(unread.unsentBytes).toBeGreaterThan(0);
    const read = transport.open<AppendRequest, AppendResponse>(2, 'append');
    for (let sequence = 1; sequence <= 8; sequence++) read.send(request(sequence, WINDOW_BYTES / 4));
    await until(() => got.length === 8);
    expect(unread.unsentBytes).toBeGreaterThan(0);
  });

  test('may send an image without waiting for leave to go on', async () => {
    const { server: made } = server();
    const session = connectHttp2(`http://127.0.0.1:${await made.listen('127.0.0.1', 0)}`);
    cleanups.push(() => session.destroy());
    await until(() => session.remoteSettings?.initialWindowSize === WINDOW_BYTES);
    await until(() => session.state.remoteWindowSize === WINDOW_BYTES);
    expect(session.remoteSettings.maxConcurrentStreams).toBe(STREAMS_PER_CONNECTION_MAX);
  });

  test('closed by the opener: what was sent arrives, then each end is told once', async () => {
    const { near, far, server: made, client: transport } = await pair();
    const seen: string[] = [];
    far.onMessage(({ sequence }) => seen.push(`got ${sequence}`));
    far.onClose(() => seen.push('far closed'));
    near.onClose(() => seen.push('near closed'));
    near.send(request(1));
    near.send(request(2, 2 * 1024 * 1024));
    near.close();
    near.close();
    near.send(request(3));
    await until(() => seen.length === 4);
    expect(seen).toEqual(['near closed', 'got 1', 'got 2', 'far closed']);
    await until(() => made.openChannels === 0 && transport.openStreams === 0);
    expect(seen).toHaveLength(4);
  });

  test('closed by the acceptor: the same', async () => {
    const { near, far, server: made, client: transport } = await pair();
    const seen: string[] = [];
    near.onMessage((message) => seen.push(message.type));
    near.onClose(() => seen.push('near closed'));
    far.onClose(() => seen.push('far closed'));
    far.send({ type: 'leading', partition: 1, term: 1 });
    far.close();
    await until(() => seen.length === 3);
    expect(seen).toEqual(['far closed', 'leading', 'near closed']);
    await until(() => made.openChannels === 0 && transport.openStreams === 0);
  });

  test('close at once where nobody listens, and where nobody is known', async () => {
    const { server: made } = server();
    const port = await made.listen('127.0.0.1', 0);
    await made.shutdown();
    const transport = client(port);
    standingClock.begin();
    for (const nodeId of [2, 3]) {
      let closed = 0;
      const near: Near = transport.open(nodeId, 'append');
      near.onClose(() => closed++);
      near.send(request(1));
      await until(() => closed > 0);
      expect(near.unsentBytes).toBe(0);
      near.close();
      await until(() => transport.openStreams === 0);
      await new Promise(setImmediate);
      expect(closed).toBe(1);
    }
  });

  test.each([
    ['without a port', 'somewhere'],
    ['a port beyond 65535', 'somewhere:70000'],
    ['not of a URL', 'some where:18080'],
    ['an IPv6 address of a zone', '[fe80::1%2]:18080'],
    ['without a host', ':18080'],
  ])('close at once, and calls are refused, where a node says it is and nothing can be: %s', async (_what, address) => {
    const addresses = new AddressBook();
    addresses.set(2, address);
    const warned: unknown[] = [];
    const logger = { ...silentLogger, warn: (fields: object) => warned.push(fields) };
    const transport = new GrpcTransport({ addresses, tls: undefined, logger, clock: systemClock });
    transport.setIdentity({ clusterId: CLUSTER, nodeId: 1 });
    cleanups.push(() => transport.shutdown());
    const near: Near = transport.open(2, 'append');
    await new Promise<void>((resolve) => near.onClose(resolve));
    await expect(transport.call(2, 'metadata', { type: 'members' })).rejects.toMatchObject({
      code: 'PEER_UNAVAILABLE',
      message: expect.stringContaining('is no address'),
    });
    expect(warned).toMatchObject([{ address, err: { code: 'PEER_ADDRESS' } }]);
    expect(transport.openStreams).toBe(0);
  });

  test('a peer that restarts closes them, and is found again by the first attempt after the pause', async () => {
    standingClock.begin();
    const { near, server: made, client: transport, port } = await pair();
    let closed = 0;
    near.onClose(() => closed++);
    await made.shutdown();
    await until(() => closed === 1);
    // Refused meanwhile, several times.
    for (let i = 0; i < 3; i++) {
      const refusedChannel: Near = transport.open(2, 'append');
      await new Promise<void>((resolve) => refusedChannel.onClose(resolve));
      await until(() => transport.openStreams === 0);
      standingClock.pass(RECONNECT_PAUSE_MS);
    }
    const again = server().server;
    const accepted: Far[] = [];
    again.serveChannel<AppendRequest, AppendResponse>('append', (channel) => accepted.push(channel));
    await again.listen('127.0.0.1', port);
    let over = 0;
    transport.open<AppendRequest, AppendResponse>(2, 'append').onClose(() => over++);
    await until(() => over + accepted.length > 0);
    expect([over, accepted.length]).toEqual([0, 1]);
  });

  test('follow an address that changes', async () => {
    const first = server().server;
    const second = server().server;
    const addresses = new AddressBook();
    const transport = new GrpcTransport({ addresses, tls: undefined, logger: silentLogger, clock: systemClock });
    transport.setIdentity({ clusterId: CLUSTER, nodeId: 1 });
    cleanups.push(() => transport.shutdown());
    const seen: string[] = [];
    for (const [name, made] of [
      ['first', first],
      ['second', second],
    ] as const) {
      made.serveChannel('live', () => seen.push(name));
      addresses.set(2, `localhost:${await made.listen('127.0.0.1', 0)}`);
      transport.open(2, 'live');
      await until(() => seen.includes(name));
    }
    expect(seen).toEqual(['first', 'second']);
  });

  test('what cannot be encoded throws at its sender and closes the channel, and nothing of it arrives', async () => {
    const { near, far, server: made } = await pair();
    const got: number[] = [];
    let closed = 0;
    far.onMessage(({ sequence }) => got.push(sequence));
    near.onClose(() => closed++);
    expect(() => near.send({ ...request(1), sequence: -1 })).toThrow('sequence');
    near.send(request(2));
    await until(() => closed === 1 && made.openChannels === 0);
    expect(got).toEqual([]);
  });

  test('a thousand of them leave nothing behind', async () => {
    standingClock.begin();
    const { server: made, client: transport, near, metrics, port } = await pair();
    near.close();
    made.serveChannel<AppendRequest, AppendResponse>('append', (channel) => {
      channel.onMessage(() => {
        channel.send({ type: 'leading', partition: 1, term: 1 });
        if (Math.random() < 0.5) channel.close();
      });
    });
    let closed = 0;
    let answered = 0;
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 100; i++) {
        const channel: Near = transport.open(2, 'append');
        channel.onClose(() => closed++);
        channel.onMessage(() => {
          answered++;
          channel.close();
        });
        channel.send(request(i % 256));
      }
      await until(() => closed === (round + 1) * 100);
    }
    expect(answered).toBe(1_000);
    await until(() => made.openChannels === 0 && transport.openStreams === 0);
    await transport.shutdown();
    // What is cut short is counted after a while, in its order: when this one is, all that was before it would have been.
    cutShort(port);
    await until(() => {
      standingClock.pass(1);
      return refused(metrics, 'aborted') > 0;
    });
    expect(refused(metrics, 'aborted')).toBe(1);
    for (const reason of ['no-stream', 'invalid', 'not-http2']) expect(refused(metrics, reason)).toBe(0);
  });
});

describe('calls over gRPC', () => {
  test('bring the answer, and tell who asked', async () => {
    const { server: made } = server();
    made.serveCall<MetadataRequest, MetadataResponse>('metadata', (asked, from) =>
      Promise.resolve({ type: 'not-leader', leader: asked.type === 'reach' ? asked.epoch + from : 0 }),
    );
    const transport = client(await made.listen('127.0.0.1', 0));
    expect(await transport.call(2, 'metadata', { type: 'reach', epoch: 41 })).toEqual({
      type: 'not-leader',
      leader: 42,
    });
  });

  test('bring a failure with its code', async () => {
    const { server: made } = server();
    made.serveCall('metadata', () =>
      Promise.reject(new SluiceError('NOT_NOW', 'später \ud800 wieder', { retriable: true })),
    );
    const transport = client(await made.listen('127.0.0.1', 0));
    const ask = transport.call(2, 'metadata', { type: 'reach', epoch: 1 });
    await expect(ask).rejects.toMatchObject({ code: 'NOT_NOW', retriable: true });
  });

  test('are refused where nobody serves, and where nobody is', async () => {
    const { server: made } = server();
    const transport = client(await made.listen('127.0.0.1', 0));
    const ask = (nodeId: number): Promise<unknown> => transport.call(nodeId, 'metadata', { type: 'reach', epoch: 1 });
    await expect(ask(2)).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE', retriable: true });
    await expect(ask(3)).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE', retriable: true });
    await expect(transport.callAddress('', 'cluster', {})).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE' });
    await made.shutdown();
    await expect(ask(2)).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE', retriable: true });
  });

  test('by address need no identity on either side, and only for what gives one', async () => {
    const { server: made, metrics } = server('', 0);
    made.serveCall<ClusterRequest, ClusterResponse>('cluster', (asked, from) => {
      expect(from).toBe(0);
      return Promise.resolve({ type: 'elsewhere', address: asked.type === 'hello' ? asked.address : '' });
    });
    made.serveCall('metadata', () => Promise.resolve({ type: 'unknown' }));
    const port = await made.listen('127.0.0.1', 0);
    const transport = new GrpcTransport({
      addresses: new AddressBook(),
      tls: undefined,
      logger: silentLogger,
      clock: systemClock,
    });
    cleanups.push(() => transport.shutdown());
    const hello = { type: 'hello', address: 'a:1', incarnation: 'x', founders: ['a:1'] };
    expect(await transport.callAddress(`127.0.0.1:${port}`, 'cluster', hello)).toEqual({
      type: 'elsewhere',
      address: 'a:1',
    });
    await expect(client(port).call(2, 'metadata', { type: 'reach', epoch: 1 })).rejects.toMatchObject({
      code: 'PEER_UNAVAILABLE',
    });
    expect(refused(metrics, 'no-identity')).toBe(1);
  });
});

describe('who does not belong here', () => {
  test.each([
    ['of another cluster', 'cluster-b', 2, 1, 'wrong-cluster', 'WRONG_CLUSTER'],
    ['meant for another node', CLUSTER, 5, 1, 'wrong-node', 'WRONG_NODE'],
    ['in this node’s own name', CLUSTER, 2, 2, 'bad-sender', 'WRONG_NODE'],
  ])('%s is refused and counted', async (_, clusterId, nodeId, from, reason, code) => {
    const { server: made, metrics } = server(clusterId, nodeId);
    let accepted = 0;
    made.serveChannel('append', () => accepted++);
    made.serveCall('metadata', () => Promise.resolve({ type: 'unknown' }));
    const transport = client(await made.listen('127.0.0.1', 0), from);
    await expect(transport.call(2, 'metadata', { type: 'reach', epoch: 1 })).rejects.toMatchObject({ code });
    await new Promise<void>((resolve) => transport.open(2, 'append').onClose(resolve));
    expect(refused(metrics, reason)).toBe(2);
    expect(accepted).toBe(0);
  });
});
