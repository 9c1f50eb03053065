import { expect, test } from '@jest/globals';
import { LearnerPatience } from '../src/learner-patience.ts';

const { STANDSTILL_MS, REMEMBERED_MS } = LearnerPatience;

test('who moves on is waited for, who stands still is not', () => {
  const patience = new LearnerPatience();
  for (let ms = 0; ms < 3 * STANDSTILL_MS; ms += 1_000) {
    patience.look([4, 5], (nodeId) => (nodeId === 4 ? ms : 7), ms);
    expect([patience.isOver(4, ms), patience.isOver(5, ms)]).toEqual([false, ms >= STANDSTILL_MS]);
  }
  const laterMs = 3 * STANDSTILL_MS;
  patience.look([5], () => 8, laterMs);
  expect(patience.isOver(5, laterMs)).toBe(false);
});

test('it is remembered for a while after its place was taken; of the others nothing is', () => {
  const patience = new LearnerPatience();
  patience.look([4], () => 0, 0);
  patience.look([4, 5], () => 0, STANDSTILL_MS);
  patience.look([6], () => 0, STANDSTILL_MS);
  expect([4, 5].map((nodeId) => patience.isOver(nodeId, STANDSTILL_MS))).toEqual([true, false]);
  patience.look([6], () => 0, 2 * STANDSTILL_MS);
  expect([4, 5].map((nodeId) => patience.isOver(nodeId, 2 * STANDSTILL_MS))).toEqual([true, false]);
  patience.look([], () => 0, REMEMBERED_MS);
  expect(patience.isOver(4, REMEMBERED_MS)).toBe(false);
  patience.look([7], () => 0, 0);
  patience.forget();
  expect(patience.isOver(7, STANDSTILL_MS)).toBe(false);
});
