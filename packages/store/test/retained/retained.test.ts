import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { RecordInput } from '@sluice/queue/record/record';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { RetainedPage, RetainedPlace, RetainedRequest, RetainedResponse } from '@sluice/rpc/contract/retained';
import fc from 'fast-check';
import { RetainedReader } from '../../src/retained/retained-reader.ts';
import { RetainedSweeper } from '../../src/retained/retained-sweeper.ts';
import { RetainedService } from '../../src/service/retained-service.ts';
import { type AppendAnswer, TestStore, until } from '../support/test-store.ts';

let store: TestStore;
beforeEach(async () => {
  store = await TestStore.start();
});
afterEach(() => store.remove());

/** One batch into the first partition; an empty text erases. */
function retain(
  messages: readonly [topic: string, text: string][],
  over: Partial<RecordInput> = {},
): Promise<AppendAnswer> {
  const builder = new RecordBatchBuilder();
  for (const [topic, text] of messages) {
    const targets = [{ queueId: RETAINED_QUEUE_ID, key: Buffer.from(topic) }];
    builder.add({ ...store.record(1, text), targets, topic, retain: true, ...over });
  }
  return store.append(1, builder.finish());
}

async function ask(filter: string, places: readonly RetainedPlace[]): Promise<RetainedPage> {
  const request: RetainedRequest = { asks: [{ filter, places }] };
  const { pages } = await store.transport.call<RetainedRequest, RetainedResponse>(1, 'retained', request);
  return pages[0] as RetainedPage;
}

/** All pages; `between` runs after each. */
async function readAll(
  filter: string,
  { partitions = [1, 2], between = async () => {} }: { partitions?: number[]; between?: () => Promise<void> } = {},
): Promise<{ found: [string, string][]; pages: number }> {
  const found: [string, string][] = [];
  let places: readonly RetainedPlace[] = partitions.map((partition) => ({ partition, at: new Uint8Array(0) }));
  for (let pages = 1; ; pages++) {
    const page = await ask(filter, places);
    for (const bytes of page.records) {
      const record = new EncodedRecord(bytes);
      found.push([record.topic, Buffer.from(record.payload).toString()]);
    }
    places = page.left;
    if (places.length === 0) return { found, pages };
    await between();
  }
}

const topics = async (filter: string): Promise<string[]> =>
  (await readAll(filter)).found.map(([topic]) => topic).sort();

describe('retained messages of a partition', () => {
  test('the last of each topic is found, until an empty one erases it', async () => {
    await retain([
      ['a/b', '1'],
      ['a/c', '2'],
      ['x', '3'],
    ]);
    await retain([['a/b', '4']]);
    expect((await readAll('a/b')).found).toEqual([['a/b', '4']]);
    expect(await topics('a/#')).toEqual(['a/b', 'a/c']);
    expect(await topics('#')).toEqual(['a/b', 'a/c', 'x']);
    expect(await topics('x/#')).toEqual(['x']);
    await retain([
      ['a/b', ''],
      ['never', ''],
    ]);
    expect(await topics('#')).toEqual(['a/c', 'x']);
    expect((await readAll('a/b')).found).toEqual([]);
    await store.restart();
    expect(await topics('#')).toEqual(['a/c', 'x']);
    await retain([
      ['a/c', ''],
      ['x', ''],
    ]);
    // What deletes does not stay.
    expect(retainedCount()).toBe(0);
    expect(await topics('#')).toEqual([]);
  });

  test('are not read, nor erased, by rows of before while the newest wait for room on the disk', async () => {
    await retain([['a', 'old']]);
    const places = [{ partition: 1, at: new Uint8Array(0) }];
    store.engine.holdWrites();
    await retain([['a', 'new']]);
    const waits = jest.spyOn(store.partition(1), 'written').mockResolvedValue(false);
    expect(await ask('#', places)).toEqual({ records: [], left: places, elsewhere: [{ partition: 1, leader: 1 }] });
    const erasing = { type: 'erase-retained', partition: 1, topic: 'a' } as const;
    expect(await store.store.admin.answer(erasing)).toMatchObject({ type: 'refused', code: 'unavailable' });
    waits.mockRestore();
    store.engine.release();
    expect((await readAll('#')).found).toEqual([['a', 'new']]);
    expect(await store.store.admin.answer(erasing)).toEqual({ type: 'purged', count: 1 });
    expect(await topics('#')).toEqual([]);
  });

  test('a broad filter reads each entry once, a narrow one only its topics; both in pages', async () => {
    const all: string[] = [];
    for (let batch = 0; batch < 12; batch++) {
      const some = Array.from({ length: 100 }, (_, i) => `site/${i}/${batch}`);
      all.push(...some);
      await retain(some.map((topic) => [topic, 'x'.repeat(200)]));
    }
    expect(all.length).toBeGreaterThan(RetainedReader.NARROW_KEYS_MAX);
    const broad = await readAll('#');
    expect(broad.found.map(([topic]) => topic)).toEqual(all);
    expect(broad.pages).toBeGreaterThanOrEqual((all.length * 200) / RetainedService.PAGE_BYTES_MAX);
    // By topic, not in the order of publishing.
    const narrow = await readAll('site/7/#');
    expect(narrow.found.map(([topic]) => topic)).toEqual(all.filter((topic) => topic.startsWith('site/7/')).sort());
    expect((await topics('site/+/3')).length).toBe(100);
    expect(await topics('site/8/+/+')).toEqual([]);
  });

  test('a narrow filter reads an entry once, however many of its topics match', async () => {
    const some = Array.from({ length: 100 }, (_, i) => `narrow/${i}`);
    await retain(some.slice(0, 50).map((topic) => [topic, 'x'.repeat(100)]));
    await retain(some.slice(50).map((topic) => [topic, 'x'.repeat(100)]));
    const reads = (): number =>
      ['memory', 'disk'].reduce(
        (sum, from) => sum + store.metrics.counter('sluice_store_entry_reads_total', '', { from }).value,
        0,
      );
    const before = reads();
    expect(await topics('narrow/#')).toEqual(some.sort());
    expect(reads() - before).toBe(2);
  });

  test('what is replaced, erased and published while it is read: nothing else is missed, nothing comes twice', async () => {
    const all = Array.from({ length: 900 }, (_, i) => `t/${i}`);
    for (let at = 0; at < all.length; at += 100) {
      await retain(all.slice(at, at + 100).map((topic) => [topic, 'old'.padEnd(300, '.')]));
    }
    let round = 0;
    const { found } = await readAll('#', {
      between: async () => {
        // The last ones, which were not read yet; and one that was there before none.
        await retain([
          [`t/${899 - round}`, 'new'],
          [`t/${800 - round}`, ''],
          [`later/${round++}`, 'new'],
        ]);
      },
    });
    expect(round).toBeGreaterThan(2);
    const changed = new Set(Array.from({ length: round }, (_, i) => [`t/${899 - i}`, `t/${800 - i}`]).flat());
    const seen = found.map(([topic]) => topic);
    expect(new Set(seen).size).toBe(seen.length);
    for (const topic of all) if (!changed.has(topic)) expect(seen).toContain(topic);
    for (const topic of seen) expect(all).toContain(topic);
  });

  test('agrees with a map, whatever is retained and erased', async () => {
    const name = fc.constantFrom('a', 'a/b', 'a/b/c', 'a/c', 'b', 'b/b', '$s/a', 'ü/a', 'a-b', 'a0');
    const change = fc.tuple(name, fc.constantFrom('', '1', '2', '3'));
    const filters = ['#', '+', 'a/#', 'a/+', '+/b', '+/+', 'a/+/c', '$s/#', 'ü/#', 'a', 'a/b', 'nowhere'];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(change, { minLength: 1, maxLength: 6 }), { maxLength: 8 }),
        async (batches) => {
          const map = new Map<string, string>();
          for (const batch of [...batches]) {
            await retain(batch);
            for (const [topic, text] of batch) {
              if (text === '') map.delete(topic);
              else map.set(topic, text);
            }
          }
          for (const filter of filters) {
            const wanted = [...map].filter(([topic]) => matches(filter, topic)).sort();
            expect((await readAll(filter)).found.sort()).toEqual(wanted);
          }
          if (map.size > 0) await retain([...map.keys()].map((topic) => [topic, '']));
        },
      ),
      { numRuns: 25, seed: 20261120 },
    );
  });

  test('an expired one is not read, and is removed in time', async () => {
    await retain([['short', 'x']], { expiresAtMs: store.clock.nowMs() + 10_000 });
    await retain([['long', 'x']]);
    expect(await topics('#')).toEqual(['long', 'short']);
    store.skewMs += 11_000;
    expect(await topics('#')).toEqual(['long']);
    expect((await readAll('short')).found).toEqual([]);
    await until(() => retainedCount() === 1, 'the sweeper has removed it', 3 * RetainedSweeper.INTERVAL_MS);
  });

  test('no more than the limits, and what replaces is no more', async () => {
    // Two partitions: each has half.
    await store.limitRetained({ countMax: 4, bytesMax: 1024 * 1024 });
    expect(
      (
        await retain([
          ['1', 'x'],
          ['2', 'x'],
        ])
      ).refused,
    ).toEqual([]);
    expect(
      (
        await retain([
          ['3', 'x'],
          ['1', 'y'],
        ])
      ).refused,
    ).toEqual([{ slot: 0, queueId: RETAINED_QUEUE_ID, code: 'queue-full' }]);
    expect((await readAll('#')).found.sort()).toEqual([
      ['1', 'y'],
      ['2', 'x'],
    ]);
    expect(
      (
        await retain([
          ['2', ''],
          ['3', 'x'],
        ])
      ).refused,
    ).toEqual([]);
    await store.limitRetained({ countMax: 100, bytesMax: 1024 * 1024 });
    expect(
      (
        await retain([
          ['4', 'x'],
          ['5', 'x'],
        ])
      ).refused,
    ).toEqual([]);
  });

  test('nobody sees that a queue keeps them', async () => {
    await store.define();
    await retain([['a', 'x']]);
    expect(store.store.figures.queueCount).toBe(1);
    const shown = await store.store.figures.busy(10);
    expect(shown.map(({ definition }) => definition.queueId)).toEqual([1]);
    expect(store.store.report().leads.map(({ depth }) => depth)).toEqual([0, 0]);
    // The configurator does not take it for a queue that was removed.
    await store.undefine(1);
    await store.restart();
    expect(await topics('#')).toEqual(['a']);
  });

  test('a partition that is not led here is named, and is left', async () => {
    await retain([['a', 'x']]);
    const places = [1, 9].map((partition) => ({ partition, at: new Uint8Array(0) }));
    const page = await ask('#', places);
    expect(page.records).toHaveLength(1);
    expect(page.left).toEqual([places[1]]);
    expect(page.elsewhere).toEqual([{ partition: 9, leader: 0 }]);
  });
});

function retainedCount(): number {
  let count = 0;
  for (const [, value] of store.collected.get('sluice_retained_messages')?.() ?? []) count += value;
  return count;
}
