import type { Outcome } from './queue-management.ts';

/**
 * A backup as its maker sees it, from any node: what the cluster is, then each group as bytes. Consistent is each group
 * in itself; between groups nothing is: a message that went to two queues of different partitions at the moment of the
 * backup may be in one of them. The metadata is read last, so that it knows of all that is in the partitions.
 */
export interface BackupManagement {
  describe(): Outcome<BackupDescription>;
  /**
   * The group's bytes as they are asked for. 0 is the metadata. NOT_FOUND: no such partition; UNAVAILABLE: nobody leads
   * it, or its node gives another group to a backup already. What fails later is thrown as a `SluiceError`.
   */
  read(group: number): Promise<Outcome<AsyncIterable<Uint8Array>>>;
}

export interface BackupDescription {
  clusterId: string;
  partitionCount: number;
}
