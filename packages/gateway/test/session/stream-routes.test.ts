import { describe, expect, test } from '@jest/globals';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import type { StreamNews } from '@sluice/rpc/contract/sessions';
import fc from 'fast-check';
import { StreamRoutes } from '../../src/session/stream-routes.ts';

const FILTERS = ['a', 'a/#', '+/b', 'a/b', '#', 'c/+/d'];
const TOPICS = ['a', 'a/b', 'x/b', 'c/1/d', '$SYS/b'];

/** The filter of a stream: an id is never given to another one. */
const filterOf = (streamId: number): string => FILTERS[streamId % FILTERS.length] as string;

function news(over: Partial<Omit<StreamNews, 'added'>> & { added?: number[] }): StreamNews {
  const { added = [], ...more } = over;
  const told = added.map((streamId) => ({ streamId, filter: filterOf(streamId) }));
  return {
    type: 'streams',
    partition: 1,
    version: 1,
    part: 'change',
    isComplete: true,
    removed: [],
    ...more,
    added: told,
  };
}

const found = (routes: StreamRoutes, topic: string): string[] =>
  routes
    .match(topic)
    .map(({ partition, streamId }) => `${partition}:${streamId}`)
    .sort();

test('a topic is kept by the streams whose filters match, as the newest news has them', () => {
  const ids = (maxLength: number) => fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength });
  const step = fc.record({
    partition: fc.integer({ min: 1, max: 3 }),
    part: fc.constantFrom<StreamNews['part']>('first-page', 'page', 'change'),
    isLast: fc.boolean(),
    added: ids(4),
    removed: ids(2),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 16 }), (steps) => {
      const routes = new StreamRoutes();
      const known = new Map<number, { now: Set<number>; image: Set<number> | undefined; wasComplete: boolean }>();
      for (const { partition, part, isLast, added, removed } of steps) {
        const one = known.get(partition) ?? { now: new Set(), image: undefined, wasComplete: false };
        if (part === 'page' && one.image === undefined) continue;
        known.set(partition, one);
        if (part === 'first-page') one.image = new Set();
        const gone = part === 'change' ? removed : [];
        const isComplete = part === 'change' ? one.image === undefined : isLast;
        routes.streams(news({ partition, part, isComplete, added, removed: gone }));
        for (const streamId of gone) {
          one.now.delete(streamId);
          one.image?.delete(streamId);
        }
        for (const streamId of added) {
          one.now.add(streamId);
          one.image?.add(streamId);
        }
        if (isComplete && one.image !== undefined) one.now = one.image;
        if (isComplete) one.image = undefined;
        one.wasComplete ||= isComplete;
        for (const topic of TOPICS) {
          const expected = [...known].flatMap(([number, { now }]) =>
            [...now].filter((id) => matches(filterOf(id), topic)).map((id) => `${number}:${id}`),
          );
          expect(found(routes, topic)).toEqual(expected.sort());
        }
      }
      const isComplete = known.size === 3 && [...known.values()].every(({ wasComplete }) => wasComplete);
      expect([routes.isComplete(3), routes.isComplete(0)]).toEqual([isComplete, false]);
    }),
  );
});

describe('the image of a new leader', () => {
  test('leaves what was known in force until its last page, and what ended meanwhile ends', () => {
    const routes = new StreamRoutes();
    routes.streams(news({ part: 'first-page', added: [0, 6, 12] }));
    routes.streams(news({ part: 'first-page', isComplete: false, added: [6] }));
    routes.streams(news({ isComplete: false, added: [18], removed: [12] }));
    expect(found(routes, 'a')).toEqual(['1:0', '1:18', '1:6']);
    expect(routes.isComplete(1)).toBe(true);
    routes.streams(news({ part: 'page', added: [24] }));
    expect(found(routes, 'a')).toEqual(['1:18', '1:24', '1:6']);
    expect(routes.count).toBe(3);
  });

  test('that breaks off is begun anew by the next', () => {
    const routes = new StreamRoutes();
    routes.streams(news({ part: 'first-page', isComplete: false, added: [0, 6] }));
    expect(routes.isComplete(1)).toBe(false);
    routes.streams(news({ part: 'first-page', added: [6] }));
    expect(found(routes, 'a')).toEqual(['1:6']);
    expect(routes.isComplete(1)).toBe(true);
  });
});
