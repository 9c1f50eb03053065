import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { Topology } from '@sluice/meta/topology';
import type { Partition } from '../src/partition.ts';
import { QueueConfigurator } from '../src/queue-configurator.ts';
import { DEFINITION, TestStore } from './support/test-store.ts';

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

  test('a queue defined before the partitions had a leader is there after a restart', async () => {
    await store.define();
    await store.publish(1, ['1']);
    await store.restart();
    expect((await store.publish(1, ['2'])).refused).toEqual([]);
    expect(await store.stored(1)).toEqual(['1', '2']);
  });
});

test('a partition that begins to lead while others are configured is configured as well', async () => {
  const topology = new Topology();
  const queues = [
    { ...DEFINITION, queueId: 1, name: 'a', partitions: [1] },
    { ...DEFINITION, queueId: 2, name: 'b', partitions: [2] },
  ];
  topology.reset({ epoch: 1, clusterId: 'c', partitionCount: 2, leaders: [1, 1], queues });
  const configured: number[] = [];
  const late = { leads: false };
  let configurator: QueueConfigurator;
  const partition = (leads: { leads: boolean }, during: () => void): Partition =>
    ({
      get leads() {
        return leads.leads;
      },
      machine: { queue: () => undefined, queues: () => [] },
      redefined: () => {},
      execute: async (command: { config: { queueId: number } }) => {
        configured.push(command.config.queueId);
        during();
      },
    }) as unknown as Partition;
  const partitions = new Map([
    [2, partition(late, () => {})],
    [
      1,
      partition({ leads: true }, () => {
        if (late.leads) return;
        // The pass is beyond this partition already.
        queueMicrotask(() => {
          late.leads = true;
          void configurator.leadershipMoved();
        });
      }),
    ],
  ]);
  configurator = new QueueConfigurator({ partitions, topology, logger: silentLogger });
  await configurator.settle();
  await configurator.settle();
  expect(configured).toContain(2);
});
