import { expect, test } from '@jest/globals';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import fc from 'fast-check';
import { FetchList, RowBatch, rowId } from '../../src/apply/row-batch.ts';
import { RowCache } from '../../src/apply/row-cache.ts';
import { groupKey } from '../../src/disk/keyspace.ts';

const id = (group: number, name: number) => String.fromCharCode(group >>> 8, group & 0xff, name);

test('what it answers is what was written last, or nothing', () => {
  const step = fc.record({
    do: fc.constantFrom('set', 'set', 'set', 'add', 'get', 'get', 'delete', 'drop', 'forget'),
    group: fc.constantFrom(1, 2, 0x1ff),
    name: fc.integer({ min: 0, max: 20 }),
    bytes: fc.integer({ min: 0, max: RowCache.BYTES_MAX / 8 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const cache = new RowCache();
      const written = new Map<string, Uint8Array>();
      const deleted = new Set<string>();
      const known = new Set<string>();
      for (const { do: what, group, name, bytes } of steps) {
        const key = id(group, name);
        if (what === 'set' || (what === 'add' && !known.has(key))) {
          const value = new Uint8Array(bytes);
          if (what === 'set') cache.set(key, value);
          else cache.add(key, value);
          written.set(key, value);
          deleted.delete(key);
        } else if (what === 'delete') {
          cache.delete(key);
          written.delete(key);
          deleted.add(key);
        } else if (what === 'drop') {
          cache.drop(key);
          expect(cache.get(key)).toBeUndefined();
        } else if (what === 'forget') {
          cache.forgetGroup(group);
          for (const names of [written, deleted]) {
            for (const other of names.keys()) if (other.startsWith(key.slice(0, 2))) names.delete(other);
          }
        }
        known.add(key);
        const found = cache.get(key);
        if (found !== undefined) expect(found).toBe(written.get(key));
        expect(cache.isGone(key)).toBe(deleted.has(key));
      }
      let held = 0;
      for (const key of written.keys()) held += cache.get(key)?.length ?? 0;
      expect(held).toBeLessThanOrEqual(RowCache.BYTES_MAX);
    }),
    { seed: 20261120, numRuns: 300 },
  );
});

test('a row in use outlives many that are not', () => {
  const cache = new RowCache();
  cache.set('in use', new Uint8Array(10));
  for (let i = 0; i < 100_000; i++) {
    cache.set(`row ${i}`, new Uint8Array(100));
    expect(cache.get('in use')).toBeDefined();
  }
  expect(cache.get('row 1')).toBeUndefined();
  expect(cache.get('row 99999')).toBeDefined();
});

test('of deleted rows the latest are remembered, and no more than it may', () => {
  const cache = new RowCache();
  for (let i = 0; i < 3 * RowCache.GONE_MAX; i++) cache.delete(`row ${i}`);
  let gone = 0;
  for (let i = 0; i < 3 * RowCache.GONE_MAX; i++) if (cache.isGone(`row ${i}`)) gone++;
  expect(gone).toBeLessThanOrEqual(RowCache.GONE_MAX);
  expect(cache.isGone(`row ${3 * RowCache.GONE_MAX - RowCache.GONE_MAX / 2}`)).toBe(true);
});

test('a batch leaves there what is read again, and nothing of what is saved or ended', () => {
  const cache = new RowCache();
  const [put, created, saved] = [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)];
  const first = new RowBatch(cache);
  const rows = first.view(7);
  rows.put(put, Uint8Array.of(10));
  rows.create(created, Uint8Array.of(20));
  rows.save(saved, Uint8Array.of(30));
  expect(first.writes().map(({ value }) => value?.[0])).toEqual([10, 20, 30]);
  expect([put, created, saved].map((key) => cache.get(rowId(7, key))?.[0])).toEqual([10, 20, undefined]);

  const second = new RowBatch(cache);
  expect(second.bring(rowId(7, created))?.value).toEqual(Uint8Array.of(20));
  expect(second.bring(rowId(7, saved))).toBeUndefined();
  second.view(7).end(created);
  second.view(7).delete(put);
  expect(second.view(7).get(created)).toBeUndefined();
  expect(second.writes().map(({ value }) => value)).toEqual([undefined, undefined]);
  expect([put, created].map((key) => cache.get(rowId(7, key)))).toEqual([undefined, undefined]);
  expect([put, created].map((key) => cache.isGone(rowId(7, key)))).toEqual([true, false]);
});

test('of what is saved and given up again the cache knows nothing', () => {
  const cache = new RowCache();
  const key = Uint8Array.of(1);
  for (const value of [Uint8Array.of(10), undefined, Uint8Array.of(20)]) {
    const batch = new RowBatch(cache);
    batch.view(7).save(key, value);
    expect(batch.writes().map((row) => row.value)).toEqual([value]);
    expect(cache.isGone(rowId(7, key))).toBe(false);
    expect(new RowBatch(cache).bring(rowId(7, key))).toBeUndefined();
  }
});

test('a group that is discarded takes along what it saved', () => {
  const batch = new RowBatch(new RowCache());
  for (const group of [7, 8]) batch.view(group).save(Uint8Array.of(1), Uint8Array.of(group));
  batch.discard(7);
  expect(batch.writes().map(({ value }) => value?.[0])).toEqual([8]);
});

test('a row is named by its group and the bytes of its key, whatever their number', () => {
  for (const length of [1, 9, 12, 17, 300]) {
    const key = Uint8Array.from({ length }, (_, i) => 255 - i);
    expect(Buffer.from(rowId(0x1ff, key), 'latin1').toString('hex')).toBe(`01ff${Buffer.from(key).toString('hex')}`);
  }
});

test('rows are read and written as they are, in whatever order they were wanted', async () => {
  const keys = fc.nat(7);
  const steps = fc.record({
    read: keys,
    act: fc.constantFrom('put', 'delete', 'end', 'rewind', 'nothing'),
    other: fc.option(keys),
  });
  const where = fc.array(fc.constantFrom('cache', 'engine', 'nowhere'), { minLength: 8, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(where, fc.array(keys), fc.array(steps), async (places, wants, acts) => {
      const cache = new RowCache();
      const engine = new MemoryEngine();
      const expected = new Map<number, number>();
      for (const [key, place] of places.entries()) {
        if (place === 'nowhere') continue;
        expected.set(key, 100 + key);
        const value = Uint8Array.of(100 + key);
        if (place === 'cache') cache.set(rowId(7, Uint8Array.of(key)), value);
        else await engine.write([{ key: groupKey(7, Uint8Array.of(key)), value }], { sync: false });
      }
      const batch = new RowBatch(cache);
      const view = batch.view(7);
      const wanted = new FetchList();
      for (const key of [...wants, ...places.keys()]) wanted.add(batch, view, Uint8Array.of(key));
      await wanted.run(engine, batch);
      for (const [i, { read, act, other }] of acts.entries()) {
        expect(view.get(Uint8Array.of(read))?.[0]).toBe(expected.get(read));
        const key = Uint8Array.of(other ?? read);
        if (act === 'rewind') view.rewind();
        else if (act === 'put') view.put(key, Uint8Array.of(i));
        else if (act === 'delete') view.delete(key);
        else if (act === 'end') view.end(key);
        if (act === 'put') expected.set(other ?? read, i);
        else if (act === 'delete' || act === 'end') expected.delete(other ?? read);
      }
    }),
  );
});

test('who saves his row often is given its name once', () => {
  const batch = new RowBatch(new RowCache());
  const view = batch.view(7);
  const key = Uint8Array.of(5);
  const owner: { rowName: string | undefined } = { rowName: undefined };
  view.save(key, Uint8Array.of(1), owner);
  expect(owner.rowName).toBe(rowId(7, key));
  key[0] = 6;
  view.save(key, Uint8Array.of(2), owner);
  expect(batch.writes().map(({ id }) => id)).toEqual([rowId(7, Uint8Array.of(5)), rowId(7, Uint8Array.of(5))]);
});
