import type { Clock } from '@sluice/common/clock';
import type { Topology } from '@sluice/meta/topology';
import type { StreamRoutes } from './stream-routes.ts';

/** A partition without a leader keeps nobody from the others for longer. */
const STREAMS_WAIT_MS = 10_000;
const STREAMS_LOOK_MS = 5;

/**
 * Before clients are let in: what is published before every partition has told of its streams would miss sessions.
 * `neverTells`: nobody can lead it while this process lives, so nobody takes what is published for its sessions either.
 */
export async function streamsKnown(
  streams: StreamRoutes,
  topology: Pick<Topology, 'partitionCount'>,
  clock: Clock,
  neverTells?: (partition: number) => boolean,
): Promise<void> {
  const untilMs = clock.monotonicMs() + STREAMS_WAIT_MS;
  while (!streams.isComplete(topology.partitionCount, neverTells) && clock.monotonicMs() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, STREAMS_LOOK_MS));
  }
}
