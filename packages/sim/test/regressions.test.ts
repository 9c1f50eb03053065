import { describe, expect, test } from '@jest/globals';
import { simulateLog } from '../src/log/log-history.ts';

/**
 * Seeds that found something, with what they found. Each failed until it was mended. A change of what a seed draws makes
 * another history of it, so where the cause could be told it has a test beside the code as well; the seed stays.
 */
describe('seeds that found something', () => {
  // The next frame's power loss then took both, after they were acknowledged, or made the log look damaged.
  test.each([6, 15, 24, 39])('a killed process left a frame it had not synced: log seed %i', async (seed) => {
    expect((await simulateLog(seed)).failure).toBeUndefined();
  });

  // The system called its pages clean, and every later sync left them out.
  test.each([9, 25, 59, 114, 117])('a frame whose sync had failed was taken for durable: log seed %i', async (seed) => {
    expect((await simulateLog(seed)).failure).toBeUndefined();
  });

  // The segment after it said where it ended, and it did not end there.
  test('a cut on a full disk went with the power, and looked like damage: log seed 197', async () => {
    expect((await simulateLog(197)).failure).toBeUndefined();
  });
});
