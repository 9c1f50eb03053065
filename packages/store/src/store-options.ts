import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { Prng } from '@sluice/common/prng';
import type { Topology } from '@sluice/meta/topology';
import type { NodeStorage } from '@sluice/multiraft/disk/node-storage';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Transport } from '@sluice/rpc/transport';
import type { DiskSpace } from './disk-guard.ts';
import type { RetainedLimits } from './partition/queue-configurator.ts';
import type { StreamLimits } from './service/session-service.ts';

export const DEFAULT_LAG_OBJECTIVE_MS = 300_000;

export const DEFAULT_STREAM_LIMITS: StreamLimits = { countMax: 100_000, bytesMax: 256 * 1024 * 1024 };

/** What a store is composed with. */
export interface StoreOptions {
  nodeId: number;
  storage: NodeStorage;
  host: RaftHost;
  topology: Topology;
  /** How other stores are asked. */
  transport: Pick<Transport, 'call'>;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  prng: Prng;
  readCacheBytesMax: number;
  /** What the whole cluster may retain. */
  retained: RetainedLimits;
  /** How old a message may become before its consumers count as too slow, unless its queue says so itself. Absent: `DEFAULT_LAG_OBJECTIVE_MS`. */
  lagObjectiveMs?: number;
  /** Undefined: a share of the disk. */
  diskReserveBytes: number | undefined;
  /** Of each stream of sessions. Undefined: `DEFAULT_STREAM_LIMITS`. */
  streamLimits?: StreamLimits;
  /** Streams of a portion in which a session ends, on every replica of the cluster. Absent: as the machine has it (`Endings.PORTION_STREAMS`). */
  portionStreams?: number | undefined;
  /** Undefined: the real disk. */
  diskSpace?: DiskSpace;
  /** False while no coordinator is followed: members and leaders then stay where they are. Absent: always true. */
  isImageCurrent?: () => boolean;
  /** False while `clock` may be far off and will soon be known to be or not. Absent: always true. */
  isTimeKnown?: () => boolean;
}
