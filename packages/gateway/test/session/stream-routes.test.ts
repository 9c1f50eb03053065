import { expect, test } from '@jest/globals';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import fc from 'fast-check';
import { StreamRoutes } from '../../src/session/stream-routes.ts';

const FILTERS = ['a', 'a/#', '+/b', 'a/b', '#', 'c/+/d'];
const TOPICS = ['a', 'a/b', 'x/b', 'c/1/d', '$SYS/b'];

test('a topic is kept by the streams whose filters match, as the newest news has them', () => {
  const stream = fc.record({ streamId: fc.integer({ min: 1, max: 8 }), filter: fc.constantFrom(...FILTERS) });
  const news = fc.record({
    partition: fc.integer({ min: 1, max: 3 }),
    isImage: fc.boolean(),
    added: fc.uniqueArray(stream, { selector: ({ streamId }) => streamId, maxLength: 4 }),
    removed: fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 2 }),
  });
  fc.assert(
    fc.property(fc.array(news, { maxLength: 12 }), (all) => {
      const routes = new StreamRoutes();
      const naive = new Map<number, Map<number, string>>();
      for (const { partition, isImage, added, removed } of all) {
        const known = naive.get(partition) ?? new Map<number, string>();
        // An id is never given to another filter.
        const told = added.map(({ streamId, filter }) => ({ streamId, filter: known.get(streamId) ?? filter }));
        const gone = isImage ? [] : removed.filter((id) => !told.some(({ streamId }) => streamId === id));
        routes.streams({ type: 'streams', partition, version: 1, isImage, added: told, removed: gone });
        if (isImage) known.clear();
        for (const streamId of gone) known.delete(streamId);
        for (const { streamId, filter } of told) known.set(streamId, filter);
        naive.set(partition, known);
        for (const topic of TOPICS) {
          const expected = [...naive].flatMap(([number, streams]) =>
            [...streams].filter(([, filter]) => matches(filter, topic)).map(([id]) => `${number}:${id}`),
          );
          const found = routes.match(topic).map((route) => `${route.partition}:${route.streamId}`);
          expect(found.sort()).toEqual(expected.sort());
        }
      }
      expect(routes.isComplete(3)).toBe(naive.size === 3);
      expect(routes.isComplete(0)).toBe(false);
    }),
  );
});
