import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { Prng } from '@sluice/common/prng';
import type { Transport } from '@sluice/rpc/transport';
import type { SnapshotHost, SnapshotPort } from './snapshot/snapshot-port.ts';

/** What a Raft host is composed with. */
export interface RaftHostOptions {
  nodeId: number;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  prng: Prng;
  transport: Transport;
  /** Who moves snapshots between nodes. */
  snapshots(host: SnapshotHost): SnapshotPort;
  /** When images are checked after the start; for tests. */
  imageCheckDelayMs?: number;
  /**
   * Which entries of a group in [first, last] still hold live records, ascending, at most `limit`, with their bytes.
   * Asked of the group's owner by the reclaimer, because only its rows know.
   */
  liveEntries(groupId: number, first: number, last: number, limit: number): Promise<{ index: number; bytes: number }[]>;
}
