import type { Entry, SnapshotMeta } from '@sluice/raft/entry';

/**
 * One snapshot on its way from a group's leader to a replica that is behind the leader's log: the machine's image, then
 * the live entries below the image's index, because the log is the queue and an image only points into it. One channel
 * carries one snapshot; each chunk has its own checksum over its bytes, and `end` repeats what must have arrived, so
 * that a snapshot is whole or is none.
 */
export type SnapshotChunk =
  | {
      type: 'begin';
      groupId: number;
      /** Of the `snapshot` message of the leader's core that this transfer answers; handed to the receiver's core at the end. */
      from: number;
      to: number;
      term: number;
      stint: number;
      snapshot: SnapshotMeta;
    }
  /** Rows of the image in ascending order of their keys; the keys are the machine's own. */
  | { type: 'rows'; rows: readonly { key: Uint8Array; value: Uint8Array }[]; crc: number }
  /** Ascending, gaps allowed. */
  | { type: 'entries'; entries: readonly Entry[]; crc: number }
  | { type: 'end'; rows: number; entries: number };

export type SnapshotAnswer =
  /** What the receiver has made durable so far: the sender keeps a bounded distance ahead. */
  | { type: 'received'; chunks: number }
  /** Installed, or not needed any more: the replica is at or beyond the snapshot's index. */
  | { type: 'done' }
  | { type: 'refused'; reason: string };
