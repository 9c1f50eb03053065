import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type BatchOrigin, writeBatchOrigin } from '@sluice/queue/record/batch-origin';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { rest, TestStore } from '../support/test-store.ts';

/**
 * A gateway sends again what was not answered, and copies of it may lie anywhere for any time. Here everything was
 * stored and the answers went astray, as with a leader that died.
 */
let store: TestStore;
beforeEach(async () => {
  store = await TestStore.start();
});
afterEach(async () => {
  await store.remove();
});

/** Batch `sequence` of the gateway, with one record. */
async function send(text: string, sequence: number, over: Partial<BatchOrigin> = {}): Promise<string> {
  const builder = new RecordBatchBuilder('numbered');
  builder.add(store.record(1, text));
  const batch = builder.finish();
  writeBatchOrigin(batch, { producer: 77, sequence, after: sequence - 1, answeredTo: 0, ...over });
  const { status, refused } = await store.append(1, batch);
  return [status, ...refused.map(({ code }) => code)].join(' ');
}

test('a batch that sat in a connection while its partition moved away and back is not stored once more', async () => {
  await store.define();
  for (const [i, text] of ['a', 'b', 'c', 'd'].entries()) expect(await send(text, i + 1)).toBe('committed');
  await store.restart();
  expect(await send('b', 2)).toBe('committed');
  expect(await send('a', 1)).toBe('committed');
  expect(await store.stored(1)).toEqual(['a', 'b', 'c', 'd']);
  expect(await send('e', 5)).toBe('committed');
  expect(await store.stored(1)).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('a batch that was given up and arrives late is not stored behind what was published since', async () => {
  await store.define();
  await send('a', 1);
  expect(await send('c', 3)).toBe('out-of-order');
  expect(await send('c', 3, { after: 1, answeredTo: 2 })).toBe('committed');
  await store.restart();
  await send('b', 2);
  expect(await store.stored(1)).toEqual(['a', 'c']);
});

test('old values that are sent again do not stand for newer ones, and nobody gets them', async () => {
  await store.define({ isLastValue: true });
  for (const [i, text] of ['k=1', 'k=2', 'l=1', 'k=3'].entries()) await send(text, i + 1);
  await store.restart();
  const consumer = store.attach(1);
  for (const [i, text] of ['k=1', 'k=2', 'l=1', 'k=3'].entries()) expect(await send(text, i + 1)).toBe('committed');
  await rest();
  expect(consumer.texts).toEqual(['l=1', 'k=3']);
  expect(await store.stored(1)).toEqual(['l=1', 'k=3']);
});

test('what a full queue refused is refused again, also when it has room by then', async () => {
  await store.define({ limits: { countMax: 1, bytesMax: null, overflow: 'refuse' } });
  expect(await send('a', 1)).toBe('committed');
  expect(await send('b', 2)).toBe('committed queue-full');
  await store.purge(1);
  await store.restart();
  expect(await send('b', 2)).toBe('committed queue-full');
  expect(await store.stored(1)).toEqual([]);
  expect(await send('c', 3)).toBe('committed');
});
