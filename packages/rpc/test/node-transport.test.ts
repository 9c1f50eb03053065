import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { AddressBook } from '../src/address-book.ts';
import type { ClusterRequest } from '../src/contract/cluster.ts';
import type { LiveRequest, LiveResponse } from '../src/contract/live.ts';
import type { MetadataRequest, MetadataResponse } from '../src/contract/metadata.ts';
import { NodeTransport } from '../src/node-transport.ts';
import type { Channel } from '../src/transport.ts';
import { CuttableProxy } from './support/cuttable-proxy.ts';
import { standingClock } from './support/standing-clock.ts';
import { until } from './support/until.ts';

type Near = Channel<LiveRequest, LiveResponse>;
type Far = Channel<LiveResponse, LiveRequest>;

/** For the end of a silent wire to be noticed. */
const WITHIN_MS = 4_000;
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  standingClock.end();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Node {
  transport: NodeTransport;
  addresses: AddressBook;
  metrics: PlainMetrics;
  port: number;
  /** Channels others opened, with who did. */
  accepted: { channel: Far; from: number }[];
}

async function node(nodeId: number): Promise<Node> {
  const addresses = new AddressBook();
  const metrics = new PlainMetrics();
  const transport = new NodeTransport({
    addresses,
    tls: undefined,
    logger: silentLogger,
    metrics,
    clock: systemClock,
  });
  cleanups.push(() => transport.shutdown());
  transport.setIdentity({ clusterId: 'c', nodeId });
  const accepted: Node['accepted'] = [];
  transport.serveChannel<LiveRequest, LiveResponse>('live', (channel, from) => accepted.push({ channel, from }));
  transport.serveCall<MetadataRequest, MetadataResponse>('metadata', (_, from) =>
    Promise.resolve({ type: 'not-leader', leader: from }),
  );
  transport.serveCall<ClusterRequest, unknown>('cluster', () => Promise.resolve({ type: 'elsewhere', address: 'x' }));
  return { transport, addresses, metrics, port: await transport.listen('127.0.0.1', 0), accepted };
}

const question: MetadataRequest = { type: 'reach', epoch: 1 };

describe('the transport of a node', () => {
  test('leads to its own services and to those of others by the same name', async () => {
    const [one, two] = [await node(1), await node(2)];
    one.addresses.set(2, `127.0.0.1:${two.port}`);
    expect(await one.transport.call(1, 'metadata', question)).toEqual({ type: 'not-leader', leader: 1 });
    expect(await one.transport.call(2, 'metadata', question)).toEqual({ type: 'not-leader', leader: 1 });
    one.transport.open(1, 'live');
    expect(one.accepted.map(({ from }) => from)).toEqual([1]);
    one.transport.open(2, 'live');
    await until(() => two.accepted.length === 1);
    expect(two.accepted[0]?.from).toBe(1);
  });

  test('shut down, closes what others have of it at once', async () => {
    standingClock.begin();
    const [one, two] = [await node(1), await node(2)];
    one.addresses.set(2, `127.0.0.1:${two.port}`);
    const near: Near = one.transport.open(2, 'live');
    let closed = 0;
    near.onClose(() => closed++);
    await until(() => two.accepted.length === 1);
    await two.transport.shutdown();
    await until(() => closed === 1);
  });
});

describe('a wire that breaks', () => {
  test('never loses, repeats or reorders within a channel: what arrived is a beginning of what was sent', async () => {
    const [one, two] = [await node(1), await node(2)];
    const proxy = new CuttableProxy(two.port);
    cleanups.push(() => proxy.close());
    one.addresses.set(2, `127.0.0.1:${await proxy.listen()}`);
    let farClosed = 0;
    const received = new Map<string, number[]>();
    two.transport.serveChannel<LiveRequest, LiveResponse>('live', (channel) => {
      const versions: number[] = [];
      channel.onMessage((message) => {
        if (message.type === 'client-connected') received.set(message.clientId, versions);
        if (message.type === 'routes') {
          versions.push(message.version);
          channel.send({ type: 'seen', version: message.version });
        }
      });
      channel.onClose(() => farClosed++);
    });
    let opened = 0;
    let nearClosed = 0;
    let complete = 0;
    for (let round = 0; round < 12; round++) {
      const channels: { near: Near; seen: number[]; closed: number }[] = [];
      for (let i = 0; i < 5; i++) {
        const near: Near = one.transport.open(2, 'live');
        const state = { near, seen: [] as number[], closed: 0 };
        opened++;
        near.onMessage(({ version }) => state.seen.push(version));
        near.onClose(() => {
          state.closed++;
          nearClosed++;
        });
        near.send({ type: 'client-connected', clientId: `${round}/${i}`, identity: '', connectedAtMs: 0 });
        channels.push(state);
      }
      const sever = round % 3 !== 0;
      for (let version = 0; version < 60; version++) {
        for (const { near } of channels) near.send({ type: 'routes', version, filters: [] });
        if (version % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (sever && version === 20 + round) proxy.sever();
      }
      await until(() => channels.every(({ closed, seen }) => closed > 0 || seen.length === 60));
      for (const { near } of channels) near.close();
      await until(() => nearClosed === opened);
      channels.forEach(({ seen, closed }, i) => {
        expect(closed).toBe(1);
        const got = received.get(`${round}/${i}`) ?? [];
        expect(got).toEqual(got.map((_, at) => at));
        expect(seen).toEqual(seen.map((_, at) => at));
        expect(seen.length).toBeLessThanOrEqual(got.length);
        if (seen.length === 60) complete++;
      });
    }
    expect(complete).toBeGreaterThanOrEqual(20);
    expect(complete).toBeLessThan(opened);
    await until(() => farClosed >= received.size);
    expect(nearClosed).toBe(opened);
  }, 20_000);

  test('a node that stops rejects what it asked', async () => {
    standingClock.begin();
    const [one, two] = [await node(1), await node(2)];
    one.addresses.set(2, `127.0.0.1:${two.port}`);
    let asked = 0;
    two.transport.serveCall('metadata', () => {
      asked++;
      return new Promise(() => {});
    });
    const answer = one.transport.call(2, 'metadata', question);
    answer.catch(() => {});
    await until(() => asked === 1);
    await one.transport.shutdown();
    await expect(answer).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE', retriable: true });
  });
});

describe('a wire that is cut silently', () => {
  test('closes channels at both ends within four seconds, and new ones are found as soon as it heals', async () => {
    standingClock.begin();
    const [one, two] = [await node(1), await node(2)];
    const proxy = new CuttableProxy(two.port);
    cleanups.push(() => proxy.close());
    one.addresses.set(2, `127.0.0.1:${await proxy.listen()}`);
    const near: Near = one.transport.open(2, 'live');
    await until(() => two.accepted.length === 1);
    const closed: string[] = [];
    near.onClose(() => closed.push('near'));
    two.accepted[0]?.channel.onClose(() => closed.push('far'));
    proxy.cut();
    // Opened into the cut: the connection stands as far as anybody knows.
    const late: Near = one.transport.open(2, 'live');
    late.onClose(() => closed.push('late'));
    standingClock.pass(WITHIN_MS);
    await until(() => closed.length === 3);
    // And one whose connection cannot even be made: it hangs where a frozen process does not answer.
    const hanging: Near = one.transport.open(2, 'live');
    hanging.onClose(() => closed.push('hanging'));
    await until(() => proxy.accepted === 2);
    expect(closed).not.toContain('hanging');
    standingClock.pass(WITHIN_MS);
    await until(() => closed.includes('hanging'));
    proxy.heal();
    one.transport.open(2, 'live');
    await until(() => two.accepted.length === 2);
  });
});
