import { describe, expect, test } from '@jest/globals';
import { Nemesis } from './support/nemesis.ts';

/** `RAFT_SEEDS=10000` for a long run, `RAFT_FIRST_SEED=4711 RAFT_SEEDS=1` to see one again. */
const SEEDS = Number(process.env.RAFT_SEEDS ?? 300);
const FIRST_SEED = Number(process.env.RAFT_FIRST_SEED ?? 1);
const STEPS = 700;
const SEEDS_PER_TEST = 50;

function live(seed: number): number {
  const nemesis = new Nemesis(seed);
  try {
    for (let i = 0; i < STEPS; i++) nemesis.step();
    nemesis.recover();
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    throw new Error(`seed ${seed}: ${why}\n${nemesis.describe()}`, { cause: error });
  }
  return nemesis.trace;
}

describe('a group under a random nemesis keeps its promises and recovers', () => {
  for (let first = FIRST_SEED; first < FIRST_SEED + SEEDS; first += SEEDS_PER_TEST) {
    const last = Math.min(first + SEEDS_PER_TEST, FIRST_SEED + SEEDS) - 1;
    test(`seeds ${first} to ${last}`, () => {
      for (let seed = first; seed <= last; seed++) live(seed);
    });
  }
});

test('the same seed lives the same life', () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + 5; seed++) expect(live(seed)).toBe(live(seed));
});
