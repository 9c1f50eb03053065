import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { badRequest } from './api-error.ts';

/**
 * Pages of queues in the order (filter, name). The cursor holds the last row's place in that order, not its number, so
 * a queue that comes or goes between two pages shifts no other row into or out of sight.
 */
export interface Page<T> {
  data: T[];
  meta: { hasnext: boolean; cursor?: string };
}

export const PAGE_LIMIT_MAX = 10_000;
export const PAGE_LIMIT_DEFAULT = 100;

/** Sorting is done once an image: the array's identity says whether it is still the same. */
const sortedByList = new WeakMap<readonly QueueDefinition[], readonly QueueDefinition[]>();

export function pageOfQueues(
  queues: readonly QueueDefinition[],
  limit: number,
  cursor: string | undefined,
): Page<QueueDefinition> {
  const sorted = sortQueues(queues);
  const after = cursor === undefined ? undefined : readCursor(cursor);
  const start = after === undefined ? 0 : firstAfter(sorted, after);
  const data = sorted.slice(start, start + limit);
  const last = data.at(-1);
  if (last === undefined || start + limit >= sorted.length) return { data, meta: { hasnext: false } };
  return { data, meta: { hasnext: true, cursor: writeCursor(last) } };
}

function sortQueues(queues: readonly QueueDefinition[]): readonly QueueDefinition[] {
  let sorted = sortedByList.get(queues);
  if (sorted === undefined) {
    sorted = [...queues].sort((a, b) => comparePlace([a.topicFilter, a.name], [b.topicFilter, b.name]));
    sortedByList.set(queues, sorted);
  }
  return sorted;
}

type Place = readonly [topicFilter: string, name: string];

function comparePlace(a: Place, b: Place): number {
  if (a[0] !== b[0]) return a[0] < b[0] ? -1 : 1;
  return a[1] === b[1] ? 0 : a[1] < b[1] ? -1 : 1;
}

function firstAfter(sorted: readonly QueueDefinition[], after: Place): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { topicFilter, name } = sorted[middle] as QueueDefinition;
    if (comparePlace([topicFilter, name], after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function writeCursor({ topicFilter, name }: QueueDefinition): string {
  return Buffer.from(JSON.stringify([topicFilter, name])).toString('base64url');
}

function readCursor(cursor: string): Place {
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(place) && place.length === 2 && place.every((part) => typeof part === 'string')) {
      return [place[0] as string, place[1] as string];
    }
  } catch {
    // Refused below, like any other text that is not a cursor.
  }
  throw badRequest('Invalid cursor', 'Use the "cursor" of the page before, unchanged, or none for the first page');
}
