import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import { PlainMetrics } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type { RetainedAsk, RetainedPage, RetainedRequest, RetainedResponse } from '@sluice/rpc/contract/retained';
import type { Transport } from '@sluice/rpc/transport';
import { RetainedLookups } from '../../src/retained/retained-lookups.ts';
import { partitionOfTopic } from '../../src/retained/topic-partition.ts';
import { UnreachedPartitions } from '../../src/retained/unreached-partitions.ts';
import { RouteTable } from '../../src/route/route-table.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

/** What a partition holds: pages of records, in order. A place says how many were read. */
let pages: Map<number, string[][]>;
/** Who leads; the gateway knows it, unless `routes` was told otherwise. */
let leaders: Map<number, number>;
let routes: RouteTable;
let asked: { store: number; asks: readonly RetainedAsk[] }[];
let fails: number;
/** Stores that answer nobody. */
let silent: Set<number>;
let nowMs: number;
let metrics: PlainMetrics;
let lookups: RetainedLookups;
/** A partition whose records cannot be read. */
let damaged: number;
let held: (() => void)[] | undefined;
/** Stores that say nothing, not even that they do not answer. */
let hanging: Set<number>;

/** A store that leads what it is asked for, unless `leaders` says otherwise by now. */
function pageOf(store: number, { filter, places }: RetainedAsk): RetainedPage {
  const records: Uint8Array[] = [];
  const left: { partition: number; at: Uint8Array }[] = [];
  const elsewhere: { partition: number; leader: number }[] = [];
  for (const { partition, at } of places) {
    if (filter === '$' && leaders.get(partition) === store) continue;
    if (partition === damaged) {
      elsewhere.push({ partition, leader: 0 });
      left.push({ partition, at });
    } else if (leaders.get(partition) !== store) {
      elsewhere.push({ partition, leader: leaders.get(partition) ?? 0 });
      left.push({ partition, at });
    } else if (records.length > 0) left.push({ partition, at });
    else {
      const all = pages.get(partition) ?? [];
      const read = at.length === 0 ? 0 : (at[0] as number);
      records.push(...(all[read] ?? []).map((one) => Buffer.from(one)));
      if (read + 1 < all.length) left.push({ partition, at: Uint8Array.of(read + 1) });
    }
  }
  return { records, left, elsewhere };
}

const transport: Pick<Transport, 'call'> = {
  call: async <Request, Response>(store: number, _service: string, request: Request): Promise<Response> => {
    const { asks } = request as RetainedRequest;
    asked.push({ store, asks });
    if (held !== undefined) await new Promise<void>((resolve) => held?.push(resolve));
    if (hanging.has(store)) await new Promise(() => {});
    if (fails > 0 || silent.has(store)) {
      if (!silent.has(store)) fails--;
      throw new SluiceError('PEER_UNAVAILABLE', 'nobody there', { retriable: true });
    }
    const response: RetainedResponse = { pages: asks.map((ask) => pageOf(store, ask)) };
    return response as Response;
  },
};

beforeEach(() => {
  pages = new Map();
  leaders = new Map([1, 2, 3, 4].map((partition) => [partition, partition % 2 === 0 ? 20 : 10]));
  asked = [];
  fails = 0;
  damaged = 0;
  silent = new Set();
  nowMs = 0;
  held = undefined;
  hanging = new Set();
  metrics = new PlainMetrics();
  const topology = {
    partitionCount: 4,
    replicasOf: () => [10, 20, 30],
    leaderOf: (partition: number) => leaders.get(partition) ?? 0,
    leaderTermOf: () => 1,
    isAlive: () => true,
    noteLeader: () => true,
  };
  routes = new RouteTable(topology);
  routes.topologyChanged();
  lookups = new RetainedLookups({
    topology: topology as unknown as Topology,
    routes,
    transport,
    // Pauses are over as real time goes.
    clock: { nowMs: () => systemClock.nowMs() + nowMs, monotonicMs: () => systemClock.monotonicMs() + nowMs },
    metrics,
  });
});
afterEach(() => lookups.close());

/** Reads to the end; every page as text. */
/** Page by page into `seen`. */
function readAll(filter: string, seen: string[][] = []): Promise<string[][]> {
  return new Promise((resolve) => {
    const lookup = lookups.open(filter, {
      page: (records, isLast) => {
        seen.push(records.map(text));
        if (isLast) resolve(seen);
        else lookup.more();
      },
      stalled: () => {},
      again: () => lookup.more(),
    });
    lookup.more();
  });
}

/** For somebody, and not by the scout. */
function storesAskedForPages(): number[] {
  return asked.filter(({ asks }) => asks[0]?.filter !== '$').map(({ store }) => store);
}
function partitionsScouted(): number[][] {
  const scouting = asked.filter(({ asks }) => asks[0]?.filter === '$');
  return scouting.map(({ asks }) => asks[0]?.places.map(({ partition }) => partition) ?? []);
}

/** So many questions were asked. */
async function areAsked(count: number): Promise<void> {
  while (asked.length < count) await new Promise((resolve) => setImmediate(resolve));
}

describe('a lookup', () => {
  test('of one topic asks the partition of that topic, and nobody else', async () => {
    const partition = partitionOfTopic(Buffer.from('a/b'), 4);
    pages.set(partition, [['kept']]);
    expect(await readAll('a/b')).toEqual([['kept']]);
    expect(asked).toEqual([
      { store: leaders.get(partition), asks: [{ filter: 'a/b', places: [{ partition, at: new Uint8Array(0) }] }] },
    ]);
  });

  test('of a wildcard asks all partitions of a store at once, page after page', async () => {
    pages
      .set(1, [['1a'], ['1b']])
      .set(2, [['2a']])
      .set(3, [['3a']]);
    const seen = await readAll('#');
    expect(seen.flat().sort()).toEqual(['1a', '1b', '2a', '3a']);
    expect(asked[0]?.asks[0]?.places.map(({ partition }) => partition)).toEqual([1, 3]);
    expect(metrics.gauge('sluice_gateway_retained_lookups', '').value).toBe(0);
  });

  test('asks for nothing before it is told to', async () => {
    pages.set(1, [['1a'], ['1b']]);
    const seen: number[] = [];
    const lookup = lookups.open('#', {
      page: (records) => void seen.push(records.length),
      stalled: () => {},
      again: () => {},
    });
    await turns();
    expect(asked).toEqual([]);
    lookup.more();
    await turns();
    expect([seen, asked.length]).toEqual([[1], 1]);
    lookup.close();
    lookup.more();
    await turns();
    expect(asked.length).toBe(1);
  });

  test('goes on where it was when a partition moves, or its store does not answer', async () => {
    pages.set(1, [['1a'], ['1b'], ['1c']]);
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      const lookup = lookups.open('#', {
        page: (records, isLast) => {
          seen.push(...records.map(text));
          if (seen.length === 1) leaders.set(1, 20);
          if (seen.length === 2) fails = 2;
          if (isLast) resolve();
          else lookup.more();
        },
        stalled: () => {},
        again: () => lookup.more(),
      });
      lookup.more();
    });
    expect(seen).toEqual(['1a', '1b', '1c']);
  });

  test('finds a leader that was suspected because it did not answer, and has no reason to speak', async () => {
    pages.set(1, [['1a']]).set(2, [['2a']]);
    routes.suspect(2, 20);
    expect(routes.leaderOf(2)).toBe(0);
    expect((await readAll('#')).flat().sort()).toEqual(['1a', '2a']);
    expect(routes.leaderOf(2)).toBe(20);
    // Who was asked, and leads no more, is not asked as the leader again.
    leaders.set(2, 30);
    expect((await readAll('#')).flat().sort()).toEqual(['1a', '2a']);
    expect(routes.leaderOf(2)).toBe(30);
    expect(metrics.counter('sluice_gateway_retained_failed_total', '').value).toBe(0);
  });

  test('of many that wait for one partition asks one replica a turn', async () => {
    routes.suspect(2, 20);
    leaders.set(2, 30);
    const topics = Array.from({ length: 500 }, (_, i) => `t/${i}`).filter(
      (topic) => partitionOfTopic(Buffer.from(topic), 4) === 2,
    );
    await Promise.all(topics.map((filter) => readAll(filter)));
    expect(storesAskedForPages().length).toBe(Math.ceil(topics.length / RetainedLookups.ASKS_MAX));
    expect(partitionsScouted().length).toBeLessThanOrEqual(3);
  });

  // Found by the simulator's `retained`: readers had nothing for as long as the store was asked again and again.
  test('of all partitions is not held up by a store that does not answer', async () => {
    pages
      .set(1, [['1a']])
      .set(2, [['2a']])
      .set(3, [['3a']])
      .set(4, [['4a'], ['4b']]);
    silent.add(10);
    const seen: string[][] = [];
    const everything = readAll('#', seen);
    await until(() => partitionsScouted().length > 1);
    expect(storesAskedForPages()).toEqual([10, 20, 20, 20]);
    expect(seen.flat()).toEqual(['2a', '4a', '4b']);
    // Who comes now does not ask it at all, until it answers.
    const later = readAll('#');
    await until(() => partitionsScouted().length > 3);
    expect(storesAskedForPages()).toEqual([10, 20, 20, 20, 20, 20, 20]);
    silent.clear();
    await everything;
    expect(seen.flat()).toEqual(['2a', '4a', '4b', '1a', '3a']);
    expect((await later).flat()).toEqual(['2a', '4a', '4b', '1a', '3a']);
    const before = asked.length;
    await readAll('#');
    expect(asked[before]?.store).toBe(10);
  });

  test('of what only stores have that do not answer waits for none of them more than for the others', async () => {
    pages
      .set(1, [['1a']])
      .set(2, [['2a']])
      .set(3, [['3a']]);
    leaders.set(3, 30);
    leaders.set(4, 30);
    for (const partition of [3, 4]) {
      routes.suspect(partition, partition === 3 ? 10 : 20);
      routes.confirmed(partition, 30);
    }
    silent = new Set([10, 20]);
    const seen: string[][] = [];
    const everything = readAll('#', seen);
    await until(() => partitionsScouted().length > 2);
    expect(storesAskedForPages()).toEqual([10, 20, 30, 30]);
    expect(seen.flat()).toEqual(['3a']);
    // From now on they hang. Both are asked all the same, at once and once each.
    hanging = silent;
    const before = asked.length;
    await areAsked(before + 2);
    expect(
      asked
        .slice(before)
        .map(({ store }) => store)
        .sort(),
    ).toEqual([10, 20]);
    // Nobody waits for their answers where somebody else leads by now.
    for (const partition of [1, 2]) {
      leaders.set(partition, 30);
      routes.announced(partition, 30, 2);
    }
    await everything;
    expect(seen.flat().sort()).toEqual(['1a', '2a', '3a']);
    expect(asked.slice(before).filter(({ store }) => store !== 30).length).toBe(2);
  });

  test('waits for a leader as long as it takes, and has then what it missed, once', async () => {
    pages.set(1, [['1a']]).set(2, [['2a'], ['2b']]);
    leaders.set(2, 0);
    routes.suspect(2, 20);
    const seen: string[][] = [];
    const reading = readAll('#', seen);
    await until(() => partitionsScouted().length > 2);
    nowMs += 3_600_000;
    await until(() => partitionsScouted().length > 5);
    expect(seen.flat()).toEqual(['1a']);
    expect(metrics.gauge('sluice_gateway_retained_stalled', '').value).toBe(1);
    leaders.set(2, 20);
    await reading;
    expect(seen.flat()).toEqual(['1a', '2a', '2b']);
    expect(metrics.counter('sluice_gateway_retained_failed_total', '').value).toBe(0);
    expect(metrics.gauge('sluice_gateway_retained_stalled', '').value).toBe(0);
  });

  test('that is closed while it waits is asked for no more', async () => {
    leaders.set(2, 0);
    routes.suspect(2, 20);
    let stalled = 0;
    const lookup = lookups.open('#', { page: () => lookup.more(), stalled: () => stalled++, again: () => {} });
    lookup.more();
    await until(() => stalled === 1);
    lookup.close();
    expect(metrics.gauge('sluice_gateway_retained_stalled', '').value).toBe(0);
    expect(metrics.gauge('sluice_gateway_retained_lookups', '').value).toBe(0);
  });

  test('ends with what it has when its partition answers again and again and cannot be read', async () => {
    pages.set(1, [['1a']]);
    damaged = 2;
    const seen: string[][] = [];
    const reading = readAll('#', seen);
    const forward = setInterval(() => {
      nowMs += UnreachedPartitions.PAUSE_MS_MAX;
    }, 5);
    await reading;
    clearInterval(forward);
    expect(seen.flat()).toEqual(['1a']);
    expect(metrics.counter('sluice_gateway_retained_failed_total', '').value).toBe(1);
    expect(partitionsScouted().length).toBeGreaterThanOrEqual(RetainedLookups.STALLS_MAX);
  });

  test('ends with what it has where as many wait as may', async () => {
    leaders.set(2, 0);
    routes.suspect(2, 20);
    const ends: boolean[] = [];
    const topic = Array.from({ length: 50 }, (_, i) => `t/${i}`).find(
      (one) => partitionOfTopic(Buffer.from(one), 4) === 2,
    ) as string;
    for (let i = 0; i <= RetainedLookups.STALLED_MAX; i++) {
      const listener = {
        page: (_: unknown, isLast: boolean, hasFailed: boolean) => void ends.push(isLast && hasFailed),
        stalled: () => {},
        again: () => {},
      };
      lookups.open(topic, listener).more();
    }
    await until(() => ends.length > 0);
    expect(ends).toEqual([true]);
    expect(metrics.gauge('sluice_gateway_retained_stalled', '').value).toBe(RetainedLookups.STALLED_MAX);
    expect(metrics.counter('sluice_gateway_retained_failed_total', '').value).toBe(1);
  });
});

test('many lookups of a turn are few questions, and no more than some are asked at once', async () => {
  held = [];
  for (const partition of [2, 4]) {
    leaders.set(partition, 10);
    routes.suspect(partition, 20);
    routes.confirmed(partition, 10);
  }
  const count = RetainedLookups.ASKS_MAX * (RetainedLookups.CALLS_MAX + 2);
  const reading = Array.from({ length: count }, (_, i) => readAll(`t/${i}`));
  await turns();
  expect(asked.length).toBe(RetainedLookups.CALLS_MAX);
  const waiting = held;
  held = undefined;
  for (const release of waiting) release();
  await Promise.all(reading);
  expect(asked.length).toBe(RetainedLookups.CALLS_MAX + 2);
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
