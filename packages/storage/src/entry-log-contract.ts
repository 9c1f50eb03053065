import type { Entry, EntryKind, HardState } from '@sluice/raft/entry';

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
 * Append-only segment files shared by all groups of a node. One `append` is one frame and one synced write,
 * whatever the number of groups in it.
 *
 * After a failed write or sync the log is fenced for ever: every later append is rejected with `ENTRY_LOG_FENCED`,
 * because a page that failed to sync may be marked clean and a second sync would lie. ENOSPC is told apart
 * (`ENTRY_LOG_FULL`): nothing of the frame counts, the tail is cut back, and a later append may succeed. So is a lack of
 * file descriptors (`FILES_EXHAUSTED`): as long as it can, a segment then goes on beyond its size.
 */
export interface EntryLog {
  /** Live: later appends and compactions show in it. */
  readonly groups: ReadonlyMap<number, RecoveredGroup>;

  /**
   * Resolves when all writes, and the compactions before the call, are durable. Only one append may be in flight, with
   * at most one write a group. Payloads must not change until it settles.
   */
  append(writes: readonly LogWrite[]): Promise<void>;

  /** End of what is durable. Kept in a second place and given back at the next open, it tells a lost end from a torn one. */
  mark(): LogMark;

  /** Term of an entry of the contiguous log or of the one before it; undefined outside. No I/O. */
  term(groupId: number, index: number): number | undefined;
  firstIndex(groupId: number): number;
  lastIndex(groupId: number): number;
  /** `data` bytes of one entry of the contiguous log. No I/O. */
  sizeBytes(groupId: number, index: number): number;
  /** Of an entry of the contiguous log, also of one whose data cannot be read; undefined outside. */
  kind(groupId: number, index: number): Promise<EntryKind | undefined>;

  /**
   * Entries [first, last] that are in the log or kept alive below its start. Stops early, after at least one entry,
   * when `bytesMax` is exceeded. Every entry's checksum is verified.
   * @throws SluiceError `ENTRY_LOG_DAMAGED` naming file and offset; `ENTRY_MISSING` when the index was released.
   */
  read(groupId: number, first: number, last: number, bytesMax: number): Promise<Entry[]>;

  /**
   * As `read`, in one trip to the disk, also over the bytes of others between them: ends where it would take a second
   * one, and before one that is damaged, which is said to who asks for it first.
   */
  readNear(groupId: number, first: number, last: number, bytesMax: number): Promise<Entry[]>;

  /**
   * Ends the contiguous log at its front: indexes up to `index` are covered by a durable image. Durable with the next
   * append. Where the log does not hold this index in this term it becomes empty after `index`, and every older entry of
   * the group is gone, also those below its start; no append of this group may be in flight then.
   */
  compact(groupId: number, index: number, term: number): void;
  /**
   * Stores, as one frame, entries below the start of the contiguous log: the live ones that came with an image. Ascending, gaps allowed;
   * those that are there already are written once more. Durable when it resolves; the compaction it follows is durable too.
   */
  adopt(groupId: number, entries: readonly Entry[]): Promise<void>;
  /**
   * The group's log becomes empty after `index`, every older entry is gone, and the hard state is this one: one frame,
   * durable when it resolves. Nothing happens when the log begins there or later already. No append of this group may be
   * in flight or come before it resolves; those of others go on.
   */
  restart(groupId: number, index: number, term: number, hardState: HardState): Promise<void>;
  /** Forgets a group, hard state included; for a replica that moved away. Durable when it resolves. */
  remove(groupId: number): Promise<void>;

  /** Sealed segments, oldest first, for the reclaimer. */
  sealedSegments(): readonly SegmentSummary[];
  /** The segment that is written; it may be released once it is sealed. */
  activeSegment(): SegmentSummary;
  /** The segment that holds the newest copy of an entry; undefined when there is none. */
  segmentOf(groupId: number, index: number): Promise<number | undefined>;
  /** Starts a new segment, so that the present one may be released. Nothing happens while it is empty. */
  seal(): Promise<void>;
  /** Nothing dies any more: the space of files that are kept to be written again goes back. Cheap when there is none. */
  rest(): Promise<void>;
  /**
   * Moves live entries forward (durably), then unlinks the segment: `live` lists what must survive. Entries of the
   * contiguous log survive unasked, those that are not in the segment are ignored. Appends go on meanwhile.
   */
  release(segmentId: number, live: ReadonlyArray<{ groupId: number; index: number }>): Promise<void>;

  /** Reads and verifies every sealed segment; throws as `read`. For `sluice verify` and the background scrub. */
  verify(onProgress?: (doneBytes: number, totalBytes: number) => void): Promise<void>;

  readonly diskBytes: number;
  close(): Promise<void>;
}

/** A place in the log: everything before `position` in segment `segmentId`, and all earlier segments. */
export interface LogMark {
  segmentId: number;
  position: number;
}

export interface SegmentSummary {
  segmentId: number;
  bytes: number;
  /** Lowest and highest index this segment holds, by group, moved-forward entries included, superseded ones not. */
  groups: ReadonlyMap<number, { first: number; last: number }>;
}
