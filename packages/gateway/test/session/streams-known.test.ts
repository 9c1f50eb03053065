import { expect, test } from '@jest/globals';
import { StreamRoutes } from '../../src/session/stream-routes.ts';
import { streamsKnown } from '../../src/session/streams-known.ts';

const topology = { partitionCount: 3 };

function told(...partitions: number[]): StreamRoutes {
  const streams = new StreamRoutes();
  for (const partition of partitions) {
    const news = { partition, version: 1, part: 'first-page', isComplete: true, added: [], removed: [] } as const;
    streams.streams({ type: 'streams', ...news });
  }
  return streams;
}

/** How often the clock was asked: it does not move, so nobody waits until the time is over. */
async function asked(streams: StreamRoutes, neverTells?: (partition: number) => boolean): Promise<number> {
  let looks = 0;
  const clock = { nowMs: () => 0, monotonicMs: () => (looks++ < 5 ? 0 : Number.POSITIVE_INFINITY) };
  await streamsKnown(streams, topology, clock, neverTells);
  return looks;
}

test('clients wait for every partition to tell of its streams, and for none that nobody can lead', async () => {
  expect(await asked(told(1, 2, 3))).toBe(1);
  expect(await asked(told(1, 3))).toBeGreaterThan(2);
  expect(await asked(told(1, 3), (partition) => partition === 2)).toBe(1);
  expect(await asked(told(1), (partition) => partition === 2)).toBeGreaterThan(2);
});
