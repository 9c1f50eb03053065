import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { rest, TestStore, until } from './support/test-store.ts';

let store: TestStore;
beforeEach(async () => {
  store = await TestStore.start();
});
afterEach(() => store.remove());

const numbers = (count: number, from = 1): string[] => Array.from({ length: count }, (_, i) => String(from + i));

describe('purge', () => {
  test('takes all that is stored, over many steps, and nothing that comes later', async () => {
    await store.define();
    await store.publishEach(1, numbers(40));
    const purging = store.purge(1);
    await store.publish(1, ['later']);
    expect(await purging).toBe(40);
    expect(await store.stored(1)).toEqual(['later']);
    expect(await store.purge(1)).toBe(1);
    expect(await store.purge(1)).toBe(0);
  });

  test('and a look see what was acknowledged, also when its rows are not written yet', async () => {
    await store.define();
    await store.publish(1, ['1']);
    for (const look of [() => store.stored(1), () => store.purge(1)]) {
      store.engine.holdWrites();
      await store.publish(1, ['2']);
      const looking = look();
      await rest();
      store.engine.release();
      expect([['1', '2'], 3]).toContainEqual(await looking);
    }
  });

  test('counts what it took, not what was settled before', async () => {
    await store.define();
    await store.publish(1, numbers(10));
    const consumer = store.attach(1);
    await consumer.received(10);
    consumer.accept(2, 3, 9);
    await until(async () => (await store.statistics(1)).depth === 7, 'settled');
    expect(await store.purge(1)).toBe(7);
  });

  test('waits while the log takes nothing', async () => {
    await store.define();
    await store.publish(1, numbers(3));
    const propose = store.host.propose.bind(store.host);
    let busy = 2;
    store.host.propose = (...args) => (busy-- > 0 ? 'busy' : propose(...args));
    expect(await store.purge(1)).toBe(3);
  });

  test('frees the keys of a last-value queue', async () => {
    await store.define({ isLastValue: true });
    await store.publishEach(1, ['a=1', 'b=1', 'a=2']);
    expect(await store.statistics(1)).toMatchObject({ depth: 2, keys: 2 });
    expect(await store.purge(1)).toBe(2);
    await store.publish(1, ['a=3']);
    expect(await store.stored(1)).toEqual(['a=3']);
    expect((await store.statistics(1)).keys).toBe(1);
  });
});

describe('trimming to a limit', () => {
  test('by count: the newest remain, whatever the rows', async () => {
    await store.define({ limits: { countMax: 5, bytesMax: null, overflow: 'drop_oldest' } });
    await store.publishEach(1, numbers(8));
    await store.publish(1, numbers(10, 9));
    await until(async () => (await store.statistics(1)).depth === 5, 'trimmed');
    expect(await store.stored(1)).toEqual(numbers(5, 14));
    expect((await store.statistics(1)).droppedTotal).toBe(13);
  });

  test('by bytes: no more is dropped than needed', async () => {
    await store.define({ limits: { countMax: null, bytesMax: 5000, overflow: 'drop_oldest' } });
    await store.publishEach(
      1,
      ['a', 'b', 'c', 'd', 'e', 'f'].map((letter) => letter.repeat(1000)),
    );
    await until(async () => (await store.statistics(1)).depthBytes <= 5000, 'trimmed');
    await rest();
    expect((await store.stored(1)).map((text) => text[0])).toEqual(['c', 'd', 'e', 'f']);
  });

  test('a definition that lowers the limit acts at once', async () => {
    await store.define();
    await store.publishEach(1, numbers(10));
    await store.define({ limits: { countMax: 2, bytesMax: null, overflow: 'drop_oldest' } });
    await until(async () => (await store.statistics(1)).depth === 2, 'trimmed');
    expect(await store.stored(1)).toEqual(['9', '10']);
  });
});

test('what is older than the retention period leaves by itself', async () => {
  await store.define({ dataRetentionMs: 60_000 });
  await store.publish(1, ['old']);
  store.skewMs = 40_000;
  await store.publish(1, ['new']);
  store.skewMs = 61_000;
  await until(async () => (await store.statistics(1)).depth === 1, 'the old one is gone');
  expect(await store.stored(1)).toEqual(['new']);
  expect((await store.statistics(1)).expiredTotal).toBe(1);
});

describe('removing a queue', () => {
  test('drops its rows, the queue is forgotten, others on the same entries keep theirs', async () => {
    await store.define();
    await store.define({ queueId: 2, name: 'other' });
    const targets = [1, 2].map((queueId) => ({ queueId, key: undefined }));
    for (const text of numbers(5)) await store.publish(1, [text], { targets });
    await store.undefine(1);
    expect(await store.stored(2)).toEqual(numbers(5));
    expect((await store.publish(1, ['late'])).refused[0]?.code).toMatch(/queue-(removed|unknown)/);
    await store.restart();
    expect(await store.stored(2)).toEqual(numbers(5));
  });
});
