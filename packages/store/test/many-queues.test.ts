import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Labels } from '@sluice/common/metrics';
import { Topology } from '@sluice/meta/topology';
import { QueueMachine } from '@sluice/queue/machine/queue-machine';
import { QueueMetrics } from '../src/metrics/queue-metrics.ts';
import { RetentionSweeper } from '../src/sweep/retention-sweeper.ts';
import { DEFINITION, NO_CHANGE, TestStore, until } from './support/test-store.ts';

/**
 * Work is counted, not timed: with a thousand queues that do nothing, whatever looks at each of them would be seen here,
 * and whatever does not costs a hundred thousand the same.
 */
const QUEUES = 1_000;

let store: TestStore;
/** Queues that walks over all of them have come to, in the machines and in the image. */
let walked: number;

beforeEach(async () => {
  store = await TestStore.start();
  const changed = Array.from({ length: QUEUES }, (_, i) => ({
    ...DEFINITION,
    queueId: i + 1,
    name: `q${i + 1}`,
    topicFilter: `t/${i + 1}`,
    partitions: [(i % 2) + 1],
  }));
  store.topology.applyDelta({ ...NO_CHANGE, epoch: store.topology.epoch + 1, changed });
  store.store.topologyChanged();
  await store.store.settled();
  walked = 0;
  const queues = QueueMachine.prototype.queues;
  jest.spyOn(QueueMachine.prototype, 'queues').mockImplementation(function* (this: QueueMachine) {
    for (const queue of queues.call(this)) {
      walked++;
      yield queue;
    }
  });
  const list = Topology.prototype.list;
  jest.spyOn(Topology.prototype, 'list').mockImplementation(function (this: Topology) {
    walked += this.queueCount;
    return list.call(this);
  });
});
afterEach(async () => {
  jest.restoreAllMocks();
  await store.remove();
});

const more = (queueId: number) => store.define({ queueId, name: `q${queueId}`, topicFilter: `t/${queueId}` });

/** The figures of queues, and what a page would show of them. */
function page() {
  const families = new Map<string, () => Iterable<[Labels, number]>>();
  const collect = (name: string, _help: string, _type: string, read: () => Iterable<[Labels, number]>): void => {
    families.set(name, read);
  };
  const collectHistograms = (): void => {};
  const metrics = new QueueMetrics(store.store.figures, { collect, collectHistograms } as never);
  return { metrics, series: (name: string) => [...(families.get(name)?.() ?? [])] };
}

describe('among many queues that do nothing', () => {
  test('one more, one that changes and one that goes look at no other', async () => {
    const proposed = jest.spyOn(store.host, 'propose');
    await more(QUEUES + 1);
    await store.define({ queueId: 7, name: 'q7', topicFilter: 't/7', localMaxInflight: 3 });
    await store.undefine(8);
    expect(walked).toBe(0);
    // What was asked to be changed, and nothing of the others.
    expect(proposed.mock.calls.length).toBeLessThanOrEqual(3);
  });

  test('seconds of idling, with what is reported each, look at none', async () => {
    const looks = jest.spyOn(store.engine, 'getMany');
    const sweeps = jest.spyOn(RetentionSweeper.prototype, 'sweep');
    await until(() => {
      store.store.report();
      return sweeps.mock.calls.length > 1;
    }, 'retention was looked after twice');
    expect([walked, looks.mock.calls.length]).toEqual([0, 0]);
  });

  test('records are counted and expire, and only their queue is looked at', async () => {
    await store.publish(5, ['a', 'b']);
    const depthOf = () => store.store.report().leads.reduce((total, { depth }) => total + depth, 0);
    expect(depthOf()).toBe(2);
    store.skewMs = DEFINITION.dataRetentionMs + 60_000;
    await until(() => depthOf() === 0, 'what was published has expired');
    expect(walked).toBe(0);
  });

  test('a page of metrics shows those that do something, and of the others what it has room for', async () => {
    const { metrics, series } = page();
    await store.publish(QUEUES, ['a']);
    store.attach(QUEUES - 1);
    await until(async () => (await store.statistics(QUEUES - 1)).consumers === 1, 'the consumer is attached');
    await metrics.refresh();
    const depths = series('sluice_queue_depth_messages');
    expect(depths.length).toBe(QueueMetrics.QUEUES_MAX);
    expect(depths.find(([labels]) => labels.queue === `q${QUEUES}`)?.[1]).toBe(1);
    const members = series('sluice_consumer_members');
    expect(members.find(([labels]) => labels.queue === `q${QUEUES - 1}`)?.[1]).toBe(1);
    expect(series('sluice_metrics_dropped_queues')).toEqual([[{}, QUEUES - QueueMetrics.QUEUES_MAX]]);
    expect(walked).toBeLessThanOrEqual(QueueMetrics.QUEUES_MAX + 1);
  });

  test('a queue in several partitions has one series each, its figures summed up', async () => {
    const { metrics, series } = page();
    const queueId = QUEUES + 1;
    await store.define({ queueId, name: 'spread', topicFilter: 's', partitions: [2, 1] });
    await store.publish(queueId, ['a', 'b']);
    await metrics.refresh();
    const depths = series('sluice_queue_depth_messages');
    expect(depths.filter(([labels]) => labels.queue === 'spread').map(([, value]) => value)).toEqual([2]);
  });
});
