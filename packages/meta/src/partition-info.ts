/** Where a partition lives, as decided by the coordinator; the partition's own Raft group follows. */
export interface PartitionInfo {
  partition: number;
  /** Node ids of the stores that shall be its voters. Empty until it is placed for the first time. */
  replicas: readonly number[];
  /** Who should lead when it can; 0: no wish. */
  preferredLeader: number;
  /**
   * True from the first placement until a leader has reported: the replicas then begin a log of their own, naming
   * `replicas` as voters. Afterwards a replica without a log waits to be added by the leader, and votes for nobody.
   */
  bootstrap: boolean;
}
