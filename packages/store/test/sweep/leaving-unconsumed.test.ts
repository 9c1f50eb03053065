import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { rest, TestStore, until } from '../support/test-store.ts';

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

  test('is refused while rows wait for room on the disk, since what they hold would stay', async () => {
    await store.define();
    store.engine.holdWrites();
    await store.publish(1, ['1']);
    const waits = jest.spyOn(store.partition(1), 'written').mockResolvedValue(false);
    await expect(store.purge(1)).rejects.toThrow('waits for room on the disk');
    waits.mockRestore();
    store.engine.release();
    expect(await store.purge(1)).toBe(1);
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

describe('messages that expire, with nobody who would take them', () => {
  const depth = async (): Promise<number> => (await store.statistics(1)).depth;

  test('leave by themselves, oldest first, and make room in a queue that is full of them', async () => {
    await store.define({ limits: { countMax: 100, bytesMax: null, overflow: 'refuse' } });
    const expiresAtMs = store.clock.nowMs() + 60_000;
    await store.publishEach(1, numbers(70), { expiresAtMs });
    await store.publish(1, numbers(30, 71), { expiresAtMs: expiresAtMs + 3_600_000 });
    expect((await store.publish(1, ['one more'])).refused.map(({ code }) => code)).toEqual(['queue-full']);
    store.skewMs = 61_000;
    await until(async () => (await depth()) === 30, 'the first of them are gone');
    await store.publish(1, ['lives']);
    store.skewMs = 3_700_000;
    await until(async () => (await depth()) === 1, 'only the one that lives is left');
    expect(await store.stored(1)).toEqual(['lives']);
    expect((await store.statistics(1)).expiredTotal).toBe(100);
  });

  test('stay while a worker holds them, which may finish its job', async () => {
    await store.define();
    await store.publish(1, ['held'], { expiresAtMs: store.clock.nowMs() + 60_000 });
    const worker = store.attach(1, 1);
    await worker.received(1);
    await store.publish(1, ['behind'], { expiresAtMs: store.clock.nowMs() + 60_000 });
    await store.define({ queueId: 2, name: 'q2', topicFilter: 'q2' });
    await store.publish(2, ['sign'], { expiresAtMs: store.clock.nowMs() + 60_000 });
    store.skewMs = 61_000;
    await until(async () => (await store.statistics(2)).depth === 0, 'another queue was looked at');
    await until(async () => (await depth()) === 1, 'the one behind it is gone');
    worker.accept(0);
    await until(async () => (await depth()) === 0, 'the job is done');
    expect(await store.statistics(1)).toMatchObject({ acceptedTotal: 1, expiredTotal: 1 });
  });

  test('of one batch go together, and not before the last of them', async () => {
    await store.define();
    const builder = new RecordBatchBuilder();
    const nowMs = store.clock.nowMs();
    for (const [i, livesMs] of [60_000, 90_000].entries()) {
      builder.add(store.record(1, `${i}`, { expiresAtMs: nowMs + livesMs }));
    }
    await store.append(1, builder.finish());
    await store.publish(1, ['for ever']);
    await store.publish(1, ['behind it'], { expiresAtMs: nowMs + 120_000 });
    store.skewMs = 91_000;
    await until(async () => (await depth()) === 2, 'the batch is gone');
    expect(await store.stored(1)).toEqual(['for ever', 'behind it']);
  });

  test('leave as well behind one that lives, be it in another batch or in theirs; it stays, and what a worker holds', async () => {
    await store.define();
    await store.publish(1, ['held'], { expiresAtMs: store.clock.nowMs() + 60_000 });
    const worker = store.attach(1, 1);
    await worker.received(1);
    const builder = new RecordBatchBuilder();
    const expiresAtMs = store.clock.nowMs() + 60_000;
    for (const text of numbers(50)) builder.add(store.record(1, text, text.endsWith('5') ? {} : { expiresAtMs }));
    await store.append(1, builder.finish());
    await store.publishEach(1, numbers(40), { expiresAtMs });
    await store.publish(1, ['last'], { expiresAtMs: expiresAtMs + 60_000 });
    expect(await depth()).toBe(92);
    store.skewMs = 61_000;
    const fives = ['5', '15', '25', '35', '45'];
    await until(async () => (await depth()) === 7, 'what is dead is gone');
    expect(await store.stored(1)).toEqual(['held', ...fives, 'last']);
    store.skewMs = 122_000;
    await until(async () => (await depth()) === 6, 'the last is gone');
    worker.accept(0);
    for (let taken = 2; taken <= 6; taken++) {
      await worker.received(taken);
      worker.accept(worker.delivered.at(-1)?.offset ?? 0);
    }
    await until(async () => (await depth()) === 0, 'nothing is left');
    expect(await store.statistics(1)).toMatchObject({ acceptedTotal: 6, expiredTotal: 86 });
  });
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
