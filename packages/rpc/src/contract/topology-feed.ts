import type { QueueDefinition } from '@sluice/meta/queue-definition';

/**
 * The cluster's image on its way from the coordinator to every node. Who watches receives the whole image, then deltas;
 * an epoch is acknowledged when the node acts on it (a store: when its partitions know the queues), so that creating a
 * queue may answer only once a publish anywhere would be kept.
 */
export type TopologyFeedRequest = { type: 'watch' } | { type: 'reached'; epoch: number };

export type TopologyUpdate =
  | {
      type: 'image';
      epoch: number;
      clusterId: string;
      partitionCount: number;
      /** Node id of the store that leads each partition, partition 1 first. */
      leaders: readonly number[];
      queues: readonly QueueDefinition[];
    }
  | { type: 'delta'; epoch: number; changed: readonly QueueDefinition[]; removed: readonly number[] };
