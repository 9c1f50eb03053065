import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { covers, overlaps } from '../../src/topic/filter-cover.ts';
import { matches } from '../../src/topic/topic-filter.ts';

/** Every topic of at most four levels over an alphabet that includes one level no filter names. */
const LEVELS = ['a', 'b', '', '$s', 'other'];
const TOPICS = allTopics(4).filter((topic) => topic !== '');

function allTopics(levelsMax: number): string[] {
  let topics = [...LEVELS];
  const all = [...topics];
  for (let n = 1; n < levelsMax; n++) {
    topics = topics.flatMap((topic) => LEVELS.map((level) => `${topic}/${level}`));
    all.push(...topics);
  }
  return all;
}

/** At most three levels before `#`: the fourth level of a topic is never named, so the enumeration decides. */
const filter = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', '', '$s', '+'), { maxLength: 3 }), fc.boolean())
  .map(([levels, hash]) => [...levels, ...(hash ? ['#'] : [])].join('/'))
  .filter((text) => text !== '');

/** `/#` would match its parent, the empty topic, which does not exist: both questions are answered on the safe side. */
const isEdge = (text: string): boolean => text === '/#';

test('covers: exactly when every topic of the inner one is a topic of the outer one', () => {
  fc.assert(
    fc.property(filter, filter, (outer, inner) => {
      const naive = TOPICS.every((topic) => !matches(inner, topic) || matches(outer, topic));
      return isEdge(inner) ? !covers(outer, inner) || naive : covers(outer, inner) === naive;
    }),
    { numRuns: 2_000, seed: 1 },
  );
});

test('overlaps: exactly when some topic belongs to both', () => {
  fc.assert(
    fc.property(filter, filter, (a, b) => {
      const naive = TOPICS.some((topic) => matches(a, topic) && matches(b, topic));
      if (isEdge(a) || isEdge(b)) return overlaps(a, b) || !naive;
      return overlaps(a, b) === naive && overlaps(b, a) === naive;
    }),
    { numRuns: 2_000, seed: 2 },
  );
});

describe('what a permission decides by', () => {
  test.each([
    ['a/#', '#', false],
    ['a/#', 'a', true],
    ['a/#', 'a/+/b', true],
    ['a/+', 'a/#', false],
    ['a/+', 'a/b/c', false],
    ['#', '$SYS/x', false],
    ['+/x', '$SYS/x', false],
    ['$SYS/#', '$SYS/x', true],
    ['+/#', '#', true],
    ['a', 'a', true],
    ['a', 'ab', false],
  ])('%s covers %s: %s', (outer, inner, expected) => {
    expect(covers(outer, inner)).toBe(expected);
  });
});
