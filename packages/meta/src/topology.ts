import type { QueueDefinition } from './queue-definition.ts';

/**
 * An immutable image of the cluster. The coordinators' machine makes a new one per change; nodes hold the newest they
 * have seen and tell its epoch when they act on it.
 */
export interface Topology {
  epoch: number;
  clusterId: string;
  partitionCount: number;
  /** By queue id. */
  queues: ReadonlyMap<number, QueueDefinition>;
}
