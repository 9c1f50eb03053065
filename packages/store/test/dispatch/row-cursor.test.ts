import { beforeEach, describe, expect, test } from '@jest/globals';
import { groupKey } from '@sluice/multiraft/disk/keyspace';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import { IndexRowBuilder } from '@sluice/queue/machine/row/index-row-builder';
import { decodeIndexRow } from '@sluice/queue/machine/row/offset-index';
import { indexRowKey } from '@sluice/queue/machine/row/row-keys';
import type { Engine } from '@sluice/storage/engine';
import { RowCursor, type Superseded } from '../../src/dispatch/row-cursor.ts';
import { IndexReader } from '../../src/read/index-reader.ts';

/** Rows of three records each; which of them are in memory, and what a read does meanwhile, is said by the test. */
const rows = new Map<number, Uint8Array>();
let recent: Set<number>;
let reads: number;
/** The rows that the last read might have brought. */
let asked: number;
let meanwhile: () => void;
let tail: number;
let cursor: RowCursor;

const index = {
  recent: (_queueId: number, base: number) => (recent.has(base) ? row(base) : undefined),
  async rowsFrom(_queueId: number, base: number, limit: number) {
    reads++;
    asked = limit;
    const bases = [...rows.keys()].filter((at) => at >= base).slice(0, limit);
    const found = bases.map((at) => row(at) as IndexRow);
    await Promise.resolve();
    meanwhile();
    return found;
  },
} as unknown as IndexReader;

function row(base: number): IndexRow | undefined {
  const value = rows.get(base);
  return value === undefined ? undefined : decodeIndexRow(base, value);
}

function add(base: number, records = 3): void {
  const builder = new IndexRowBuilder();
  builder.reset(base);
  for (let i = 0; i < records; i++) builder.add(10, 0, undefined);
  rows.set(base, builder.encode(1 + base, 1, 100));
}

beforeEach(() => {
  rows.clear();
  for (let base = 0; base < 12; base += 3) add(base);
  recent = new Set();
  reads = 0;
  meanwhile = () => {};
  tail = 12;
  cursor = new RowCursor({ queueId: 1, head: 0, tail, index });
});

const NOTHING: Superseded = () => undefined;

/** What dispatch would hand out of the next rows. */
async function takeAll(superseded: Superseded = NOTHING, read = () => cursor.read(64, superseded)): Promise<number[]> {
  const taken: number[] = [];
  for (;;) {
    const next = cursor.atHand() ?? (await read());
    if (next === undefined) return taken;
    for (let at = next.nextLive(cursor.offset); at !== -1; at = next.nextLive(at + 1)) {
      taken.push(at);
      cursor.passRecord(next, at);
    }
    cursor.passRow(next);
  }
}

test('rows in memory are not read, the others by one scan, and nothing beyond the tail is asked for', async () => {
  recent = new Set([0, 3]);
  expect(await takeAll()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  expect(reads).toBe(1);
  await takeAll();
  expect(reads).toBe(1);
});

test('it goes on in the middle of a row, and a row that is gone is passed over', async () => {
  const first = (await cursor.read(64, NOTHING)) as IndexRow;
  cursor.passRecord(first, 1);
  rows.delete(6);
  cursor.dropped();
  expect(await takeAll()).toEqual([2, 3, 4, 5, 9, 10, 11]);
});

test('superseded: in rows at hand, and in rows that were on their way', async () => {
  await cursor.read(64, NOTHING);
  cursor.supersede(4);
  expect(await takeAll()).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]);
  cursor = new RowCursor({ queueId: 1, head: 0, tail, index });
  const superseded = new Set<number>();
  meanwhile = () => superseded.add(7);
  await cursor.read(64, () => superseded);
  // The step that knew of it is over; the rows at hand still know.
  expect(await takeAll()).toEqual([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]);
});

test('dropped while they were on their way: they are read again', async () => {
  meanwhile = () => {
    rows.delete(0);
    rows.delete(3);
    meanwhile = () => {};
    cursor.dropped();
  };
  expect(await takeAll()).toEqual([6, 7, 8, 9, 10, 11]);
});

test('as much more is read each time as the windows of consumers allow, and anew when nobody is left', async () => {
  const askedAfter = async (windows: number, times: number): Promise<number> => {
    for (let i = 0; i < times; i++) await cursor.readAhead(1, windows, NOTHING);
    return asked;
  };
  const first = cursor.atHand() ?? ((await cursor.read(1, NOTHING)) as IndexRow);
  cursor.passRow(first);
  // Rows of three: a worker that is slow, or stuck, has a few of them at hand, and many workers as many as there may be.
  expect(await askedAfter(1, 10)).toBe(1 + Math.ceil(RowCursor.AHEAD_WINDOWS / 3));
  expect(await askedAfter(1000, 10)).toBe(RowCursor.AHEAD_ROWS_MAX);
  expect(await askedAfter(1, 1)).toBe(1 + Math.ceil(RowCursor.AHEAD_WINDOWS / 3));
  await askedAfter(1000, 10);
  cursor.rest();
  expect(cursor.ahead).toEqual([]);
  expect(await askedAfter(1000, 1)).toBe(2);
});

test('how many rows are read follows from those read last, and not from a small one among them', async () => {
  add(9, 1);
  cursor.tail = 10;
  await cursor.readAhead(8, 1, NOTHING);
  const found = [...cursor.ahead];
  expect(found.map(({ count }) => count)).toEqual([3, 3, 3, 1]);
  for (const row of found) cursor.passRow(row);
  add(10);
  cursor.tail = 13;
  await cursor.readAhead(8, 1, NOTHING);
  expect(asked).toBe(1 + Math.ceil(RowCursor.AHEAD_WINDOWS / 2.5));
});

describe('reading on behind the rows at hand', () => {
  /** Two rows are at hand, and the others on their way. */
  const readingOn = async (): Promise<void> => {
    await cursor.readAhead(4, 1000, NOTHING);
    expect(cursor.ahead.length).toBe(4);
    tail = 24;
    cursor.tail = tail;
    for (let base = 12; base < tail; base += 3) add(base);
    void cursor.lookAhead(1000);
    expect(reads).toBe(2);
  };
  const ALL = Array.from({ length: 24 }, (_, offset) => offset);

  test('waits for nobody, and whoever has none left waits for it instead of reading again', async () => {
    await readingOn();
    expect(await takeAll(NOTHING, () => cursor.readAhead(4, 1000, NOTHING))).toEqual(ALL);
    expect(reads).toBe(2);
  });

  test('notes what is superseded meanwhile', async () => {
    meanwhile = () => {};
    await readingOn();
    cursor.supersede(2);
    cursor.supersede(13);
    await cursor.lookAhead(1000);
    expect(await takeAll()).toEqual(ALL.filter((offset) => offset !== 2 && offset !== 13));
  });

  test('brings nothing that was dropped meanwhile', async () => {
    await readingOn();
    rows.delete(12);
    cursor.dropped();
    expect(await takeAll(NOTHING, () => cursor.readAhead(4, 1000, NOTHING))).toEqual(
      ALL.filter((offset) => offset < 12 || offset >= 15),
    );
  });

  test('is not done for rows in memory, nor for more than consumers may soon have', async () => {
    recent = new Set([0, 3, 6, 9]);
    cursor.atHand();
    expect(cursor.lookAhead(1000)).toBeUndefined();
    recent.clear();
    cursor.dropped();
    await cursor.readAhead(12, 1, NOTHING);
    expect(cursor.ahead.length).toBeGreaterThan(1);
    reads = 0;
    cursor.tail = 24;
    void cursor.lookAhead(1);
    expect(reads).toBe(0);
  });

  test('is done once where everything has died: simulator, `sessions` 2500088, where it was done without end', async () => {
    await cursor.readAhead(4, 1000, NOTHING);
    cursor.tail = 24;
    await cursor.lookAhead(1000);
    expect(cursor.lookAhead(1000)).toBeUndefined();
    expect(reads).toBe(2);
    add(24);
    cursor.tail = 27;
    expect(await takeAll(NOTHING, () => cursor.readAhead(4, 1000, NOTHING))).toEqual([...ALL.slice(0, 12), 24, 25, 26]);
  });

  test('leaves a failure to whoever needs the rows', async () => {
    await readingOn();
    const failing = new RowCursor({ queueId: 1, head: 0, tail, index });
    await failing.read(2, NOTHING);
    meanwhile = () => {
      throw new Error('the disk says no');
    };
    await failing.lookAhead(1000);
    expect(failing.lookAhead(1000)).toBeUndefined();
    expect(failing.ahead.length).toBe(2);
    for (const at of [...failing.ahead]) failing.passRow(at);
    await expect(failing.readAhead(1, 1000, NOTHING)).rejects.toThrow('the disk says no');
  });
});

test('rows of many records behind rows of few: those that hold too many are not decoded', async () => {
  const value = (count: number, base: number): Uint8Array => {
    const builder = new IndexRowBuilder();
    builder.reset(base);
    for (let i = 0; i < count; i++) builder.add(10, 0, undefined);
    return builder.encode(1 + base, 1, 100);
  };
  const counts = [1, 1, 500, 2000, 2000];
  const found = counts.map((count, i) => {
    const base = counts.slice(0, i).reduce((sum, before) => sum + before, 0);
    return { key: groupKey(1, indexRowKey(1, base)), value: value(count, base) };
  });
  let from = 0;
  const engine = { scan: async () => found.slice(from) } as unknown as Engine;
  cursor = new RowCursor({ queueId: 1, head: 0, tail: 4502, index: new IndexReader(engine, 1, () => undefined) });
  await cursor.read(64, NOTHING);
  expect(cursor.ahead.map(({ count }) => count)).toEqual([1, 1, 500]);
  for (const row of [...cursor.ahead]) cursor.passRow(row);
  from = 3;
  await cursor.read(64, NOTHING);
  expect(cursor.ahead.map(({ count }) => count)).toEqual([2000]);
});
