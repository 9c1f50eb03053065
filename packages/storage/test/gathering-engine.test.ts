import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { SluiceError } from '@sluice/common/errors';
import type { Engine, KeyValueWrite } from '@sluice/storage/engine';
import { GatheringEngine } from '@sluice/storage/gathering-engine';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import fc from 'fast-check';
import { engineContract } from './engine-contract.ts';

const key = (n: number): Uint8Array => Uint8Array.of(1, n >> 8, n & 0xff);
const put = (n: number, value: number): KeyValueWrite => ({ key: key(n), value: Uint8Array.of(value) });
const made = (n: number, value: number): KeyValueWrite => ({ ...put(n, value), isNew: true });
const gone = (n: number): KeyValueWrite => ({ key: key(n), value: undefined });
const FROM = Uint8Array.of(1);
const TO = Uint8Array.of(2);
const UNSYNCED = { sync: false };

/** An engine whose disk is slow or full when a test says so. */
class Watched extends MemoryEngine {
  batches: KeyValueWrite[][] = [];
  isFull = false;
  hold: Promise<void> | undefined;

  override async write(batch: readonly KeyValueWrite[], options: { sync: boolean }): Promise<void> {
    if (this.isFull) throw new SluiceError('STATE_FULL', 'full', { retriable: true });
    await this.hold;
    this.batches.push([...batch]);
    await super.write(batch, options);
  }
}

const shown = async (engine: Engine, limit = 1000): Promise<[number, number][]> =>
  (await engine.scan(FROM, TO, limit)).map((row) => [row.key[2] as number, row.value[0] as number]);

describe('writes gathered in front of an engine: the contract', () =>
  engineContract(async () => new GatheringEngine(new MemoryEngine())));

describe('writes gathered in front of an engine', () => {
  let below: Watched;
  let engine: GatheringEngine;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
    below = new Watched();
    engine = new GatheringEngine(below);
  });

  afterEach(() => void jest.useRealTimers());

  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  test('are the same under the name of a key and under its bytes', async () => {
    const named = (n: number, value: number): KeyValueWrite => ({
      ...put(n, value),
      id: Buffer.from(key(n)).toString('latin1'),
    });
    await engine.write([named(200, 1), put(255, 2)], UNSYNCED);
    await engine.write([put(200, 3), named(255, 4)], UNSYNCED);
    expect(await shown(engine)).toEqual([
      [200, 3],
      [255, 4],
    ]);
    await expect(engine.write([{ ...put(1, 1), id: '' }], UNSYNCED)).rejects.toThrow('keys are not empty');
  });

  test('are seen among others of their table and beside those of other tables', async () => {
    const row = (group: number, table: number, n: number): KeyValueWrite => {
      const bytes = Uint8Array.of(0, group, table, n);
      return { key: bytes, value: Uint8Array.of(n), id: Buffer.from(bytes).toString('latin1') };
    };
    const of = async (from: number[], to: number[]) =>
      (await engine.scan(Uint8Array.from(from), Uint8Array.from(to), 99)).map(({ key: [, group, table, n] }) =>
        [group, table, n].join('.'),
      );
    await engine.write([row(1, 66, 2), row(2, 66, 5), row(1, 69, 7)], { sync: true });
    await engine.write([row(1, 66, 1), row(1, 66, 3), row(1, 81, 4), row(2, 66, 6)], UNSYNCED);
    await engine.write([{ ...row(1, 66, 2), value: undefined }], UNSYNCED);
    expect(await of([0, 1, 66, 0], [0, 1, 66, 9])).toEqual(['1.66.1', '1.66.3']);
    expect(await of([0, 1, 66, 2], [0, 1, 67])).toEqual(['1.66.3']);
    expect(await of([0, 1, 67], [0, 2])).toEqual(['1.69.7', '1.81.4']);
    expect(await of([0], [1])).toEqual(['1.66.1', '1.66.3', '1.69.7', '1.81.4', '2.66.5', '2.66.6']);
  });

  test('go down as one, each row as it was written last', async () => {
    await engine.write([put(1, 1), put(2, 2)], UNSYNCED);
    await engine.write([put(1, 3), gone(2)], UNSYNCED);
    expect(below.batches).toEqual([]);
    jest.advanceTimersByTime(GatheringEngine.LINGER_MS);
    await settled();
    expect(below.batches).toHaveLength(1);
    expect(below.batches[0]?.map((row) => [row.key[2], row.value?.[0]])).toEqual([
      [1, 3],
      [2, undefined],
    ]);
  });

  test('what was new and is deleted again goes nowhere; what may be below is deleted there', async () => {
    await below.write([put(3, 30)], UNSYNCED);
    below.batches = [];
    await engine.write([made(1, 1), made(2, 2), put(3, 3), made(4, 4)], UNSYNCED);
    await engine.write([put(1, 10), gone(1), gone(3)], UNSYNCED);
    await engine.write([{ ...gone(5), isNew: true }], UNSYNCED);
    expect(await shown(engine)).toEqual([
      [2, 2],
      [4, 4],
    ]);
    jest.advanceTimersByTime(GatheringEngine.LINGER_MS);
    // On its way, or there: a deletion has to follow.
    await engine.write([gone(4)], UNSYNCED);
    await settled();
    jest.advanceTimersByTime(GatheringEngine.LINGER_MS);
    await settled();
    expect(below.batches.map((batch) => batch.map((row) => [row.key[2], row.value?.[0]]))).toEqual([
      [
        [2, 2],
        [3, undefined],
        [4, 4],
      ],
      [[4, undefined]],
    ]);
    expect(await shown(engine)).toEqual([[2, 2]]);
  });

  test('what a full disk refused may be below all the same: then it is deleted there', async () => {
    await engine.write([made(1, 1)], UNSYNCED);
    below.isFull = true;
    jest.advanceTimersByTime(GatheringEngine.LINGER_MS);
    await settled();
    await engine.write([gone(1)], UNSYNCED);
    below.isFull = false;
    jest.advanceTimersByTime(GatheringEngine.LINGER_MS);
    await settled();
    expect(below.batches.map((batch) => batch.map((row) => [row.key[2], row.value?.[0]]))).toEqual([[[1, undefined]]]);
  });

  test('are seen at once, also while they are on their way', async () => {
    await below.write([put(1, 10), put(3, 30), put(5, 50)], UNSYNCED);
    let release = (): void => {};
    below.hold = new Promise((resolve) => {
      release = resolve;
    });
    await engine.write([put(2, 2), gone(3)], UNSYNCED);
    jest.advanceTimersByTime(GatheringEngine.LINGER_MS);
    await engine.write([gone(5), put(6, 6)], UNSYNCED);
    const expected = [
      [1, 10],
      [2, 2],
      [6, 6],
    ];
    expect(await shown(engine)).toEqual(expected);
    const snapshot = engine.snapshotScan(FROM, TO, 2);
    release();
    await settled();
    expect(await shown(engine)).toEqual(expected);
    expect((await engine.getMany([key(3), key(1), key(6)])).map((value) => value?.[0])).toEqual([undefined, 10, 6]);
    const chunks: number[][] = [];
    for await (const rows of snapshot) chunks.push(rows.map((row) => row.key[2] as number));
    expect(chunks).toEqual([[1, 2], [6]]);
  });

  test('a scan and a snapshot show rows as they were when they were asked for', async () => {
    await engine.write([put(1, 1), made(2, 1), put(3, 1)], UNSYNCED);
    const scan = shown(engine);
    const snapshot = engine.snapshotScan(FROM, TO, 10);
    await engine.write([put(1, 2), put(2, 2), gone(3)], UNSYNCED);
    const before = [1, 2, 3].map((n) => [n, 1]);
    expect(await scan).toEqual(before);
    const rows: number[][] = [];
    for await (const chunk of snapshot)
      for (const row of chunk) rows.push([row.key[2] as number, row.value[0] as number]);
    expect(rows).toEqual(before);
    expect(await shown(engine)).toEqual([
      [1, 2],
      [2, 2],
    ]);
  });

  test('a scan goes on behind rows that were deleted, and does not pass over stored ones', async () => {
    await below.write(
      [...Array(10).keys()].map((n) => put(n, n)),
      UNSYNCED,
    );
    await engine.write([gone(0), gone(1), put(20, 20)], UNSYNCED);
    expect(await shown(engine, 3)).toEqual([
      [2, 2],
      [3, 3],
      [4, 4],
    ]);
    expect((await shown(engine, 9)).map(([n]) => n)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 20]);
  });

  test('a scan asks for no more than may turn out to be deleted, however much waits', async () => {
    const asked: number[] = [];
    const { scan } = below;
    below.scan = (from, to, limit) => {
      asked.push(limit);
      return scan.call(below, from, to, limit);
    };
    await engine.write([...Array.from({ length: 500 }, (_, n) => put(1000 + n, 1)), gone(0), gone(1)], UNSYNCED);
    await shown(engine, 3);
    expect(asked).toEqual([5]);
  });

  test('a scan copies none of the rows that wait behind its last one', async () => {
    await below.write(
      [0, 2, 4].map((n) => put(n, n)),
      UNSYNCED,
    );
    const far = [1, ...Array.from({ length: 500 }, (_, n) => 1000 + n)].map((n) => put(n, 1));
    await engine.write(far, UNSYNCED);
    const copied = jest.spyOn(Buffer, 'from');
    const before = copied.mock.calls.length;
    expect((await shown(engine, 3)).map(([n]) => n)).toEqual([0, 1, 2]);
    const values = copied.mock.calls.slice(before).filter(([of]) => (of as unknown) instanceof Uint8Array);
    copied.mockRestore();
    // The one that lies between.
    expect(values).toHaveLength(1);
  });

  test('scans show what one engine would, whatever was written in which order and is on its way', async () => {
    const n = fc.integer({ min: 0, max: 30 });
    const writes = fc.array(fc.record({ n, value: fc.option(fc.nat(200)) }), { maxLength: 20 });
    const limits = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(writes, writes, writes, limits, n, async (stored, leaving, waiting, limits, from) => {
        const one = new MemoryEngine();
        below = new Watched();
        engine = new GatheringEngine(below);
        const write = async (of: typeof stored): Promise<void> => {
          const batch = of.map(({ n, value }) => (value === null ? gone(n) : put(n, value)));
          await one.write(batch, UNSYNCED);
          await engine.write(batch, UNSYNCED);
        };
        await write(stored);
        await engine.write([], { sync: true });
        await write(leaving);
        let land = (): void => {};
        below.hold = new Promise((resolve) => {
          land = resolve;
        });
        jest.advanceTimersByTime(GatheringEngine.LINGER_MS);
        await write(waiting);
        for (const limit of limits) {
          expect(await engine.scan(key(from), TO, limit)).toEqual(await one.scan(key(from), TO, limit));
        }
        land();
        await engine.close();
      }),
    );
  });

  test('leave before their time when there are many, and more wait for those', async () => {
    let release = (): void => {};
    below.hold = new Promise((resolve) => {
      release = resolve;
    });
    const many = [...Array(GatheringEngine.ROWS_MAX).keys()].map((n) => put(n, 1));
    await engine.write(many, UNSYNCED);
    await engine.write(many, UNSYNCED);
    const taken: number[] = [];
    const writes = [500, 501].map((n) => engine.write([put(n, 1)], UNSYNCED).then(() => taken.push(n)));
    await settled();
    expect(taken).toEqual([]);
    release();
    await Promise.all(writes);
    expect(taken).toEqual([500, 501]);
  });

  test('a full disk refuses what is too much, keeps what was taken, and gets it when there is space', async () => {
    below.isFull = true;
    const many = [...Array(GatheringEngine.ROWS_MAX).keys()].map((n) => put(n, 1));
    await engine.write(many, UNSYNCED);
    await settled();
    await expect(engine.write([put(60_000, 1)], UNSYNCED)).rejects.toMatchObject({ code: 'STATE_FULL' });
    expect(await engine.get(key(60_000))).toBeUndefined();
    expect((await engine.get(key(7)))?.[0]).toBe(1);
    expect(engine.shortage).toBe('space');
    below.isFull = false;
    jest.advanceTimersByTime(GatheringEngine.LINGER_MS);
    await settled();
    expect(below.batches[0]).toHaveLength(GatheringEngine.ROWS_MAX);
    expect(engine.shortage).toBeUndefined();
    await engine.write([put(60_000, 1)], UNSYNCED);
  });

  test('an engine that failed is not written any more, and who writes is told', async () => {
    below.hold = Promise.reject(new SluiceError('STATE_LOST', 'lost'));
    below.hold.catch(() => {});
    const failures: Error[] = [];
    engine.onFailure((cause) => failures.push(cause));
    await engine.write([put(1, 1)], UNSYNCED);
    jest.advanceTimersByTime(GatheringEngine.LINGER_MS);
    await settled();
    await expect(engine.write([put(2, 1)], UNSYNCED)).rejects.toMatchObject({ code: 'STATE_LOST' });
    expect(failures).toHaveLength(1);
  });

  test('a sync takes all that was written before it along, and so does the end', async () => {
    await engine.write([put(1, 1)], UNSYNCED);
    await engine.write([], { sync: true });
    expect(below.batches).toHaveLength(1);
    await engine.write([put(2, 1)], UNSYNCED);
    await engine.close();
    expect(below.batches).toHaveLength(2);
  });
});
