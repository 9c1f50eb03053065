import type { RaftHost } from '@sluice/multiraft/raft-host';

/** What a partition asks of its Raft host. */
export type PartitionHost = Pick<
  RaftHost,
  | 'propose'
  | 'withLaterTurn'
  | 'recentRow'
  | 'written'
  | 'noteDeadBytes'
  | 'leads'
  | 'leaderOf'
  | 'termOf'
  | 'status'
  | 'readBarrier'
  | 'failure'
>;
