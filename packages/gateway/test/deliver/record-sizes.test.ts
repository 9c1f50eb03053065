import { expect, test } from '@jest/globals';
import { SUPPORTED_LEVELS } from '@sluice/meta/feature-levels';
import type { QueueDelivery } from '../../src/deliver/queue-subscriptions.ts';
import { recordBytesMaxFor } from '../../src/deliver/record-bound.ts';
import { attachments, BY_FILTER, Collector, DEFINITION, item, setUp, topology } from '../doubles/attachments-scene.ts';

const LIMIT = 5_000;

function limited(): Collector {
  const collector = new Collector();
  collector.recordBytesMax = LIMIT;
  return collector;
}

function rise(): void {
  const change = { changed: [], removed: [], nodes: [], removedNodes: [], partitions: [], config: undefined };
  const featureLevel = { level: SUPPORTED_LEVELS.max, isHeld: false };
  topology.applyDelta({ ...change, epoch: topology.epoch + 1, featureLevel });
  attachments.topologyChanged();
}

test('stores of a former build are told nothing, and what is too large stays where it is', () => {
  const { store } = setUp([DEFINITION]);
  const collector = limited();
  const attachment = attachments.attach(BY_FILTER, collector);
  expect(store.requests).toHaveLength(1);
  expect(store.of('attach')[0]).not.toHaveProperty('recordBytesMax');
  store.deliver(1, item(0));
  attachment.tooLarge(collector.deliveries[0] as QueueDelivery);
  attachment.setRecordBytesMax(2 * LIMIT);
  expect(store.requests).toHaveLength(1);
});

test('once all know of it they hear the limit of who is there, and each that comes says its own', () => {
  const { store } = setUp([DEFINITION]);
  attachments.attach(BY_FILTER, limited());
  attachments.attach(BY_FILTER, new Collector());
  rise();
  expect(store.of('limit')).toEqual([{ type: 'limit', consumerId: 1, recordBytesMax: LIMIT }]);
  rise();
  expect(store.of('limit')).toHaveLength(1);
  attachments.attach(BY_FILTER, limited());
  expect(store.of('attach')[2]).toMatchObject({ recordBytesMax: LIMIT });
});

test('what turns out to be too large goes back, and is not claimed from the next leader', () => {
  const { store } = setUp([DEFINITION]);
  rise();
  const collector = limited();
  const attachment = attachments.attach(BY_FILTER, collector);
  store.deliver(1, item(0), item(1));
  attachment.tooLarge(collector.deliveries[0] as QueueDelivery);
  expect(store.of('too-large')).toEqual([{ type: 'too-large', consumerId: 1, offset: 0 }]);
  store.refuse(1, 0);
  attachment.tooLarge(collector.deliveries[1] as QueueDelivery);
  expect(store.of('too-large')).toHaveLength(1);
  store.receive({ type: 'leading', partition: 1, term: 2 });
  expect(store.of('attach').at(-1)).toMatchObject({ recordBytesMax: LIMIT, held: [] });
});

test('another connection of its client, with another size', () => {
  const { store } = setUp([DEFINITION]);
  rise();
  const attachment = attachments.attach(BY_FILTER, limited());
  attachment.setRecordBytesMax(0);
  attachment.setRecordBytesMax(0);
  expect(store.of('limit')).toEqual([{ type: 'limit', consumerId: 1, recordBytesMax: 0 }]);
});

test('a client that names no size takes any', () => {
  expect(recordBytesMaxFor(undefined)).toBe(0);
  expect(recordBytesMaxFor(20)).toBeGreaterThan(20);
});
