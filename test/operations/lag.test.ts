import { expect, test } from '@jest/globals';
import { lagRounds } from './lag-truth.ts';

/** The long form: npm run lag:check. */
test('counts and lag are true at rest, before leaders moved and after', async () => {
  const { moves, lagErrorS } = await lagRounds({ moves: 5, queues: 12, messages: 60 });
  expect(moves).toBeGreaterThanOrEqual(5);
  expect(lagErrorS).toBeLessThan(1);
}, 180_000);
