import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SluiceError } from '@sluice/common/errors';
import { PlainMetrics } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type { RetainedAsk, RetainedPage, RetainedRequest, RetainedResponse } from '@sluice/rpc/contract/retained';
import type { Transport } from '@sluice/rpc/transport';
import { RetainedLookups } from '../../src/retained/retained-lookups.ts';
import { partitionOfTopic } from '../../src/retained/topic-partition.ts';
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
let held: (() => void)[] | undefined;
/** Stores that say nothing, not even that they do not answer. */
let hanging: Set<number>;

/** A store that leads what it is asked for, unless `leaders` says otherwise by now. */
function pageOf(store: number, { places }: RetainedAsk): RetainedPage {
  const records: Uint8Array[] = [];
  const left: { partition: number; at: Uint8Array }[] = [];
  const elsewhere: { partition: number; leader: number }[] = [];
  for (const { partition, at } of places) {
    if (leaders.get(partition) !== store) {
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
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
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
    });
    lookup.more();
  });
}

function storesAskedForPages(): number[] {
  return asked.filter(({ asks }) => asks.length > 0).map(({ store }) => store);
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
    const lookup = lookups.open('#', { page: (records) => void seen.push(records.length) });
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
    expect(asked.length).toBeLessThanOrEqual(2 + Math.ceil(topics.length / RetainedLookups.ASKS_MAX) * 3);
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
    await areAsked(6);
    expect(storesAskedForPages()).toEqual([10, 20, 20, 20]);
    expect(seen.flat()).toEqual(['2a', '4a', '4b']);
    // Who comes now begins with those that answer, until that store does.
    const later = readAll('#');
    await areAsked(asked.length + 4);
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
    while (storesAskedForPages().length < 4) await turns();
    expect(storesAskedForPages()).toEqual([10, 20, 30, 30]);
    expect(seen.flat()).toEqual(['3a']);
    // From now on they hang. Both are asked all the same, at once and once each, and for nothing that anybody waits for.
    hanging = silent;
    const before = asked.length;
    await areAsked(before + 2);
    expect(asked.slice(before)).toEqual([
      { store: 10, asks: [] },
      { store: 20, asks: [] },
    ]);
    // Nobody waits for their answers where somebody else leads by now.
    for (const partition of [1, 2]) {
      leaders.set(partition, 30);
      routes.announced(partition, 30, 2);
    }
    await everything;
    expect(seen.flat()).toEqual(['3a', '1a', '2a']);
    expect(storesAskedForPages().slice(4)).toEqual([30, 30]);
  });

  test('waits for a leader, and gives up after a while with what it has', async () => {
    pages.set(1, [['1a']]).set(2, [['2a']]);
    leaders.set(2, 0);
    routes.suspect(2, 20);
    const reading = readAll('#');
    await turns();
    nowMs += RetainedLookups.DEADLINE_MS + 1;
    expect((await reading).flat()).toEqual(['1a']);
    expect(metrics.counter('sluice_gateway_retained_failed_total', '').value).toBe(1);
    const later = readAll('#');
    leaders.set(2, 20);
    expect((await later).flat().sort()).toEqual(['1a', '2a']);
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

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
