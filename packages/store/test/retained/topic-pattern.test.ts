import { describe, expect, test } from '@jest/globals';
import { matches } from '@sluice/mqtt/topic/topic-filter';
import fc from 'fast-check';
import { TopicPattern } from '../../src/retained/topic-pattern.ts';

const level = fc.constantFrom('', 'a', 'b', 'ab', 'ü', '$x', '漢');
const topic = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter((text) => text !== '');
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([levels, hasRest]) => [...levels, ...(hasRest ? ['#'] : [])].join('/'))
  .filter((text) => text !== '');

describe('a topic pattern', () => {
  test('matches what the filter matches, byte by byte as level by level', () => {
    fc.assert(
      fc.property(filter, topic, (filterText, topicText) => {
        const pattern = new TopicPattern(filterText);
        const bytes = Buffer.from(topicText);
        expect(pattern.matches(bytes)).toBe(matches(filterText, topicText));
        if (pattern.matches(bytes)) expect(bytes.subarray(0, pattern.prefix.length).equals(pattern.prefix)).toBe(true);
      }),
      { numRuns: 3000, seed: 20261120 },
    );
  });

  test('knows where to look', () => {
    const look = (text: string): [string, boolean] => {
      const { prefix, isExact } = new TopicPattern(text);
      return [Buffer.from(prefix).toString(), isExact];
    };
    expect(look('a/b')).toEqual(['a/b', true]);
    expect(look('a/b/#')).toEqual(['a/b', false]);
    expect(look('a/b/+')).toEqual(['a/b/', false]);
    expect(look('a/+/c')).toEqual(['a/', false]);
    expect(look('+/b')).toEqual(['', false]);
    expect(look('#')).toEqual(['', false]);
    expect(look('/#')).toEqual(['', false]);
  });
});
