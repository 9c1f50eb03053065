import { beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import type { MetaReply } from '@sluice/meta/meta-reply';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import type {
  NodeReport,
  TopologyFeedRequest,
  TopologyImage,
  TopologyUpdate,
} from '@sluice/rpc/contract/topology-feed';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import type { Channel } from '@sluice/rpc/transport';
import { NodeLiveness } from '../src/liveness/node-liveness.ts';
import { TopologyFeed } from '../src/topology-feed.ts';

const COORDINATOR = 1;
const SILENCE_MS = 5_000;

class Watcher {
  readonly channel: Channel<TopologyFeedRequest, TopologyUpdate>;
  updates: TopologyUpdate[] = [];

  constructor(nodeId: number, epoch = 0) {
    this.channel = network.node(nodeId).open(COORDINATOR, 'topology');
    this.channel.onMessage((update) => this.updates.push(update));
    this.channel.send({ type: 'watch', clusterId: epoch > 0 ? 'c' : '', epoch });
  }

  reach(epoch: number): void {
    this.channel.send({ type: 'reached', epoch });
  }

  report(over: Partial<NodeReport> = {}): void {
    this.channel.send({ type: 'report', report: { leads: [], impaired: [], replicas: [], consumers: [], ...over } });
  }

  of<T extends TopologyUpdate['type']>(type: T): Extract<TopologyUpdate, { type: T }>[] {
    return this.updates.filter((update): update is Extract<TopologyUpdate, { type: T }> => update.type === type);
  }
}

let network: InprocNetwork;
let feed: TopologyFeed;
let image: TopologyImage | undefined;
let nodes: number[];
let nowMs: number;
let dead: Set<number>;
let leader: number;
let others: number[];
let liveness: NodeLiveness;

const imageAt = (epoch: number): TopologyImage => ({
  epoch,
  clusterId: 'c',
  partitionCount: 1,
  replicationFactor: 1,
  nodes: [],
  partitions: [],
  config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
  queues: [],
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

const NODE: Omit<NodeInfo, 'nodeId'> = {
  incarnation: 'disk 7',
  name: 'n7',
  address: 'n7:1',
  roles: ['coordinator'],
  rack: '',
  version: '',
  mqttAddress: '',
  state: 'active',
};

beforeEach(() => {
  network = new InprocNetwork({ codecs: true });
  image = imageAt(3);
  nodes = [2, 3];
  nowMs = 100_000;
  dead = new Set();
  leader = 7;
  others = [7];
  liveness = new NodeLiveness(SILENCE_MS);
  feed = new TopologyFeed({
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
    liveness,
    image: () => image,
    nodes: () => nodes,
    partitions: () => [],
    seemsDead: (nodeId) => dead.has(nodeId),
    leader: () => leader,
    otherCoordinators: () => others,
    node: (nodeId) => (nodeId === 0 ? undefined : { ...NODE, nodeId }),
    assignments: () => [],
    onMoved: () => {},
    defer: (task) => queueMicrotask(task),
  });
  network
    .node(COORDINATOR)
    .serveChannel<TopologyFeedRequest, TopologyUpdate>('topology', (channel, from) => feed.accept(channel, from));
  feed.leadership(true);
});

/** Time passes as it does for who looks at it all the time. */
function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 1_000) {
    nowMs += 1_000;
    liveness.isAlive(0, nowMs);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** A committed change, as the machine tells it. */
function change(epoch: number, over: Partial<MetaReply> = {}): void {
  image = imageAt(epoch);
  feed.applied({ result: 'done', epoch, removed: 7, ...over });
}

async function outcomeOf(reaching: Promise<boolean>): Promise<boolean | undefined> {
  let outcome: boolean | undefined;
  void reaching.then((reached) => (outcome = reached));
  await turn();
  return outcome;
}

describe('a node that watches', () => {
  test('gets the image at once, then each change', async () => {
    const watcher = new Watcher(2);
    await turn();
    change(4);
    await turn();
    expect(watcher.of('image').map(({ epoch }) => epoch)).toEqual([3]);
    expect(watcher.of('delta').map(({ epoch, removed }) => [epoch, removed])).toEqual([[4, [7]]]);
  });

  test('gets an image of many queues in messages of a few, in their order', async () => {
    const count = 2 * TopologyFeed.PART_QUEUES + 7;
    image = { ...imageAt(3), queues: Array.from({ length: count }, (_, i) => queueOf(i + 1)) };
    const watcher = new Watcher(2);
    await turn();
    const messages = [...watcher.of('image-part'), ...watcher.of('image')];
    expect(messages.map(({ epoch, queues }) => [epoch, queues.length])).toEqual([
      [3, TopologyFeed.PART_QUEUES],
      [3, TopologyFeed.PART_QUEUES],
      [3, 7],
    ]);
    expect(watcher.of('image')[0]?.ahead).toBe(2 * TopologyFeed.PART_QUEUES);
    expect(messages.flatMap(({ queues }) => queues.map(({ queueId }) => queueId))).toEqual(
      image.queues.map(({ queueId }) => queueId),
    );
  });

  test('before there is a cluster: gets the image when it is formed', async () => {
    image = undefined;
    const watcher = new Watcher(2);
    await turn();
    expect(watcher.updates).toEqual([]);
    image = imageAt(1);
    feed.applied({ result: 'formed', epoch: 1 });
    await turn();
    expect(watcher.of('image').map(({ epoch }) => epoch)).toEqual([1]);
  });

  test('and has an image gets what changed since, while that is known; also what a former leader had committed', async () => {
    feed.leadership(false);
    for (const epoch of [4, 5, 6]) change(epoch);
    feed.leadership(true);
    const [behind, level, far, ahead] = [new Watcher(2, 4), new Watcher(3, 6), new Watcher(4, 2), new Watcher(5, 9)];
    await turn();
    expect(behind.of('image')).toEqual([]);
    expect(behind.of('delta').map(({ epoch }) => epoch)).toEqual([5, 6]);
    expect([level.of('image').length, level.of('delta').length]).toEqual([0, 0]);
    expect(level.of('liveness')).not.toEqual([]);
    expect(far.of('image').map(({ epoch }) => epoch)).toEqual([6]);
    expect(ahead.of('image').map(({ epoch }) => epoch)).toEqual([6]);
    for (let epoch = 7; epoch < 7 + TopologyFeed.RECENT_MAX; epoch++) change(epoch);
    const late = new Watcher(6, 5);
    await turn();
    expect(late.of('image')).toHaveLength(1);
  });

  test('is sent to the coordinator that leads, at once and when leadership moves', async () => {
    const watcher = new Watcher(2);
    await turn();
    feed.leadership(false);
    const other = new Watcher(3);
    await turn();
    // With where it listens: who was away for long has never heard of it.
    const elsewhere = { type: 'elsewhere', leader: 7, address: 'n7:1', name: 'n7' };
    expect(watcher.updates.at(-1)).toEqual(elsewhere);
    expect(other.updates).toEqual([elsewhere]);
    change(4);
    await turn();
    expect(watcher.of('delta')).toEqual([]);
  });

  test('is sent to the other coordinators in turn by one that was not told who leads', async () => {
    feed.leadership(false);
    leader = 0;
    others = [5, 6];
    const sentTo = async (): Promise<(number | string | undefined)[]> => {
      const watcher = new Watcher(2);
      await turn();
      return watcher.of('elsewhere').flatMap((update) => [update.leader, update.address]);
    };
    expect([await sentTo(), await sentTo(), await sentTo()]).toEqual([
      [5, 'n7:1'],
      [6, 'n7:1'],
      [5, 'n7:1'],
    ]);
    others = [];
    expect(await sentTo()).toEqual([0, undefined]);
  });

  test('hears who leads and who lives: once a turn, when it changed, and every second', async () => {
    const [a, b] = [new Watcher(2), new Watcher(3)];
    await turn();
    a.updates = [];
    const leads = (term: number) => [{ partition: 1, term, membershipIndex: 1, voters: [2], learners: [], depth: 0 }];
    const clock = { wallMs: 1_000, nowMs: 1_000, monotonicMs: 5 };
    a.report({ leads: leads(4), levels: { min: 1, max: 2 }, clock });
    b.report({ leads: leads(5), levels: { min: 1, max: 3 } });
    await turn();
    expect(a.of('liveness')).toEqual([
      {
        type: 'liveness',
        leaders: [{ partition: 1, nodeId: 3, term: 5 }],
        alive: [2, 3],
        troubles: [],
        nodeTroubles: [],
        levels: [2, 3].map((nodeId) => ({ nodeId, min: 1, max: nodeId })),
        // Of one of two: no majority.
        clocks: [{ nodeId: 2, wallMs: 1_000, monotonicMs: 5 }],
      },
    ]);
    a.report({ leads: leads(4), levels: { min: 1, max: 2 } });
    feed.tick();
    await turn();
    expect(a.of('liveness')).toHaveLength(1);
    nowMs += TopologyFeed.BEAT_MS;
    feed.tick();
    await turn();
    expect(a.of('liveness')).toHaveLength(2);
    pass(SILENCE_MS);
    // Of a build that knows of no levels.
    a.report();
    feed.tick();
    await turn();
    const levels = [{ nodeId: 2, min: 1, max: 1 }];
    const alone = { type: 'liveness', leaders: [], alive: [2], troubles: [], nodeTroubles: [], levels, clocks: [] };
    expect(a.of('liveness').at(-1)).toEqual(alone);
  });
});

describe('a node that lives and cannot do all it should', () => {
  const troubles = (watcher: Watcher) => watcher.of('liveness').at(-1)?.nodeTroubles;

  test('its disk refuses publishes: everybody hears of it at once, and that it is over', async () => {
    const [a, b] = [new Watcher(2), new Watcher(3)];
    a.report();
    b.report();
    await turn();
    expect(troubles(a)).toEqual([]);
    b.report({ disk: 'disk-low' });
    await turn();
    expect(troubles(a)).toEqual([{ nodeId: 3, kind: 'disk-low' }]);
    b.report({ disk: 'disk-failed' });
    await turn();
    expect(troubles(a)).toEqual([{ nodeId: 3, kind: 'disk-failed' }]);
    b.report();
    await turn();
    expect(troubles(a)).toEqual([]);
  });

  test('it was killed a moment ago, whatever its role', async () => {
    const [a, b] = [new Watcher(2), new Watcher(3)];
    a.report();
    b.report();
    await turn();
    b.channel.close();
    await turn();
    expect(troubles(a)).toEqual([{ nodeId: 3, kind: 'parted' }]);
    pass(SILENCE_MS + 1);
    a.report();
    feed.tick();
    await turn();
    expect(troubles(a)).toEqual([]);
  });
});

describe('an epoch is reached', () => {
  test('when the slowest node that lives acts on it', async () => {
    const [a, b] = [new Watcher(2), new Watcher(3)];
    const reaching = feed.reached(4, 5_000);
    a.reach(4);
    b.reach(3);
    expect(await outcomeOf(reaching)).toBeUndefined();
    b.reach(5);
    expect(await outcomeOf(reaching)).toBe(true);
    expect(await outcomeOf(feed.reached(4, 5_000))).toBe(true);
  });

  test('not before nodes that may live had the time to come', async () => {
    const a = new Watcher(2);
    a.reach(9);
    await turn();
    const reaching = feed.reached(4, 60_000);
    expect(await outcomeOf(reaching)).toBeUndefined();
    pass(SILENCE_MS + 1_000);
    a.reach(9);
    expect(await outcomeOf(reaching)).toBe(true);
  });

  test('a moment after a connection broke; a node that is known to be dead is waited for no longer than that', async () => {
    const [a, b] = [new Watcher(2), new Watcher(3)];
    nodes.push(4);
    dead.add(4);
    a.reach(4);
    b.reach(3);
    await turn();
    b.channel.close();
    const reaching = feed.reached(4, 60_000);
    expect(await outcomeOf(reaching)).toBeUndefined();
    nowMs += NodeLiveness.BROKEN_MS + 1;
    feed.tick();
    expect(await outcomeOf(reaching)).toBe(true);
  });

  test('or not in time, or not by this leader, which is said', async () => {
    new Watcher(2);
    await turn();
    const late = feed.reached(4, 100);
    nowMs += 101;
    feed.tick();
    expect(await outcomeOf(late)).toBe(false);
    const deposed = feed.reached(4, 5_000);
    feed.leadership(false);
    expect(await outcomeOf(deposed)).toBe(false);
    expect(await outcomeOf(feed.reached(1, 5_000))).toBe(false);
  });
});

test('users, rules and bans come before their image in parts, and what changed of them comes as a change', async () => {
  const rows = Array.from({ length: 3_000 }, (_, i) => ({
    table: 'user' as const,
    key: `user-${i}`,
    value: { hash: 'x'.repeat(200), isSuperuser: false },
  }));
  image = { ...imageAt(3), access: rows };
  const watcher = new Watcher(2);
  await new Promise((resolve) => setImmediate(resolve));
  const parts = watcher.of('access-part');
  expect(parts.length).toBeGreaterThan(2);
  expect(parts.flatMap((part) => part.rows)).toEqual(rows);
  expect(watcher.of('image')[0]).toMatchObject({ epoch: 3, accessAhead: 3_000 });
  expect(watcher.of('image')[0]?.access).toBeUndefined();
  const access = { put: [], removed: [{ table: 'user' as const, key: 'user-1' }] };
  feed.applied({ result: 'done', epoch: 4, access });
  await new Promise((resolve) => setImmediate(resolve));
  expect(watcher.of('delta')[0]?.access).toEqual(access);
});

describe('a channel of an earlier leadership of the same coordinator', () => {
  test('that closes late parts nobody who has come anew', async () => {
    const early = new Watcher(2);
    await turn();
    feed.leadership(false);
    feed.leadership(true);
    const late = new Watcher(2);
    late.report();
    await turn();
    early.channel.close();
    await turn();
    nowMs += NodeLiveness.BROKEN_MS + 1;
    expect([liveness.isParted(2), liveness.isExpected(2, nowMs, false)]).toEqual([false, true]);
    expect(liveness.levels(2, nowMs)).toBeDefined();
  });

  test('on which the node goes on to speak connects it, until it closes', async () => {
    const watcher = new Watcher(2);
    await turn();
    feed.leadership(false);
    feed.leadership(true);
    watcher.report();
    await turn();
    nowMs += NodeLiveness.BROKEN_MS + 1;
    expect([liveness.isParted(2), liveness.isExpected(2, nowMs, false)]).toEqual([false, true]);
    watcher.channel.close();
    await turn();
    expect(liveness.isParted(2)).toBe(true);
  });
});

test('what a node said is kept for as long as the cluster knows it', async () => {
  const [going, staying] = [new Watcher(2), new Watcher(3)];
  for (const watcher of [going, staying]) watcher.report();
  await turn();
  going.channel.close();
  await turn();
  change(4, { removedNodes: [2, 3] });
  expect(liveness.report(2)).toBeUndefined();
  // Whatever is said of it, somebody speaks.
  expect(liveness.report(3)).toBeDefined();
});
