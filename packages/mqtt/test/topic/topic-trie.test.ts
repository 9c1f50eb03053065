import { describe, expect, test } from '@jest/globals';
import { TopicTrie } from '@sluice/mqtt/topic/topic-trie';
import fc from 'fast-check';
import { dollarAwareMatch, filterArbitrary, topicArbitrary } from './arbitraries.ts';

function matched<V extends NonNullable<unknown>>(trie: TopicTrie<V>, topic: string): V[] {
  const values: V[] = [];
  trie.match(topic, (value) => values.push(value));
  return values;
}

describe('the topic trie', () => {
  test('holds a value once per filter, and counts pairs', () => {
    const trie = new TopicTrie<number>();
    expect(trie.add('a/+', 0)).toBe(true);
    expect(trie.add('a/+', 0)).toBe(false);
    expect(trie.add('a/+', 1)).toBe(true);
    expect(trie.add('a/b', 1)).toBe(true);
    expect(trie.size).toBe(3);
    expect(matched(trie, 'a/b').sort()).toEqual([0, 1, 1]);
    expect(trie.remove('a/+', 2)).toBe(false);
    expect(trie.remove('a/+/c', 0)).toBe(false);
    expect(trie.remove('b/#', 0)).toBe(false);
    expect(trie.remove('a/c', 0)).toBe(false);
    expect(trie.remove('a/+', 0)).toBe(true);
    expect(trie.remove('a/+', 0)).toBe(false);
    expect(matched(trie, 'a/b')).toEqual([1, 1]);
    expect(trie.size).toBe(2);
  });

  test('does not confuse a level called like an object member', () => {
    const trie = new TopicTrie<string>();
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
      expect(matched(trie, name)).toEqual([]);
      expect(matched(trie, `${name}/x`)).toEqual([]);
      trie.add(`${name}/+`, name);
      expect(matched(trie, `${name}/x`)).toEqual([name]);
      expect(trie.remove(`${name}/+`, name)).toBe(true);
    }
    expect(trie.size).toBe(0);
  });

  test('a visitor that changes what it is shown is a bug, and the trie survives it', () => {
    const trie = new TopicTrie<number>();
    trie.add('a', 1);
    expect(() => trie.match('a', () => trie.add('b', 2))).toThrow('visitor');
    expect(matched(trie, 'a')).toEqual([1]);
  });

  test('walks as deep as a packet is long, without a stack', () => {
    const trie = new TopicTrie<string>();
    const levels = Array.from({ length: 32_000 }, () => 'a');
    const filter = [...levels.slice(1), '+'].join('/');
    trie.add(filter, 'deep');
    trie.add('#', 'all');
    expect(matched(trie, levels.join('/')).sort()).toEqual(['all', 'deep']);
    expect(trie.remove(filter, 'deep')).toBe(true);
    expect(matched(trie, levels.join('/'))).toEqual(['all']);
  });

  test('every combination of + and literals over one topic is visited once each', () => {
    const trie = new TopicTrie<string>();
    const depth = 10;
    for (let bits = 0; bits < 1 << depth; bits++) {
      const filter = Array.from({ length: depth }, (_, i) => ((bits >> i) & 1 ? '+' : 'a')).join('/');
      trie.add(filter, filter);
      trie.add(`${filter}/#`, `${filter}/#`);
    }
    const topic = Array.from({ length: depth }, () => 'a').join('/');
    const values = matched(trie, topic);
    expect(values.length).toBe(2 << depth);
    expect(new Set(values).size).toBe(values.length);
  });

  test('agrees with trying every filter, whatever was added and removed before', () => {
    const step = fc.tuple(fc.boolean(), filterArbitrary, fc.integer({ min: 0, max: 3 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(topicArbitrary, { maxLength: 10 }), (steps, topics) => {
        const trie = new TopicTrie<number>();
        const naive = new Map<string, [string, number]>();
        for (const [adds, filter, value] of steps) {
          const key = `${filter} ${value}`;
          if (adds) {
            expect(trie.add(filter, value)).toBe(!naive.has(key));
            naive.set(key, [filter, value]);
          } else expect(trie.remove(filter, value)).toBe(naive.delete(key));
          expect(trie.size).toBe(naive.size);
        }
        for (const topic of topics) {
          const expected = [...naive.values()].filter(([filter]) => dollarAwareMatch(filter, topic)).map(([, v]) => v);
          expect(matched(trie, topic).sort()).toEqual(expected.sort());
        }
        for (const [filter, value] of naive.values()) expect(trie.remove(filter, value)).toBe(true);
        for (const topic of topics) expect(matched(trie, topic)).toEqual([]);
      }),
      { seed: 1120, numRuns: 500 },
    );
  });
});
