import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { Topology } from '@sluice/meta/topology';
import type { Command, QueueConfig } from '@sluice/queue/machine/command/commands';
import { isInternalQueue } from '@sluice/queue/machine/internal-queues';
import type { Partition } from '../../src/partition/partition.ts';
import { QueueConfigurator } from '../../src/partition/queue-configurator.ts';
import { DEFINITION, imageOf, NO_CHANGE, TestStore, until } from '../support/test-store.ts';

describe('with a real partition', () => {
  let store: TestStore;
  beforeEach(async () => {
    store = await TestStore.start();
  });
  afterEach(() => store.remove());

  test('a queue defined while the log takes nothing more is configured once it does', async () => {
    const propose = store.host.propose.bind(store.host);
    let busy = 3;
    store.host.propose = (...args) => (busy-- > 0 ? 'busy' : propose(...args));
    await store.define();
    expect(busy).toBeLessThan(0);
    expect(await store.publish(1, ['1'])).toMatchObject({ status: 'committed', refused: [] });
  });

  test('limits and their change reach the log, a removed queue refuses', async () => {
    await store.define({ limits: { countMax: 1, bytesMax: null, overflow: 'refuse' } });
    const { refused } = await store.publish(1, ['1', '2']);
    expect(refused).toEqual([{ slot: 1, queueId: 1, code: 'queue-full' }]);
    await store.define({ limits: { countMax: 2, bytesMax: null, overflow: 'refuse' } });
    expect((await store.publish(1, ['2'])).refused).toEqual([]);
    await store.undefine(1);
    expect((await store.publish(1, ['3'])).refused[0]?.code).toMatch(/queue-(removed|unknown)/);
  });

  test('a queue whose removal is in the log is not made anew by an image that has it still', async () => {
    await store.define();
    await store.publish(1, ['1']);
    const partition = store.partition(1);
    await partition.execute({ type: 'remove-queue', queueId: 1 });
    await until(() => partition.queues.queue(1) === undefined, 'its rows are gone');
    expect(store.topology.queue(1)).toBeDefined();
    await store.define({ limits: { countMax: 7, bytesMax: null, overflow: 'refuse' } });
    expect(partition.queues.queue(1)).toBeUndefined();
    expect((await store.publish(1, ['2'])).refused[0]?.code).toBe('queue-removed');
  });

  test('nor by one that has read the rows of a removal that others applied, and then serves what it knows', async () => {
    await store.define();
    const partition = store.partition(1);
    await partition.execute({ type: 'remove-queue', queueId: 1, epoch: store.topology.epoch + 1 });
    await store.restart();
    const again = store.partition(1);
    expect([store.topology.queue(1)?.queueId, again.removedQueues.has(1), again.serves]).toEqual([1, false, true]);
    expect(again.queues.queue(1)).toBeUndefined();
    await store.undefine(1);
    await store.define({ queueId: 2, name: 'later' });
    expect((await store.publish(2, ['2'])).refused).toEqual([]);
  });

  test('a queue defined before the partitions had a leader is there after a restart', async () => {
    await store.define();
    await store.publish(1, ['1']);
    await store.restart();
    expect((await store.publish(1, ['2'])).refused).toEqual([]);
    expect(await store.stored(1)).toEqual(['1', '2']);
  });
});

/** A partition whose log is a map of versions; a queue whose version is negative is being removed. */
class FakePartition {
  leads = false;
  serves = false;
  readonly versions = new Map<number, number>();
  /** Of users' queues. */
  readonly executed: Command[] = [];
  internal: QueueConfig | undefined;
  /** Called with each command, before it is applied. */
  during: (command: Command) => void | Promise<void> = () => {};
  looks = 0;
  readonly queues = {
    queue: (queueId: number) => {
      if (isInternalQueue(queueId)) return this.internal;
      this.looks++;
      const version = this.versions.get(queueId);
      return version === undefined ? undefined : { queueId, version: Math.abs(version), isRemoved: version < 0 };
    },
    queues: () => [...this.versions.keys()].map((queueId) => ({ queueId })),
    removalEpoch: 0,
  };
  readonly removedQueues = new Set<number>();
  readonly dispatches = { redefined: () => {} };
  configured(): void {
    this.serves = true;
  }
  async execute(command: Command): Promise<void> {
    if (command.type === 'configure-queue' && isInternalQueue(command.config.queueId)) {
      if (this.leads) this.internal = command.config;
      return;
    }
    this.executed.push(command);
    await this.during(command);
    if (!this.leads) return;
    if (command.type === 'configure-queue') this.versions.set(command.config.queueId, command.config.version);
    if (command.type !== 'remove-queue') return;
    this.versions.delete(command.queueId);
    this.queues.removalEpoch = Math.max(this.queues.removalEpoch, command.epoch ?? 0);
  }
}

function setUp(partitions: number) {
  const topology = new Topology();
  const fakes = Array.from({ length: partitions }, () => new FakePartition());
  const configurator = new QueueConfigurator({
    partitions: new Map(fakes.map((fake, i) => [i + 1, fake as unknown as Partition])),
    topology,
    retained: { countMax: 1000, bytesMax: 1000 },
    logger: silentLogger,
  });
  const lead = (fake: FakePartition | undefined, leads = true): Promise<void> => {
    if (fake === undefined) throw new Error('no such partition');
    fake.leads = leads;
    fake.serves = false;
    return configurator.leadershipMoved(fake as unknown as Partition);
  };
  const define = (queueId: number, partition: number): void => {
    const epoch = topology.epoch + 1;
    const definition = { ...DEFINITION, queueId, name: `q${queueId}`, partitions: [partition], version: epoch };
    topology.applyDelta({ ...NO_CHANGE, epoch, changed: [definition] });
  };
  return { topology, fakes, configurator, lead, define };
}

describe('leadership moves', () => {
  test('to a partition that a pass has gone by: it is configured as well, and serves only then', async () => {
    const { topology, fakes, lead, define, configurator } = setUp(2);
    const [first, late] = fakes as [FakePartition, FakePartition];
    topology.reset(imageOf([]));
    define(1, 2);
    define(2, 1);
    let moving: Promise<void> | undefined;
    first.during = () => {
      moving ??= lead(late);
      expect(late.serves).toBe(false);
    };
    await lead(first);
    await moving;
    await configurator.settle();
    expect([...late.versions.keys()]).toEqual([1]);
    expect([first.serves, late.serves]).toEqual([true, true]);
    expect(late.internal).toMatchObject({ name: '$retained', version: 1 });
  });

  test('away and back during a pass: what it skipped is looked at again before publishes are taken', async () => {
    const { topology, fakes, lead, define } = setUp(1);
    const fake = fakes[0] as FakePartition;
    topology.reset(imageOf([]));
    for (let queueId = 1; queueId <= 3; queueId++) define(queueId, 1);
    let moving: Promise<void> | undefined;
    fake.during = () => {
      if (moving !== undefined) return;
      void lead(fake, false);
      moving = Promise.resolve().then(() => lead(fake));
    };
    await lead(fake);
    await moving;
    expect([...fake.versions.keys()].sort()).toEqual([1, 2, 3]);
    expect(fake.serves).toBe(true);
  });

  test('to a node whose image is behind: a queue that it has not heard of yet stays, one it knows to be gone goes', async () => {
    const { topology, fakes, lead } = setUp(1);
    const fake = fakes[0] as FakePartition;
    topology.reset({ ...imageOf([]), epoch: 5 });
    fake.versions.set(1, 4).set(2, 6);
    await lead(fake);
    expect([...fake.versions.keys()]).toEqual([2]);
  });

  test('to two partitions of which one commits nothing: the other serves meanwhile', async () => {
    const { topology, fakes, lead } = setUp(2);
    const [stuck, well] = fakes as [FakePartition, FakePartition];
    const queues = [1, 2].map((queueId) => ({ ...DEFINITION, queueId, name: `q${queueId}`, partitions: [queueId] }));
    topology.reset(imageOf([], queues));
    let goOn = (): void => {};
    stuck.during = () => new Promise((resolve) => (goOn = resolve));
    const serving = new Promise<void>((resolve) => {
      well.configured = () => resolve();
    });
    const moved = Promise.all([lead(stuck), lead(well)]);
    await serving;
    expect(stuck.serves).toBe(false);
    goOn();
    await moved;
    expect(stuck.serves).toBe(true);
  });

  test('to a node without an image: what the log knows is served', async () => {
    const { fakes, lead } = setUp(1);
    const fake = fakes[0] as FakePartition;
    fake.versions.set(1, 4);
    await lead(fake);
    expect([fake.serves, fake.executed]).toEqual([true, []]);
  });
});

describe('a removal', () => {
  const removals = (fake: FakePartition) => fake.executed.filter(({ type }) => type === 'remove-queue');
  const changedTo = (epoch: number, queueId: number) => ({
    ...DEFINITION,
    queueId,
    name: `q${queueId}`,
    partitions: [1],
    version: epoch,
  });

  test('names its image, and comes when what else is in that is in the log', async () => {
    const { topology, fakes, lead, configurator } = setUp(1);
    const fake = fakes[0] as FakePartition;
    topology.reset({ ...imageOf([], [changedTo(3, 1)]), epoch: 5 });
    fake.versions.set(9, 2);
    const known: number[][] = [];
    fake.during = async ({ type }) => {
      if (type === 'remove-queue') known.push([...fake.versions.keys()]);
      else await new Promise((resolve) => setImmediate(resolve));
    };
    await lead(fake);
    topology.applyDelta({ ...NO_CHANGE, epoch: 6, changed: [changedTo(6, 2), changedTo(6, 3)], removed: [1] });
    await configurator.settle();
    expect(known).toEqual([
      [9, 1],
      [1, 2, 3],
    ]);
    expect([...fake.versions.keys()]).toEqual([2, 3]);
    expect(removals(fake)).toEqual([
      { type: 'remove-queue', queueId: 9, epoch: 5 },
      { type: 'remove-queue', queueId: 1, epoch: 6 },
    ]);
  });

  test('of a queue that goes while all are looked at names the image that lacks it', async () => {
    const { topology, fakes, lead, configurator } = setUp(1);
    const fake = fakes[0] as FakePartition;
    topology.reset({ ...imageOf([], [changedTo(3, 1), changedTo(3, 2)]), epoch: 5 });
    fake.versions.set(2, 3);
    let settling: Promise<void> | undefined;
    fake.during = ({ type }) => {
      if (type === 'remove-queue' || settling !== undefined) return;
      topology.applyDelta({ ...NO_CHANGE, epoch: 6, changed: [changedTo(6, 3)], removed: [2] });
      settling = configurator.settle();
    };
    await lead(fake);
    await settling;
    expect([...fake.versions.keys()]).toEqual([1, 3]);
    expect(removals(fake)).toEqual([{ type: 'remove-queue', queueId: 2, epoch: 6 }]);
  });

  test('is not undone by an image before that; what the log knows follows it, and a later image makes queues again', async () => {
    const { topology, fakes, lead, configurator } = setUp(1);
    const fake = fakes[0] as FakePartition;
    topology.reset({ ...imageOf([], [changedTo(3, 1), changedTo(4, 2)]), epoch: 5 });
    fake.versions.set(2, 3);
    fake.queues.removalEpoch = 7;
    await lead(fake);
    expect([[...fake.versions], fake.serves]).toEqual([[[2, 4]], true]);
    topology.applyDelta({ ...NO_CHANGE, epoch: 7, changed: [changedTo(7, 3)], removed: [1] });
    await configurator.settle();
    expect([...fake.versions]).toEqual([
      [2, 4],
      [3, 7],
    ]);
  });

  test('names none while a node may be of a build that does not know it', async () => {
    const { topology, fakes, lead } = setUp(1);
    const fake = fakes[0] as FakePartition;
    topology.reset({ ...imageOf([]), epoch: 5, featureLevel: { level: 2, isHeld: false } });
    fake.versions.set(9, 2);
    await lead(fake);
    expect(fake.executed).toEqual([{ type: 'remove-queue', queueId: 9 }]);
  });
});

test('among many queues, one that changes costs a look at that one', async () => {
  const { topology, fakes, lead, define, configurator } = setUp(1);
  const fake = fakes[0] as FakePartition;
  const queues = Array.from({ length: 5000 }, (_, i) => ({ ...DEFINITION, queueId: i + 1, name: `q${i + 1}` }));
  topology.reset(imageOf([], queues));
  for (const { queueId, version } of queues) fake.versions.set(queueId, version);
  await lead(fake);
  fake.looks = 0;
  define(6000, 1);
  topology.applyDelta({ ...NO_CHANGE, epoch: topology.epoch + 1, removed: [7] });
  await configurator.settle();
  expect(fake.looks).toBeLessThan(5);
  expect([fake.versions.has(6000), fake.versions.has(7), fake.versions.size]).toEqual([true, false, 5000]);
});
