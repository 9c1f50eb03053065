import type { AccessRow } from '@sluice/meta/access/access-table';
import type {
  DiskTrouble,
  NodeLevels,
  NodeTrouble,
  PartitionLeader,
  ReplicaTrouble,
} from '@sluice/meta/cluster-liveness';
import type { FeatureLevel, LevelRange } from '@sluice/meta/feature-levels';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { PartitionInfo } from '@sluice/meta/partition-info';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { QueueSubsystemConfig } from '@sluice/meta/queue-subsystem-config';
import type { TopologyDelta } from '@sluice/meta/topology';

/**
 * The cluster's image on its way from the leading coordinator to every node. Who watches receives the whole image, or
 * what changed since the one it has, then deltas; an epoch is acknowledged when the node acts on it (a store: when the partitions it leads know the queues), so
 * that creating a queue may answer only once a publish anywhere would be kept.
 *
 * The same channel is how the coordinator knows that a node lives and what it leads: a report every second, and at once
 * when something moved. Reports are soft: nothing of them is replicated, the next leader hears them anew.
 */
export type TopologyFeedRequest =
  /** With what this node has already (an empty id and 0: nothing): it gets the deltas since, while those are known. */
  | { type: 'watch'; clusterId: string; epoch: number }
  | { type: 'reached'; epoch: number }
  | { type: 'report'; report: NodeReport };

export type TopologyUpdate =
  /**
   * Of a cluster with many queues, the older ones come before it in parts; `queues` are the rest, and `ahead` says how many
   * must have come. No message grows with the number of queues.
   */
  | ({ type: 'image'; ahead?: number | undefined; accessAhead?: number | undefined } & TopologyImage)
  | { type: 'image-part'; epoch: number; queues: readonly QueueDefinition[] }
  /** Users, rules and bans come before their image, too; `accessAhead` says how many. Sent only where there are some. */
  | { type: 'access-part'; epoch: number; rows: readonly AccessRow[] }
  | ({ type: 'delta' } & TopologyDelta)
  /** Soft: newest knowledge as a whole, sent when it changed. */
  | {
      type: 'liveness';
      leaders: readonly PartitionLeader[];
      alive: readonly number[];
      troubles?: readonly ReplicaTrouble[];
      /** Missing when an older coordinator says it; who is older itself does not look at it. */
      nodeTroubles?: readonly NodeTrouble[] | undefined;
      levels?: readonly NodeLevels[] | undefined;
      clocks?: readonly ClockView[] | undefined;
    }
  | { type: 'assignments'; assignments: readonly QueueAssignment[] }
  /**
   * This coordinator does not lead: watch that one; when it does not know who does, another one it knows of, each time the
   * next, and 0 when there is none. Where it listens is said too: who was away while the coordinators were exchanged has
   * never heard of it. Missing when an older coordinator says it.
   */
  | { type: 'elsewhere'; leader: number; address?: string | undefined; name?: string | undefined };

export interface TopologyImage {
  epoch: number;
  clusterId: string;
  partitionCount: number;
  replicationFactor: number;
  nodes: readonly NodeInfo[];
  /** Partition 1 first. */
  partitions: readonly PartitionInfo[];
  config: QueueSubsystemConfig;
  queues: readonly QueueDefinition[];
  /** Of an image on its way: those that did not come before it, which are none. */
  access?: readonly AccessRow[] | undefined;
  /** Undefined: the first, or an older coordinator says it. */
  featureLevel?: FeatureLevel | undefined;
}

export type { DiskTrouble };

export interface NodeReport {
  leads: readonly PartitionReport[];
  /** Groups whose replica here cannot be trusted or read any more and must be made anew from its peers. */
  impaired: readonly number[];
  /** Group ids this node has a replica of. */
  replicas: readonly number[];
  /** Gateways: who consumes here, for the assignment of queues that spread over several partitions. */
  consumers: readonly { queueId: number; consumers: number; windowTotal: number }[];
  /** Gateways: how many clients are connected; a node that leaves has left when the last of them went elsewhere. */
  connections?: number | undefined;
  /** Undefined while its disk does what it should, or when an older build says it. */
  disk?: DiskTrouble | undefined;
  /** Under which feature levels it can take part; undefined when a build says it that knows of none. */
  levels?: LevelRange | undefined;
  /** Undefined when an older build says it. */
  clock?: ClockReading | undefined;
}

/** The clocks of a node in one moment. */
export interface ClockReading {
  /** Of its machine: milliseconds since the Unix epoch. */
  wallMs: number;
  /** What the node goes by: the same, but where it does not believe its machine. */
  nowMs: number;
  /** From an origin of its own: by this it knows its reading again. */
  monotonicMs: number;
}

/** What is known of a node's clock; `wallMs` and `monotonicMs` are as it had read them. */
export interface ClockView {
  nodeId: number;
  wallMs: number;
  monotonicMs: number;
  /** Of the time that most nodes have; undefined: most do not agree on any. */
  aheadMs?: number | undefined;
}

export interface PartitionReport {
  partition: number;
  term: number;
  /** Committed membership as of this index. */
  membershipIndex: number;
  voters: readonly number[];
  learners: readonly number[];
  /** Stored and not settled, over all queues. */
  depth: number;
  /** Voters that answer and are far from having everything. */
  behind?: readonly number[] | undefined;
  /** Voters that the leader hears nothing of, whoever else does. */
  unheard?: readonly number[] | undefined;
}

/** Which partitions of a queue the consumers of each gateway draw from. A higher generation replaces the lower. */
export interface QueueAssignment {
  queueId: number;
  generation: number;
  nodes: readonly { nodeId: number; partitions: readonly number[] }[];
}
