import type { Entry, HardState } from '@sluice/raft/entry';

/** Everything one turn writes for one group. */
export interface LogWrite {
  groupId: number;
  /** Undefined leaves the last one standing. */
  hardState: HardState | undefined;
  /** Consecutive; when the first index is at or below the group's last index, the tail from there is superseded. */
  entries: readonly Entry[];
}

/** What a group looks like after recovery. */
export interface RecoveredGroup {
  groupId: number;
  hardState: HardState;
  /** Index after the last compacted one: entries at or above it form the contiguous Raft log. */
  firstIndex: number;
  /** Last index of the contiguous log, or `firstIndex - 1`. */
  lastIndex: number;
}

/**
 * Append-only segment files shared by all groups of a node. One `append` is one frame, one write and one fdatasync,
 * whatever the number of groups in it.
 *
 * After a failed write or sync the log is fenced for ever: every later append is rejected with `ENTRY_LOG_FENCED`,
 * because a page that failed to sync may be marked clean and a second sync would lie. ENOSPC is told apart
 * (`ENTRY_LOG_FULL`): nothing of the frame counts, the tail is cut back, and a later append may succeed.
 */
export interface EntryLog {
  readonly groups: ReadonlyMap<number, RecoveredGroup>;

  /** Resolves when all writes are durable. Only one append may be in flight. */
  append(writes: readonly LogWrite[]): Promise<void>;

  /** Term of an entry of the contiguous log or of the one before it; undefined outside. No I/O. */
  term(groupId: number, index: number): number | undefined;
  firstIndex(groupId: number): number;
  lastIndex(groupId: number): number;
  /** `data` bytes of one entry of the contiguous log. No I/O. */
  sizeBytes(groupId: number, index: number): number;

  /**
   * Entries [first, last] that are in the log or kept alive below its start. Stops early, after at least one entry,
   * when `bytesMax` is exceeded. Every entry's checksum is verified.
   * @throws SluiceError `ENTRY_LOG_DAMAGED` naming file and offset; `ENTRY_MISSING` when the index was released.
   */
  read(groupId: number, first: number, last: number, bytesMax: number): Promise<Entry[]>;

  /** Ends the contiguous log at its front: indexes up to `index` are covered by a durable image. Durable with the next append. */
  compact(groupId: number, index: number, term: number): void;

  /** Sealed segments, oldest first, for the reclaimer. */
  sealedSegments(): readonly SegmentSummary[];
  /** Moves live entries forward (durably), then unlinks the segment: `live` lists what must survive. */
  release(segmentId: number, live: ReadonlyArray<{ groupId: number; index: number }>): Promise<void>;

  /** Reads and verifies every sealed segment; throws as `read`. For `sluice verify` and the background scrub. */
  verify(onProgress?: (doneBytes: number, totalBytes: number) => void): Promise<void>;

  readonly diskBytes: number;
  close(): Promise<void>;
}

export interface SegmentSummary {
  segmentId: number;
  bytes: number;
  /** Inclusive index ranges this segment holds, by group, moved-forward entries included. */
  groups: ReadonlyMap<number, { first: number; last: number }>;
}
