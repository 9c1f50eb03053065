import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';
import { AddressBook } from '@sluice/rpc/address-book';
import type { NodeReport, TopologyFeedRequest, TopologyUpdate } from '@sluice/rpc/contract/topology-feed';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import { NodeTransport } from '@sluice/rpc/node-transport';
import type { Channel } from '@sluice/rpc/transport';
import { type TopologyChange, TopologyWatcher } from '../../src/metadata/topology-watcher.ts';

/** A coordinator that says what the test tells it to. */
class Feed {
  readonly requests: TopologyFeedRequest[] = [];
  channel: Channel<TopologyUpdate, TopologyFeedRequest> | undefined;
  opened = 0;
  send(update: TopologyUpdate): void {
    this.channel?.send(update);
  }
  of(type: TopologyFeedRequest['type']): TopologyFeedRequest[] {
    return this.requests.filter((request) => request.type === type);
  }
}

const REPORT: NodeReport = { leads: [], impaired: [], replicas: [1], consumers: [] };
const NODE = 9;

/** As fine as any time that is told here. */
const TICK_MS = 100;

class Fixture {
  readonly network = new InprocNetwork({ codecs: true });
  readonly feeds = new Map<number, Feed>();
  readonly addresses = new AddressBook();
  readonly watcher: TopologyWatcher;
  nowMs = 0;
  acted: () => Promise<void> | undefined = () => undefined;

  constructor(coordinators: readonly number[]) {
    for (const nodeId of coordinators) this.serve(nodeId);
    this.watcher = new TopologyWatcher({
      topology: new Topology(),
      transport: this.network.node(NODE),
      addresses: this.addresses,
      coordinators,
      clock: { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs },
      logger: silentLogger,
      acted: () => this.acted(),
      report: () => REPORT,
    });
  }

  serve(nodeId: number): void {
    const feed = new Feed();
    this.feeds.set(nodeId, feed);
    this.network.node(nodeId).serveChannel<TopologyFeedRequest, TopologyUpdate>('topology', (channel) => {
      feed.opened++;
      feed.channel = channel;
      channel.onMessage((request) => feed.requests.push(request));
    });
  }

  feed(nodeId: number): Feed {
    return this.feeds.get(nodeId) as Feed;
  }

  async tick(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += TICK_MS) {
      this.nowMs += TICK_MS;
      this.watcher.tick();
      await turn();
    }
  }

  /** Which coordinator was asked last. */
  async watched(nodeId: number, before: number): Promise<boolean> {
    for (let i = 0; i < 50; i++) {
      if (this.feed(nodeId).opened > before) return true;
      await this.tick(100);
    }
    return false;
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

const coordinator = (nodeId: number): NodeInfo => ({
  nodeId,
  incarnation: `disk ${nodeId}`,
  name: `n${nodeId}`,
  address: `n${nodeId}:1`,
  roles: ['coordinator'],
  rack: '',
  version: '',
  mqttAddress: '',
  state: 'active',
});

const image = (epoch: number, nodes: readonly NodeInfo[] = []): TopologyUpdate => ({
  type: 'image',
  epoch,
  clusterId: 'c',
  partitionCount: 1,
  replicationFactor: 1,
  nodes,
  partitions: [{ partition: 1, replicas: [1], preferredLeader: 1, bootstrap: false }],
  config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
  queues: [],
});
const delta = (epoch: number): TopologyUpdate => ({
  type: 'delta',
  epoch,
  changed: [],
  removed: [],
  nodes: [],
  removedNodes: [],
  partitions: [],
  config: undefined,
});

const queueOf = (queueId: number): QueueDefinition => ({
  ...QUEUE_SETTING_DEFAULTS,
  queueId,
  name: `q${queueId}`,
  topicFilter: `t/${queueId}`,
  isLastValue: false,
  keyExpression: null,
  partitions: [1],
  version: 1,
  createdAtMs: 0,
});

let fixture: Fixture | undefined;
afterEach(() => fixture?.watcher.close());

async function watching(coordinators: readonly number[] = [1]): Promise<Fixture> {
  fixture = new Fixture(coordinators);
  fixture.watcher.tick();
  await turn();
  return fixture;
}

describe('a coordinator of this node that has come to lead', () => {
  test('is asked at once, whoever was to be asked next', async () => {
    const { watcher, feeds } = await watching([1, 2]);
    const [first, second] = [...feeds.values()] as [Feed, Feed];
    first.send({ type: 'elsewhere', leader: 0 });
    await turn();
    watcher.coordinatorLeads(2);
    await turn();
    expect(second.of('watch')).toHaveLength(1);
    second.send(image(3));
    await turn();
    expect(watcher.coordinator).toBe(2);
  });

  test('changes nothing for a node that is served: who serves it says when others lead', async () => {
    const { watcher, feeds } = await watching([1, 2]);
    const [first, second] = [...feeds.values()] as [Feed, Feed];
    first.send(image(3));
    await turn();
    watcher.coordinatorLeads(2);
    await turn();
    expect([watcher.coordinator, second.opened]).toEqual([1, 0]);
  });
});

describe('the image of a node', () => {
  test('an epoch is reached when this node acts on it, not when it has heard of it', async () => {
    const set = await watching();
    const { watcher } = set;
    let act: () => void = () => {};
    set.acted = () => new Promise<void>((resolve) => (act = resolve));
    const first = set.feed(1);
    expect(first.requests).toEqual([
      { type: 'watch', clusterId: '', epoch: 0 },
      { type: 'report', report: REPORT },
    ]);
    first.send(image(3));
    await watcher.imaged();
    await turn();
    expect(first.of('reached')).toEqual([]);
    act();
    await turn();
    expect(first.of('reached')).toEqual([{ type: 'reached', epoch: 3 }]);
  });

  test('comes in parts when queues are many, and counts when all of them are there', async () => {
    const { watcher, ...rest } = await watching();
    const feed = rest.feeds.get(1) as Feed;
    const whole = { ...image(3), ahead: 2, queues: [queueOf(3)] } as TopologyUpdate;
    const ids = () => watcher.topology.list().map(({ queueId }) => queueId);
    feed.send({ type: 'image-part', epoch: 2, queues: [queueOf(9)] });
    feed.send({ type: 'image-part', epoch: 3, queues: [queueOf(1)] });
    feed.send({ type: 'image-part', epoch: 3, queues: [queueOf(2)] });
    await turn();
    expect([watcher.topology.epoch, ids()]).toEqual([0, []]);
    feed.send(whole);
    await turn();
    expect([watcher.topology.epoch, ids()]).toEqual([3, [1, 2, 3]]);
    expect(feed.of('reached')).toEqual([{ type: 'reached', epoch: 3 }]);
  });

  test('is asked for again when a part of it is missing: what is not in it would be taken for removed', async () => {
    const set = await watching();
    const { watcher } = set;
    const feed = set.feed(1);
    feed.send({ ...image(3), queues: [queueOf(1), queueOf(2)] } as TopologyUpdate);
    await turn();
    feed.send({ type: 'image-part', epoch: 4, queues: [queueOf(1)] });
    feed.send({ ...image(4), ahead: 2, queues: [queueOf(3)] } as TopologyUpdate);
    await turn();
    expect([watcher.topology.epoch, watcher.topology.queueCount]).toEqual([3, 2]);
    expect(await set.watched(1, 1)).toBe(true);
    expect(feed.of('watch').at(-1)).toEqual({ type: 'watch', clusterId: 'c', epoch: 3 });
  });

  test('has users, rules and bans that came before it in parts; without all of them it does not count', async () => {
    const set = await watching();
    const { watcher } = set;
    const feed = set.feed(1);
    const userOf = (key: string) => ({ table: 'user' as const, key, value: { hash: 'h', isSuperuser: false } });
    const users = () => [...watcher.topology.access.rows()].map(({ key }) => key);
    feed.send({ type: 'access-part', epoch: 3, rows: [userOf('ann')] });
    feed.send({ type: 'access-part', epoch: 3, rows: [userOf('bob')] });
    feed.send({ ...image(3), accessAhead: 2 } as TopologyUpdate);
    await turn();
    expect([watcher.topology.epoch, users()]).toEqual([3, ['ann', 'bob']]);
    feed.send({ type: 'access-part', epoch: 4, rows: [userOf('ann')] });
    feed.send({ ...image(4), accessAhead: 2 } as TopologyUpdate);
    await turn();
    expect([watcher.topology.epoch, users()]).toEqual([3, ['ann', 'bob']]);
    expect(await set.watched(1, 1)).toBe(true);
  });

  test('follows deltas one by one; one that is not newer changes nothing, a gap is asked for again', async () => {
    const { watcher, ...rest } = await watching();
    const feed = rest.feeds.get(1) as Feed;
    const heard: [number, TopologyChange][] = [];
    watcher.onChange(({ epoch }, what) => heard.push([epoch, what]));
    feed.send(image(3));
    feed.send(delta(4));
    feed.send(delta(4));
    feed.send(delta(6));
    await turn();
    expect(heard).toEqual([
      [3, 'image'],
      [4, 'delta'],
    ]);
    expect(feed.of('watch').at(-1)).toEqual({ type: 'watch', clusterId: 'c', epoch: 4 });
    const late: number[] = [];
    watcher.onChange(({ epoch }) => late.push(epoch));
    expect(late).toEqual([4]);
  });

  test('never goes back, whoever sends an older one, nor takes that of another cluster', async () => {
    const { watcher, feeds } = await watching([1, 2]);
    feeds.get(1)?.send(image(7));
    await turn();
    feeds.get(1)?.send(image(6));
    await turn();
    expect(watcher.topology.epoch).toBe(7);
    expect(await (fixture as Fixture).watched(2, 0)).toBe(true);
    feeds.get(2)?.send({ ...image(9), clusterId: 'another' } as TopologyUpdate);
    await turn();
    expect(watcher.topology.clusterId).toBe('c');
    expect(watcher.topology.epoch).toBe(7);
  });

  test('listeners hear of leaders only when something is news', async () => {
    const { watcher, feeds } = await watching();
    const heard: TopologyChange[] = [];
    feeds.get(1)?.send(image(1));
    await turn();
    watcher.onChange((_, what) => heard.push(what));
    const liveness = { type: 'liveness', leaders: [{ partition: 1, nodeId: 1, term: 2 }], alive: [1] } as const;
    for (let i = 0; i < 3; i++) feeds.get(1)?.send(liveness);
    feeds.get(1)?.send({ type: 'assignments', assignments: [] });
    await turn();
    expect(heard).toEqual(['image', 'liveness', 'assignments']);
    expect(watcher.topology.leaderOf(1)).toBe(1);
  });
});

describe('the leading coordinator', () => {
  test('is found by the hints of the others', async () => {
    const { feeds, watcher } = await watching([1, 2, 3]);
    expect(watcher.coordinator).toBe(0);
    feeds.get(1)?.send({ type: 'elsewhere', leader: 3 });
    await turn();
    expect(feeds.get(3)?.of('watch')).toHaveLength(1);
    feeds.get(3)?.send(image(1));
    await turn();
    expect(watcher.coordinator).toBe(3);
  });

  test('is found by a hint alone, however long there was none', async () => {
    const set = await watching([1, 2]);
    set.serve(3);
    const say = async (leader: number): Promise<void> => {
      for (const known of [1, 2]) set.feed(known).send({ type: 'elsewhere', leader });
      await set.tick(100);
    };
    for (let i = 0; i < 200; i++) await say(0);
    expect(set.feed(3).opened).toBe(0);
    for (let i = 0; i < 40 && set.feed(3).opened === 0; i++) await say(3);
    expect(set.feed(3).opened).toBe(1);
  });

  // It remembers from before where coordinators listen; one that came since, and leads, is nowhere in its directory.
  test('is reached over gRPC by the hint alone', async () => {
    const nodes = [NODE, 1, 3].map((nodeId) => {
      const addresses = new AddressBook();
      const parts = { tls: undefined, logger: silentLogger, metrics: new PlainMetrics(), clock: systemClock };
      const transport = new NodeTransport({ ...parts, addresses });
      transport.setIdentity({ clusterId: 'c', nodeId });
      return { transport, addresses };
    });
    const [away, follower, leader] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];
    const says = async ({ transport }: (typeof nodes)[0], update: TopologyUpdate): Promise<string> => {
      transport.serveChannel<TopologyFeedRequest, TopologyUpdate>('topology', (channel) => {
        channel.onMessage(({ type }) => type === 'watch' && channel.send(update));
      });
      return `127.0.0.1:${await transport.listen('127.0.0.1', 0)}`;
    };
    const address = await says(leader, image(1));
    away.addresses.set(1, await says(follower, { type: 'elsewhere', leader: 3, address, name: 'n3' }));
    const watcher = new TopologyWatcher({
      topology: new Topology(),
      transport: away.transport,
      addresses: away.addresses,
      coordinators: [1],
      clock: systemClock,
      logger: silentLogger,
      acted: () => undefined,
      report: () => REPORT,
    });
    try {
      watcher.start();
      await watcher.imaged();
      expect(watcher.coordinator).toBe(3);
    } finally {
      watcher.close();
      for (const { transport } of nodes) await transport.shutdown();
    }
  });

  test('a hint says nothing of a node that the image knows', async () => {
    const set = await watching([1, 2]);
    set.feed(1).send(image(1, [coordinator(1), coordinator(2)]));
    await turn();
    set.addresses.set(2, 'n2:1', 'n2');
    set.feed(1).send({ type: 'elsewhere', leader: 2, address: 'old:1', name: 'n2' });
    await turn();
    expect(set.addresses.addressOf(2)).toBe('n2:1');
  });

  test('is looked for with pauses when two point at each other', async () => {
    const { feeds } = await watching([1, 2]);
    const point = (): void => {
      feeds.get(1)?.send({ type: 'elsewhere', leader: 2 });
      feeds.get(2)?.send({ type: 'elsewhere', leader: 1 });
    };
    for (let i = 0; i < 60; i++) {
      point();
      await turn();
    }
    const opened = (feeds.get(1)?.opened ?? 0) + (feeds.get(2)?.opened ?? 0);
    expect(opened).toBeLessThan(8);
  });

  test('that goes or falls silent is replaced; the next hears what this node has and acts on', async () => {
    const set = await watching([1, 2]);
    set.feed(1).send(image(5));
    await turn();
    set.network.stop(1);
    expect(await set.watched(2, 0)).toBe(true);
    await turn();
    expect(set.feed(2).requests).toEqual([
      { type: 'watch', clusterId: 'c', epoch: 5 },
      { type: 'report', report: REPORT },
      { type: 'reached', epoch: 5 },
    ]);
    set.serve(1);
    // It says nothing: after a while the other one is tried.
    await set.tick(TopologyWatcher.SILENCE_MS + TopologyWatcher.BACKOFF_MAX_MS);
    expect(set.feed(1).opened).toBeGreaterThan(0);
    expect(set.watcher.topology.epoch).toBe(5);
  });

  test('may be one that the image names', async () => {
    const set = await watching([1]);
    set.serve(4);
    set.feed(1).send(image(2, [coordinator(4)]));
    await turn();
    set.network.stop(1);
    expect(await set.watched(4, 0)).toBe(true);
  });
});

test('reports go every second, and at the end of the turn when something moved', async () => {
  const set = await watching();
  const feed = set.feed(1);
  feed.send(image(1));
  await turn();
  for (let i = 0; i < 3; i++) {
    feed.send({ type: 'liveness', leaders: [], alive: [] });
    await set.tick(1_000);
  }
  expect(feed.of('report').length).toBe(4);
  set.watcher.reportSoon();
  set.watcher.reportSoon();
  expect(feed.of('report').length).toBe(4);
  await turn();
  expect(feed.of('report').length).toBe(5);
});
