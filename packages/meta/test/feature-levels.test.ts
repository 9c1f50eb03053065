import { expect, test } from '@jest/globals';
import {
  allows,
  FIRST_LEVEL,
  includes,
  levelUnsupported,
  SUPPORTED_LEVELS,
  UNTOLD_LEVELS,
} from '../src/feature-levels.ts';

test('what came with a level is written from it on, and nothing but what always was before', () => {
  expect(allows(FIRST_LEVEL, 'hold-feature-level')).toBe(false);
  expect(allows({ level: 2, isHeld: true }, 'hold-feature-level')).toBe(true);
  expect(allows({ level: 7, isHeld: false }, 'hold-feature-level')).toBe(true);
});

test('this build takes part in clusters that no node of before there were levels would stop', () => {
  expect(includes(SUPPORTED_LEVELS, FIRST_LEVEL.level)).toBe(true);
  expect(SUPPORTED_LEVELS.max).toBeGreaterThan(UNTOLD_LEVELS.max);
});

test('who cannot take part is told what to do, whether it is too old or too new', () => {
  expect(levelUnsupported(3, { min: 1, max: 2 })).toMatchObject({
    code: 'FEATURE_LEVEL_UNSUPPORTED',
    message: 'the cluster is at feature level 3, and this build supports levels 1 to 2',
    hint: 'start a build that supports it, on the same data: the level of a cluster never goes down',
  });
  expect(levelUnsupported(1, { min: 2, max: 4 }).hint).toMatch(/^upgrade to a build between first: /);
});
