import { describe, expect, test } from '@jest/globals';
import type { LiveMessage } from '@sluice/gateway/live/live-router';
import { RetainedStore, wantsRetained } from '@sluice/gateway/live/retained-store';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import fc from 'fast-check';
import { publish, subscription } from './fixtures.ts';

function lookUp(store: RetainedStore, filter: string, nowMs = 0, limit = 3): LiveMessage[] {
  const cursor = store.open(filter);
  const found: LiveMessage[] = [];
  while (!cursor.done) {
    const before = found.length;
    cursor.read(found, limit, nowMs);
    expect(found.length - before).toBeLessThanOrEqual(limit);
  }
  return found;
}

function topics(store: RetainedStore, filter: string, nowMs = 0): string[] {
  return lookUp(store, filter, nowMs)
    .map((message) => message.topic)
    .sort();
}

describe('the retained store', () => {
  test('keeps the last message of a topic until an empty one removes it', () => {
    const store = new RetainedStore();
    expect(store.put(publish('a/b', { payload: Buffer.from('1') }), 0)).toBe('stored');
    expect(store.put(publish('a/b', { payload: Buffer.from('22') }), 0)).toBe('stored');
    expect(store.count).toBe(1);
    expect(lookUp(store, 'a/b').map((message) => Buffer.from(message.payload).toString())).toEqual(['22']);
    expect(store.put(publish('a/b', { payload: Buffer.alloc(0) }), 0)).toBe('removed');
    expect(store.put(publish('never/was', { payload: Buffer.alloc(0) }), 0)).toBe('removed');
    expect([store.count, store.sizeBytes, topics(store, '#').length]).toEqual([0, 0, 0]);
  });

  test('owns what it keeps: the receive buffer may be used again', () => {
    const store = new RetainedStore();
    const payload = Buffer.from('kept');
    const correlationData = Buffer.from('id');
    const properties = { correlationData, userProperties: ['a', '1', 'a', '2'], topicAlias: 3, contentType: 't' };
    store.put(publish('a', { payload, properties }), 0);
    payload.fill(0);
    correlationData.fill(0);
    const [message] = lookUp(store, 'a') as [LiveMessage];
    expect(Buffer.from(message.payload).toString()).toBe('kept');
    expect(message.properties).toEqual({
      correlationData: new Uint8Array(Buffer.from('id')),
      userProperties: ['a', '1', 'a', '2'],
      contentType: 't',
    });
    expect(message.retain).toBe(true);
  });

  test('never shows an expired message, and sweeps it away', () => {
    const store = new RetainedStore();
    for (let i = 0; i < 10; i++) store.put(publish(`t/${i}`, { expiresAtMs: 100 + i }), 0);
    store.put(publish('t/for-ever'), 0);
    expect(topics(store, 't/+', 104).length).toBe(6);
    expect(store.sweep(104)).toBe(5);
    expect(store.count).toBe(6);
    store.put(publish('t/9'), 104);
    expect(store.sweep(10_000) + store.sweep(10_000)).toBe(4);
    expect(topics(store, '#', 10_000)).toEqual(['t/9', 't/for-ever']);
  });

  test('refuses what does not fit by count, counts it, and still replaces', () => {
    const store = new RetainedStore({ countMax: 2 });
    expect(['a', 'b', 'c', 'a'].map((topic) => store.put(publish(topic), 0))).toEqual([
      'stored',
      'stored',
      'refused',
      'stored',
    ]);
    expect(store.refused).toBe(1);
    expect(topics(store, '#')).toEqual(['a', 'b']);
  });

  test('expired messages make room', () => {
    const store = new RetainedStore({ countMax: 1 });
    store.put(publish('old', { expiresAtMs: 5 }), 0);
    expect(store.put(publish('new'), 4)).toBe('refused');
    expect(store.put(publish('new'), 5)).toBe('stored');
  });

  test('refuses by bytes, levels included, and the message before stays', () => {
    const store = new RetainedStore({ bytesMax: 2_000, messageBytesMax: 1_500 });
    store.put(publish('a', { payload: Buffer.from('small') }), 0);
    expect(store.put(publish('a', { payload: Buffer.alloc(1_400) }), 0)).toBe('refused');
    expect(store.put(publish('a', { payload: Buffer.alloc(900) }), 0)).toBe('stored');
    expect(store.put(publish('b', { payload: Buffer.alloc(900) }), 0)).toBe('refused');
    expect(store.put(publish('/'.repeat(10)), 0)).toBe('refused');
    expect(lookUp(store, 'a')[0]?.payload.length).toBe(900);
    expect(store.refused).toBe(3);
  });

  test('a lookup that finds nothing in a wide store comes back between portions', () => {
    const store = new RetainedStore();
    for (let i = 0; i < 20_000; i++) store.put(publish(`d/${i}/state`), 0);
    const cursor = store.open('d/+/nothing');
    const found: LiveMessage[] = [];
    let portions = 0;
    for (; !cursor.done; portions++) cursor.read(found, 100, 0);
    expect(found).toEqual([]);
    expect(portions).toBeGreaterThan(4);
  });

  test('a cursor lives through changes underneath it', () => {
    const store = new RetainedStore();
    for (let i = 0; i < 100; i++) store.put(publish(`d/${i}`), 0);
    const cursor = store.open('#');
    const found: LiveMessage[] = [];
    cursor.read(found, 10, 0);
    for (let i = 0; i < 100; i += 2) store.put(publish(`d/${i}`, { payload: Buffer.alloc(0) }), 0);
    while (!cursor.done) cursor.read(found, 10, 0);
    const seen = found.map((message) => message.topic);
    expect(new Set(seen).size).toBe(seen.length);
    for (let i = 1; i < 100; i += 2) expect(seen).toContain(`d/${i}`);
  });

  test('finds what matching every topic finds', () => {
    const level = fc.constantFrom('a', 'b', '', '$x', '__proto__');
    const join = (levels: string[]): string => levels.join('/');
    const topic = fc
      .array(level, { minLength: 1, maxLength: 4 })
      .map(join)
      .filter((text) => text !== '');
    const filter = fc
      .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
      .map(([levels, rest]) => join(rest ? [...levels, '#'] : levels))
      .filter((text) => text !== '');
    const step = fc.tuple(topic, fc.constantFrom('', 'x', 'yy'), fc.constantFrom(0, 10, 20));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.array(filter, { maxLength: 8 }), (steps, filters) => {
        const store = new RetainedStore();
        const naive = new Map<string, number>();
        for (const [name, payload, expiresAtMs] of steps) {
          store.put(publish(name, { payload: Buffer.from(payload), expiresAtMs }), 0);
          if (payload === '') naive.delete(name);
          else naive.set(name, expiresAtMs);
        }
        expect(store.count).toBe(naive.size);
        const live = [...naive].filter(([, at]) => at === 0 || at > 15).map(([name]) => name);
        for (const each of [...filters, '#', '+', 'a/#']) {
          expect(topics(store, each, 15)).toEqual(live.filter((name) => matches(each, name)).sort());
        }
        store.sweep(15);
        expect(store.count).toBe(live.length);
        for (const name of live) store.put(publish(name, { payload: Buffer.alloc(0) }), 0);
        expect([store.count, store.sizeBytes]).toEqual([0, 0]);
      }),
      { seed: 1120, numRuns: 500 },
    );
  });
});

test.each([
  [0, 'added', true],
  [0, 'replaced', true],
  [1, 'added', true],
  [1, 'replaced', false],
  [2, 'added', false],
  [0, 'refused', false],
] as const)('retain handling %i on a subscription that was %s: %s', (retainHandling, outcome, expected) => {
  expect(wantsRetained(subscription('a', { retainHandling }), outcome)).toBe(expected);
  expect(wantsRetained(subscription('$share/g/a', { retainHandling }), outcome)).toBe(false);
});
