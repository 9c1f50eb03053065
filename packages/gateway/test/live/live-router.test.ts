import { describe, expect, test } from '@jest/globals';
import { LiveRouter } from '@sluice/gateway/live/live-router';
import { CACHED_TOPICS_MAX, MatchCache } from '@sluice/mqtt/topic/match-cache';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import fc from 'fast-check';
import { publish, RecordingSubscriber, subscription } from './fixtures.ts';

describe('ordinary subscriptions', () => {
  test('overlapping ones each bring a copy with their own identifier', () => {
    const router = new LiveRouter();
    const reader = new RecordingSubscriber('reader');
    router.subscribe(reader, subscription('a/+', { identifier: 1 }));
    router.subscribe(reader, subscription('a/b', { identifier: 2 }));
    router.subscribe(reader, subscription('#'));
    expect(router.route(publish('a/b'))).toBe(3);
    expect(reader.take().map(([, identifier]) => identifier)).toEqual(expect.arrayContaining([1, 2, undefined]));
    expect(router.route(publish('b'))).toBe(1);
  });

  test('the same filter again replaces, on a cached topic too', () => {
    const router = new LiveRouter();
    const reader = new RecordingSubscriber('reader');
    expect(router.subscribe(reader, subscription('a', { identifier: 1 }))).toBe('added');
    router.route(publish('a'));
    expect(router.subscribe(reader, subscription('a', { identifier: 2 }))).toBe('replaced');
    expect(router.route(publish('a'))).toBe(1);
    expect(reader.take()).toEqual([
      ['a', 1],
      ['a', 2],
    ]);
    expect(router.subscriptions).toBe(1);
    expect([...router.subscriptionsOf(reader)].map((held) => held.identifier)).toEqual([2]);
  });

  test('No Local withholds what the same client published, and nothing else', () => {
    const router = new LiveRouter();
    const self = new RecordingSubscriber('self');
    router.subscribe(self, subscription('a', { noLocal: true }));
    expect(router.route(publish('a', { publisher: 'self' }))).toBe(0);
    expect(router.route(publish('a', { publisher: 'other' }))).toBe(1);
  });

  test('nobody interested is zero copies', () => expect(new LiveRouter().route(publish('a'))).toBe(0));

  test('a subscription that ends while a message is handed out gets no more of it', () => {
    const router = new LiveRouter();
    const readers = [new RecordingSubscriber('one'), new RecordingSubscriber('two')];
    for (const reader of readers) {
      router.subscribe(reader, subscription('a'));
      reader.onReceive = () => {
        for (const each of readers) router.removeAll(each);
      };
    }
    expect(router.route(publish('a'))).toBe(1);
    expect(router.route(publish('a'))).toBe(0);
    expect(router.subscriptions).toBe(0);
  });

  test('more than the bounds allow are refused, and make room again when they end', () => {
    const router = new LiveRouter({ perSubscriberMax: 2, totalMax: 3 });
    const [one, two] = [new RecordingSubscriber('one'), new RecordingSubscriber('two')];
    expect(['a', 'b', 'c', 'b'].map((filter) => router.subscribe(one, subscription(filter)))).toEqual([
      'added',
      'added',
      'refused',
      'replaced',
    ]);
    expect(['a', 'b'].map((filter) => router.subscribe(two, subscription(filter)))).toEqual(['added', 'refused']);
    expect(router.removeAll(one)).toBe(2);
    expect(router.removeAll(one)).toBe(0);
    expect(router.subscribe(two, subscription('b'))).toBe('added');
    expect(router.unsubscribe(two, 'zzz')).toBe(false);
  });
});

describe('the cache of matches', () => {
  test('forgets a topic when its exact filter changes, and everything for a wildcard', () => {
    const router = new LiveRouter();
    const reader = new RecordingSubscriber('reader');
    for (const topic of ['a', 'b', 'c']) router.route(publish(topic));
    expect(router.cachedTopics).toBe(3);
    router.subscribe(reader, subscription('a'));
    expect(router.cachedTopics).toBe(2);
    router.subscribe(reader, subscription('+'));
    expect(router.cachedTopics).toBe(0);
    expect(router.route(publish('b'))).toBe(1);
  });

  test('keeps what is asked for while everything else passes by', () => {
    const cache = new MatchCache<number>();
    cache.put('wanted', [1]);
    for (let i = 0; i < 50_000; i++) {
      cache.put(`other/${i}`, [2]);
      if (i % 1_000 === 0) expect(cache.get('wanted')).toEqual([1]);
    }
    expect(cache.get('other/0')).toBeUndefined();
    cache.drop('wanted');
    expect(cache.get('wanted')).toBeUndefined();
  });

  test('is bounded in matches', () => {
    const cache = new MatchCache<number>();
    const many = new Array<number>(1 << 18).fill(0);
    for (let i = 0; i < 10; i++) cache.put(`t/${i}`, many);
    expect(cache.size).toBeLessThanOrEqual(4);
    cache.put('too-many', new Array<number>((1 << 19) + 1).fill(0));
    expect(cache.get('too-many')).toBeUndefined();
  });

  test('is bounded in topics, whatever publishers think of', () => {
    const router = new LiveRouter();
    for (let i = 0; i < 2 * CACHED_TOPICS_MAX; i++) router.route(publish(`t/${i}`));
    expect(router.cachedTopics).toBeGreaterThan(CACHED_TOPICS_MAX / 2);
    expect(router.cachedTopics).toBeLessThanOrEqual(CACHED_TOPICS_MAX);
    const before = router.cachedTopics;
    router.route(publish('x'.repeat(600)));
    expect(router.cachedTopics).toBe(before);
  });

  test('never shows: routing equals matching every subscription, whatever happened in between', () => {
    const filter = fc.constantFrom('a', 'a/b', 'a/+', '#', '+/b', '$share/g/a/#', '$share/g/a/b', '$share/h/a/b', '+');
    const topic = fc.constantFrom('a', 'a/b', 'b', '__proto__', '$SYS/b', 'a/b/c');
    const who = fc.integer({ min: 0, max: 2 });
    const step = fc.oneof(
      fc.record({ kind: fc.constant('subscribe' as const), who, filter }),
      fc.record({ kind: fc.constant('unsubscribe' as const), who, filter }),
      fc.record({ kind: fc.constant('removeAll' as const), who }),
      fc.record({ kind: fc.constant('publish' as const), topic }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const router = new LiveRouter();
        const readers = [0, 1, 2].map((i) => new RecordingSubscriber(`c${i}`));
        const held = readers.map(() => new Map<string, ReturnType<typeof subscription>>());
        for (const action of steps) {
          if (action.kind === 'publish') {
            const ordinary = held.map((own) =>
              [...own.values()].filter((s) => s.group === undefined && matches(s.filter, action.topic)),
            );
            const groups = new Set(
              held.flatMap((own) =>
                [...own.values()]
                  .filter((s) => s.group !== undefined && matches(s.filter, action.topic))
                  .map((s) => s.topicFilter),
              ),
            );
            const expected = ordinary.reduce((sum, list) => sum + list.length, 0) + groups.size;
            expect(router.route(publish(action.topic))).toBe(expected);
            const got = readers.map((reader) => reader.take().length);
            expect(got.reduce((sum, n) => sum + n, 0)).toBe(expected);
            for (const [i, n] of got.entries()) expect(n).toBeGreaterThanOrEqual((ordinary[i] ?? []).length);
          } else {
            const reader = readers[action.who] as RecordingSubscriber;
            const own = held[action.who] as Map<string, ReturnType<typeof subscription>>;
            if (action.kind === 'subscribe') {
              const wanted = subscription(action.filter);
              expect(router.subscribe(reader, wanted)).toBe(own.has(action.filter) ? 'replaced' : 'added');
              own.set(action.filter, wanted);
            } else if (action.kind === 'unsubscribe') {
              expect(router.unsubscribe(reader, action.filter)).toBe(own.delete(action.filter));
            } else {
              expect(router.removeAll(reader)).toBe(own.size);
              own.clear();
            }
          }
          expect(router.subscriptions).toBe(held.reduce((sum, own) => sum + own.size, 0));
        }
      }),
      { seed: 1120, numRuns: 300 },
    );
  });
});
