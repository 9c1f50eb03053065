import type { AccessChange } from './access/access-table.ts';
import type { FeatureLevel } from './feature-levels.ts';
import type { NodeInfo } from './node-info.ts';
import type { PartitionInfo } from './partition-info.ts';
import type { QueueDefinition } from './queue-definition.ts';
import type { QueueSubsystemConfig } from './queue-subsystem-config.ts';

/** `done` and `formed` moved the epoch; every other result changed nothing. */
export interface MetaReply extends MetaChange {
  result: MetaResult;
  epoch: number;
  /** Of `register-node`: the node's id; with `name-taken`, whose name it is; with `node-gone`, the id it had. */
  nodeId?: number | undefined;
}

/** What moved, for the deltas that every node gets. */
export interface MetaChange {
  changed?: QueueDefinition | undefined;
  removed?: number | undefined;
  nodes?: readonly NodeInfo[] | undefined;
  removedNodes?: readonly number[] | undefined;
  partitions?: readonly PartitionInfo[] | undefined;
  config?: QueueSubsystemConfig | undefined;
  replicationFactor?: number | undefined;
  access?: AccessChange | undefined;
  featureLevel?: FeatureLevel | undefined;
}

export type MetaResult =
  | 'done'
  | 'formed'
  /** It already is as it was asked to be. */
  | 'unchanged'
  | 'already-formed'
  | 'not-formed'
  | 'already-exists'
  | 'too-many-queues'
  | 'too-many-rows'
  | 'too-many-partitions'
  | 'not-found'
  | 'changed-meanwhile'
  | 'queues-exist'
  /** Replaced or left: its id is not given back to it. */
  | 'node-gone'
  /** A live node of another incarnation has the name a known node wants to take. */
  | 'name-taken'
  /** It claims an id that this cluster has not given. */
  | 'node-unknown'
  | 'bad-placement'
  /** It can take no part under the feature level of the cluster. */
  | 'level-unsupported'
  | 'level-held';
