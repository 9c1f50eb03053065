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
        for (const each of readers) router.leave(each);
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
    expect(router.leave(one)).toEqual({ ordinary: 2, shared: 0 });
    expect(router.leave(one)).toEqual({ ordinary: 0, shared: 0 });
    expect(router.subscribe(two, subscription('b'))).toBe('added');
    expect(router.unsubscribe(two, 'zzz')).toBe(false);
  });
});

describe('the subscriptions of who has left', () => {
  const topics = Array.from({ length: 10 }, (_, i) => `a/${i}`);
  const leaver = (router: LiveRouter): RecordingSubscriber => {
    const reader = new RecordingSubscriber('leaver');
    for (const topic of topics) router.subscribe(reader, subscription(topic));
    return reader;
  };

  test('bring nothing and count for nobody, before they are removed', () => {
    const router = new LiveRouter();
    const reader = leaver(router);
    for (const topic of topics) router.route(publish(topic));
    reader.take();
    router.leave(reader);
    router.removeLeft(3);
    expect([router.leftCount, router.subscriptions]).toEqual([7, 0]);
    for (const topic of topics) expect(router.route(publish(topic))).toBe(0);
    expect(reader.take()).toEqual([]);
    expect([...router.subscriptionsOf(reader)]).toEqual([]);
  });

  test('are not those of the same client when it is back before they are removed', () => {
    const router = new LiveRouter();
    router.leave(leaver(router));
    const back = leaver(router);
    expect(router.removeLeft(100)).toBe(10);
    for (const topic of topics) expect(router.route(publish(topic))).toBe(1);
    expect(back.take()).toHaveLength(10);
    expect(router.wantedCount).toBe(10);
  });

  test('are wanted of other gateways for as long as somebody else wants them, and no longer than they stand here', () => {
    const router = new LiveRouter();
    const told: string[] = [];
    router.observe({
      routeAdded: (filter) => told.push(`+${filter}`),
      routeRemoved: (filter) => told.push(`-${filter}`),
    });
    router.leave(leaver(router));
    const other = new RecordingSubscriber('other');
    router.subscribe(other, subscription('a/3'));
    told.length = 0;
    router.removeLeft(5);
    expect(told).toEqual(['-a/0', '-a/1', '-a/2', '-a/4']);
    expect(router.route(publish('a/3'))).toBe(1);
    router.removeLeft(5);
    expect([...router.wanted()].map(({ filter }) => filter)).toEqual(['a/3']);
  });

  test('leave their groups at once: the others of the group get what comes, and an empty one gets nothing', () => {
    const router = new LiveRouter();
    const told: string[] = [];
    router.observe({ routeAdded: () => {}, routeRemoved: (filter, share) => told.push(`${share} ${filter}`) });
    const [one, two] = [new RecordingSubscriber('one'), new RecordingSubscriber('two')];
    for (const each of [one, two]) router.subscribe(each, subscription('$share/both/a'));
    router.subscribe(one, subscription('$share/alone/a'));
    expect(router.leave(one)).toEqual({ ordinary: 0, shared: 2 });
    expect([router.hasGroup('$share/both/a'), router.hasGroup('$share/alone/a')]).toEqual([true, false]);
    expect(told).toEqual(['alone a']);
    for (let i = 0; i < 3; i++) expect(router.route(publish('a'))).toBe(1);
    expect(two.take()).toHaveLength(3);
    // Whoever begins the group anew has it to himself, whatever is left of the former.
    router.subscribe(one, subscription('$share/alone/a'));
    expect(router.removeLeft(100)).toBe(1);
    expect(router.route(publish('a'))).toBe(2);
    expect(one.take()).toHaveLength(1);
  });

  test('take no place from anybody', () => {
    const router = new LiveRouter({ totalMax: 10 });
    router.leave(leaver(router));
    const back = leaver(router);
    expect([router.subscriptions, router.leftCount]).toEqual([10, 0]);
    expect(router.subscribe(back, subscription('one-more'))).toBe('refused');
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
      fc.record({ kind: fc.constant('leave' as const), who }),
      fc.record({ kind: fc.constant('remove some' as const), count: fc.nat(3) }),
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
          } else if (action.kind === 'remove some') {
            router.removeLeft(action.count);
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
              const shared = [...own.values()].filter(({ group }) => group !== undefined).length;
              expect(router.leave(reader)).toEqual({ ordinary: own.size - shared, shared });
              own.clear();
            }
          }
          expect(router.subscriptions).toBe(held.reduce((sum, own) => sum + own.size, 0));
        }
        // What has left is gone without a trace.
        const newcomer = new RecordingSubscriber('new');
        router.removeLeft(Number.POSITIVE_INFINITY);
        expect(router.leftCount).toBe(0);
        expect(router.wantedCount).toBe(new Set(held.flatMap((own) => [...own.keys()])).size);
        for (const reader of readers) router.leave(reader);
        router.removeLeft(Number.POSITIVE_INFINITY);
        expect([router.wantedCount, router.sharedGroups]).toEqual([0, 0]);
        router.subscribe(newcomer, subscription('#'));
        expect(router.route(publish('a/b'))).toBe(1);
      }),
      { seed: 1120, numRuns: 300 },
    );
  });
});
