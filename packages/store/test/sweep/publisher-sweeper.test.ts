import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { groupKey } from '@sluice/multiraft/disk/keyspace';
import { PUBLISHER_RANGE } from '@sluice/queue/machine/row/row-keys';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { PublisherSweeper } from '../../src/sweep/publisher-sweeper.ts';
import { TestStore, until } from '../support/test-store.ts';

let store: TestStore;
beforeEach(async () => {
  store = await TestStore.start();
});
afterEach(() => store.remove());

test('a client that published nothing at QoS 2 for a week is forgotten', async () => {
  const { queueId } = await store.define();
  for (const publisher of ['old', 'ü']) await publish(queueId, publisher, 1);
  const partitions = new Map([[1, store.partition(1)]]);
  const { engine, clock } = store;
  const sweeper = new PublisherSweeper({ partitions, engine, clock, logger: silentLogger });
  await until(async () => (await known()).length === 2, 'both are in the engine');
  await sweeper.sweep();
  expect(await known()).toEqual(['old', 'ü']);
  store.skewMs += PublisherSweeper.FORGET_MS;
  await publish(queueId, 'ü', 2);
  const leaves = async (): Promise<boolean> => {
    await sweeper.sweep();
    return (await known()).join() === 'ü';
  };
  await until(leaves, 'the other one is forgotten');
});

async function publish(queueId: number, publisher: string, number: number): Promise<void> {
  const builder = new RecordBatchBuilder();
  builder.add(store.record(queueId, 'text', { publisher, qos: 2, exchange: { number, floor: 1 } }));
  expect(await store.append(queueId, builder.finish())).toMatchObject({ status: 'committed' });
}

async function known(): Promise<string[]> {
  const rows = await store.engine.scan(groupKey(1, PUBLISHER_RANGE.from), groupKey(1, PUBLISHER_RANGE.to), 10);
  return rows.map(({ key }) => Buffer.from(key.subarray(3)).toString());
}
