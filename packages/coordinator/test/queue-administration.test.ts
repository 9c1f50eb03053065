import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';
import { openNodeStorage } from '@sluice/multiraft/node-storage';
import { RaftHost } from '@sluice/multiraft/raft-host';
import type { Outcome, QueueSpec } from '@sluice/rpc/contract/queue-management';
import type { StoreAdminRequest, StoreAdminResponse } from '@sluice/rpc/contract/store-admin';
import type { TopologyFeedRequest, TopologyUpdate } from '@sluice/rpc/contract/topology-feed';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import { Coordinator } from '../src/coordinator.ts';
import { QueueAdministration } from '../src/queue-administration.ts';

/** A coordinator over a real entry log, a node that watches it, and a store that answers what the test says. */
class TestCluster {
  readonly topology = new Topology();
  readonly transport = new InprocTransport({ isolate: true });
  coordinator!: Coordinator;
  queues!: QueueAdministration;
  /** A node that is slow to act says so later. */
  acts = true;
  store: (request: StoreAdminRequest) => StoreAdminResponse = () => ({ type: 'statistics', queues: [] });
  #host!: RaftHost;

  async start(directory: string): Promise<void> {
    const metrics = new PlainMetrics();
    const storage = await openNodeStorage({
      directory,
      logger: silentLogger,
      metrics,
      openEngine: async () => new MemoryEngine(),
      openEntryLog: (path, durableMark) =>
        openEntryLog({ directory: path, durableMark, logger: silentLogger, metrics, sync: false }),
    });
    this.#host = new RaftHost(storage, {
      nodeId: 1,
      clock: systemClock,
      logger: silentLogger,
      metrics,
      prng: new SeededPrng(1),
      peers: { send: () => {} },
      liveEntries: async () => [],
    });
    this.coordinator = new Coordinator({
      nodeId: 1,
      host: this.#host,
      membership: { voters: [1], votersOutgoing: [], learners: [], learnersNext: [] },
      partitionCount: 4,
      queueCountMax: DEFAULT_QUEUE_SUBSYSTEM_CONFIG.queueCountMax,
      clock: systemClock,
      logger: silentLogger,
      reachedTimeoutMs: 100,
    });
    this.coordinator.serve(this.transport);
    this.transport.serveCall<StoreAdminRequest, StoreAdminResponse>('store-admin', async (request) =>
      this.store(request),
    );
    await this.coordinator.open();
    const { coordinator, topology, transport } = this;
    this.queues = new QueueAdministration({ coordinator, topology, transport, clock: systemClock });
  }

  async form(): Promise<void> {
    this.#host.start();
    await this.coordinator.formed();
    const channel = this.transport.open<TopologyFeedRequest, TopologyUpdate>(1, 'topology');
    const imaged = new Promise<void>((resolve) => {
      channel.onMessage((update) => {
        if (update.type === 'image') this.topology.reset(update);
        else if (update.epoch > this.topology.epoch) this.topology.applyDelta(update);
        if (this.acts) channel.send({ type: 'reached', epoch: this.topology.epoch });
        resolve();
      });
    });
    channel.send({ type: 'watch' });
    await imaged;
  }

  async stop(): Promise<void> {
    await this.#host.close();
  }
}

let directory: string;
let cluster: TestCluster;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-coordinator-'));
  cluster = new TestCluster();
  await cluster.start(directory);
});

afterEach(async () => {
  await cluster.stop();
  await rm(directory, { recursive: true, force: true });
});

function spec(name: string, over: Partial<QueueSpec> = {}): QueueSpec {
  const { limits, ...rest } = QUEUE_SETTING_DEFAULTS;
  return {
    ...rest,
    limits: { ...limits },
    keyExpression: null,
    name,
    topicFilter: `${name}/#`,
    isLastValue: false,
    partitionCount: 1,
    ...over,
  };
}

function ok<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.message}`);
  return outcome.value;
}

const codeOf = (outcome: Outcome<unknown>): string => (outcome.ok ? 'ok' : outcome.code);

test('before the metadata has a leader everything is refused, and says so', async () => {
  const { queues } = cluster;
  const outcomes = await Promise.all([
    queues.list(),
    queues.get('a'),
    queues.create(spec('a')),
    queues.update('a', {}),
    queues.remove('a'),
    queues.statistics(['a']),
    queues.purge('a'),
    queues.config(),
    queues.patchConfig({}),
  ]);
  expect(new Set(outcomes.map(codeOf))).toEqual(new Set(['NOT_READY']));
});

describe('a definition', () => {
  beforeEach(() => cluster.form());

  test('that was created is in the image of every node when the call answers', async () => {
    const created = ok(await cluster.queues.create(spec('a')));
    expect(cluster.topology.queueByName('a')).toEqual(created);
    expect(created).toMatchObject({ name: 'a', topicFilter: 'a/#' });
    expect(created.partitions).toHaveLength(1);
    expect(ok(await cluster.queues.get('a'))).toEqual(created);
    expect(ok(await cluster.queues.list())).toEqual([created]);
  });

  test('that only some nodes act on yet is stored, and that is what is said', async () => {
    cluster.acts = false;
    expect(codeOf(await cluster.queues.create(spec('a')))).toBe('TIMEOUT');
    cluster.acts = true;
    expect(codeOf(await cluster.queues.create(spec('a')))).toBe('ALREADY_EXISTS');
  });

  test('created twice at once succeeds once', async () => {
    const outcomes = await Promise.all([1, 2, 3].map(() => cluster.queues.create(spec('a'))));
    expect(outcomes.map(codeOf).sort()).toEqual(['ALREADY_EXISTS', 'ALREADY_EXISTS', 'ok']);
  });

  test('is changed field by field, also inside limits; two who change at once both do', async () => {
    const before = ok(await cluster.queues.create(spec('a')));
    const [one, other] = await Promise.all([
      cluster.queues.update('a', { dispatchStrategy: 'least_inflight', limits: { countMax: 5 } }),
      cluster.queues.update('a', { localMaxInflight: 3, limits: { bytesMax: 7 } }),
    ]);
    expect([codeOf(one), codeOf(other)]).toEqual(['ok', 'ok']);
    expect(cluster.topology.queueByName('a')).toEqual({
      ...before,
      version: before.version + 2,
      dispatchStrategy: 'least_inflight',
      localMaxInflight: 3,
      limits: { ...before.limits, countMax: 5, bytesMax: 7 },
    });
  });

  test('of a queue that is not there is neither changed nor removed', async () => {
    expect(codeOf(await cluster.queues.update('a', {}))).toBe('NOT_FOUND');
    expect(codeOf(await cluster.queues.remove('a'))).toBe('NOT_FOUND');
    expect(codeOf(await cluster.queues.get('a'))).toBe('NOT_FOUND');
    expect(codeOf(await cluster.queues.purge('a'))).toBe('NOT_FOUND');
  });

  test('removed and created again is another queue', async () => {
    const first = ok(await cluster.queues.create(spec('a')));
    ok(await cluster.queues.remove('a'));
    expect(cluster.topology.queueByName('a')).toBeUndefined();
    const second = ok(await cluster.queues.create(spec('a')));
    expect(second.queueId).not.toBe(first.queueId);
  });

  test('survives a restart, with the number of queue ids that were given', async () => {
    const a = ok(await cluster.queues.create(spec('a')));
    const gone = ok(await cluster.queues.create(spec('gone')));
    ok(await cluster.queues.remove('gone'));
    await cluster.stop();
    cluster = new TestCluster();
    await cluster.start(directory);
    await cluster.form();
    expect(ok(await cluster.queues.list())).toEqual([a]);
    expect(ok(await cluster.queues.create(spec('b'))).queueId).toBeGreaterThan(gone.queueId);
  });
});

describe('the bounds of the subsystem', () => {
  beforeEach(() => cluster.form());

  test('the number of queues, raised at run time', async () => {
    ok(await cluster.queues.patchConfig({ queueCountMax: 1 }));
    ok(await cluster.queues.create(spec('a')));
    expect(codeOf(await cluster.queues.create(spec('b')))).toBe('MAX_QUEUE_COUNT_REACHED');
    ok(await cluster.queues.patchConfig({ queueCountMax: 2 }));
    ok(await cluster.queues.create(spec('b')));
  });

  test('is not switched off while queues exist; off, nothing is created', async () => {
    ok(await cluster.queues.create(spec('a')));
    expect(codeOf(await cluster.queues.patchConfig({ enable: false }))).toBe('BAD_REQUEST');
    ok(await cluster.queues.remove('a'));
    ok(await cluster.queues.patchConfig({ enable: false }));
    expect(codeOf(await cluster.queues.create(spec('a')))).toBe('NOT_ENABLED');
    expect(ok(await cluster.queues.config())).toEqual({ ...DEFAULT_QUEUE_SUBSYSTEM_CONFIG, enable: false });
  });

  test('more partitions than one are not promised', async () => {
    expect(codeOf(await cluster.queues.create(spec('a', { partitionCount: 2 })))).toBe('BAD_REQUEST');
  });
});

describe('figures and messages', () => {
  beforeEach(async () => {
    await cluster.form();
    ok(await cluster.queues.create(spec('a')));
  });

  test('come from the store; what it does not answer for is missing, not zero', async () => {
    expect(ok(await cluster.queues.statistics(['a', 'unknown'])).size).toBe(0);
    const queueId = cluster.topology.queueByName('a')?.queueId as number;
    const figures = { depth: 5, inflight: 2, depthBytes: 10, oldestAppendedAtMs: Date.now() - 2_000 };
    cluster.store = () => ({ type: 'statistics', queues: [{ queueId, ...ZEROES, ...figures }] });
    const all = ok(await cluster.queues.statistics(['a']));
    expect(all.get('a')).toMatchObject({ depthMessages: 5, readyMessages: 3, inflightMessages: 2, lagMessages: 5 });
    expect(all.get('a')?.lagSeconds).toBeGreaterThanOrEqual(2);
  });

  test('a store that does not lead, or cannot read, is a refusal with its words', async () => {
    cluster.store = () => ({ type: 'refused', code: 'unavailable', message: 'entry 7 is damaged' });
    expect(await cluster.queues.peek('a', PEEK)).toMatchObject({ code: 'UNAVAILABLE', message: 'entry 7 is damaged' });
    cluster.store = () => ({ type: 'refused', code: 'queue-unknown', message: '' });
    expect(codeOf(await cluster.queues.purge('a'))).toBe('NOT_FOUND');
    cluster.store = () => ({ type: 'purged', count: 3 });
    expect(ok(await cluster.queues.purge('a'))).toBe(3);
  });

  test('a partition that does not hold the queue has no messages of it to show', async () => {
    const partition = cluster.topology.queueByName('a')?.partitions[0] as number;
    expect(codeOf(await cluster.queues.peek('a', { ...PEEK, partition: partition + 1 }))).toBe('BAD_REQUEST');
    cluster.store = () => ({ type: 'peeked', records: [], nextOffset: 0 });
    expect(ok(await cluster.queues.peek('a', { ...PEEK, partition }))).toEqual({ messages: [], nextOffset: null });
  });
});

const PEEK = { limit: 10, fromOffset: null, partition: null, payloadBytesMax: 10 };

const ZEROES = {
  partition: 1,
  depth: 0,
  depthBytes: 0,
  inflight: 0,
  consumers: 0,
  keys: 0,
  head: 0,
  tail: 0,
  oldestAppendedAtMs: 0,
  publishedTotal: 0,
  publishedBytesTotal: 0,
  acceptedTotal: 0,
  returnedTotal: 0,
  refusedTotal: 0,
  expiredTotal: 0,
  overwrittenTotal: 0,
  droppedTotal: 0,
  purgedTotal: 0,
  redeliveredTotal: 0,
  deliveredTotal: 0,
};
