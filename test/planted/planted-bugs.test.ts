import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { tryToKill } from './kill.ts';
import { PLANTED } from './lists.ts';

const ROOT = join(import.meta.dirname, '../..');
/** The whole list is `npm run planted`; each run of the tests takes a few others, by the day. */
const TRIED_PER_RUN = 3;

describe('planted bugs', () => {
  test.each(PLANTED.flatMap(({ bugs }) => bugs))('still fits the sources: $name', ({ file, find, put }) => {
    const source = readFileSync(join(ROOT, file), 'utf8');
    expect(source.split(find).length - 1).toBe(1);
    expect(put).not.toBe(find);
  });

  test('have names of their own', () => {
    const names = PLANTED.flatMap(({ bugs }) => bugs.map(({ name }) => name));
    expect(new Set(names).size).toBe(names.length);
  });

  const all = PLANTED.flatMap(({ tests, bugs }) => bugs.map((bug) => ({ tests, bug })));
  const day = Math.floor(Date.now() / 86_400_000);
  const today = Array.from({ length: TRIED_PER_RUN }, (_, i) => all[(day * TRIED_PER_RUN + i) % all.length]);
  test.each(today.filter((one) => one !== undefined))(
    'the tests kill: $bug.name',
    async ({ bug, tests }) => {
      const verdict = await tryToKill(bug, tests);
      expect(verdict.killed).toBe(true);
    },
    240_000,
  );
});
