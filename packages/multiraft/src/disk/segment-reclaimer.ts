import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';
import type { LogMark, SegmentSummary } from '@sluice/storage/entry-log-contract';
import type { Replica } from '../replica/replica.ts';
import type { ImageKeeper } from './image-keeper.ts';
import type { NodeStorage } from './node-storage.ts';

/**
 * Gives the space of settled entries back.
 *
 * A segment may go when nothing in it is needed: no entry holds a live record, and every group's log begins behind it,
 * because an image covers what it did. Deleting on the consumer's position alone would let one message that nobody
 * acknowledges pin everything after it; so a segment that is mostly dead has its few live entries moved forward.
 *
 * Which entries are live is asked of the rows, and only after something has died, or was written: what a full queue refused
 * and what only a session's row remembers never lived, and nobody says that it died. Messages mostly die in their order, so
 * the oldest segments are always looked at; of the others a few a pass, in turn, or a long backlog would be counted anew
 * every second. The segment that is written is looked at when things are quiet: a queue that was drained must not keep
 * its last megabytes until somebody publishes again.
 */
export class SegmentReclaimer {
  readonly #storage: NodeStorage;
  readonly #imageKeeper: ImageKeeper;
  readonly #replicas: ReadonlyMap<number, Replica>;
  readonly #logger: Logger;
  readonly #liveEntries: LiveEntries;
  readonly #onFailed: (cause: Error) => void;
  readonly #reclaimed: Counter;
  readonly #moved: Counter;
  /** Segments with a live entry that is damaged. At most as many as there are segments. */
  readonly #unreadable = new Set<number>();
  #deadBytes = 0;
  /** Nothing was noted since the last pass, yet something may be left: look once more when things are quiet. */
  #restless = true;
  /** Something died, or was written, since the segment that is written was last looked at. */
  #activeMayBeDead = true;
  /** Where the log ended with the last pass. */
  #end: LogMark;
  /** Segments before it were looked at since they were sealed, or wait for their turn. */
  #unseenFrom = 0;
  /** Where the turn of the segments that are not the oldest stands. */
  #turnSegmentId = 0;
  /** Of the others, how many have not had their turn since something died. */
  #othersLeft = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #pass: Promise<void> | undefined;
  #stopping = false;

  static readonly INTERVAL_MS = 1000;
  /** Below this share of live bytes a segment's live entries are moved; above, moving costs more than it gives. */
  static readonly LIVE_SHARE_MAX = 0.25;
  /** More live entries than this in one segment are not counted to the end: it is not mostly dead. */
  static readonly LIVE_ENTRIES_MAX = 4096;
  /** Asked first: with entries of some size they tell already that too much is alive. */
  static readonly LIVE_ENTRIES_FIRST = 128;
  /** Segments released in one pass, so that a pass over a large log stays short. */
  static readonly SEGMENTS_PER_PASS = 16;
  /** Looked at and found alive in one pass: the oldest ones, and of the others in turn. */
  static readonly OLDEST_LOOKED_AT = 8;
  static readonly OTHERS_LOOKED_AT = 8;
  /** A segment that is still written is worth ending from this size on. */
  static readonly SEAL_FROM_BYTES = 4 * 1024 * 1024;

  constructor(options: {
    storage: NodeStorage;
    imageKeeper: ImageKeeper;
    replicas: ReadonlyMap<number, Replica>;
    logger: Logger;
    metrics: Metrics;
    liveEntries: LiveEntries;
    /** The log takes nothing any more: a node that has nothing else to write would not find out. */
    onFailed: (cause: Error) => void;
  }) {
    this.#storage = options.storage;
    this.#end = options.storage.entryLog.mark();
    this.#imageKeeper = options.imageKeeper;
    this.#replicas = options.replicas;
    this.#logger = options.logger;
    this.#liveEntries = options.liveEntries;
    this.#onFailed = options.onFailed;
    this.#reclaimed = options.metrics.counter('sluice_storage_reclaimed_bytes_total', 'Bytes of segments given back');
    this.#moved = options.metrics.counter(
      'sluice_storage_moved_forward_bytes_total',
      'Bytes of live entries rewritten to free a segment that was mostly dead',
    );
  }

  start(): void {
    this.#timer = setInterval(() => this.#maybePass(), SegmentReclaimer.INTERVAL_MS);
  }

  noteDeadBytes(bytes: number): void {
    this.#deadBytes += bytes;
    this.#activeMayBeDead = true;
    this.#othersLeft = Number.POSITIVE_INFINITY;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    await this.#pass;
  }

  #maybePass(): void {
    if (this.#pass !== undefined || this.#stopping) return;
    const quiet = this.#deadBytes === 0 && !this.#restless;
    this.#restless = this.#deadBytes > 0;
    this.#deadBytes = 0;
    this.#pass = this.#nextPass(quiet)
      .catch((cause: Error) => {
        // What it was to look at nobody notes again.
        this.#restless = true;
        this.#activeMayBeDead = true;
        if (cause instanceof SluiceError && cause.code === 'ENTRY_LOG_FENCED') this.#onFailed(cause);
        else this.#logger.warn({ err: cause }, 'giving space back failed; it is tried again');
      })
      .finally(() => {
        this.#pass = undefined;
      });
  }

  async #nextPass(quiet: boolean): Promise<void> {
    const { entryLog } = this.#storage;
    const former = this.#end;
    this.#end = entryLog.mark();
    const hasMoved = this.#end.segmentId !== former.segmentId || this.#end.position !== former.position;
    if (hasMoved) this.#activeMayBeDead = true;
    // What is not worth its images now is looked at with the next that dies; the answer is for `#runSealed`.
    if (!quiet) await this.#run(entryLog.sealedSegments());
    else if (this.#end.segmentId !== former.segmentId) await this.#runSealed(entryLog.sealedSegments());
    else if (this.#activeMayBeDead && !hasMoved) await this.#sealDead();
    // Behind the last release: the file it gave back would stay for as long as nothing happens.
    else await entryLog.rest();
  }

  /** What was sealed while nothing died. Those that are not worth an image alone wait for the next ones. */
  async #runSealed(sealed: readonly SegmentSummary[]): Promise<void> {
    const unseen = sealed.filter(({ segmentId }) => segmentId >= this.#unseenFrom);
    if (unseen.length > SegmentReclaimer.OLDEST_LOOKED_AT) this.#othersLeft = Number.POSITIVE_INFINITY;
    if (await this.#run(unseen)) this.#unseenFrom = this.#end.segmentId;
  }

  /** Ends the segment that is written when nearly all in it is dead, so that the next pass can release it. */
  async #sealDead(): Promise<void> {
    this.#activeMayBeDead = false;
    const active = this.#storage.entryLog.activeSegment();
    if (active.bytes < SegmentReclaimer.SEAL_FROM_BYTES) return;
    const live = await this.#liveIn(active);
    if (live === undefined || this.#stopping) return;
    if (active.bytes - live.bytes < this.#imageBytesFor([{ segment: active, live }])) return;
    await this.#storage.entryLog.seal();
    this.#restless = true;
  }

  /** False when what is dead is not worth the images it takes: it stays, to be looked at together with what comes. */
  async #run(sealed: readonly SegmentSummary[]): Promise<boolean> {
    const candidates: Candidate[] = [];
    let gain = 0;
    let alive = 0;
    const look = async (segment: SegmentSummary): Promise<void> => {
      const live = await this.#liveIn(segment);
      if (live === undefined || (live.entries.length > 0 && this.#unreadable.has(segment.segmentId))) {
        alive++;
        return;
      }
      candidates.push({ segment, live });
      gain += segment.bytes - live.bytes;
    };
    // An image costs its size: what is given back must be worth it, however many segments that takes.
    const isEnough = (): boolean =>
      this.#stopping ||
      (candidates.length >= SegmentReclaimer.SEGMENTS_PER_PASS && gain >= this.#imageBytesFor(candidates));
    let next = 0;
    while (next < sealed.length && alive < SegmentReclaimer.OLDEST_LOOKED_AT && !isEnough()) {
      await look(sealed[next++] as SegmentSummary);
    }
    for (const segment of this.#othersInTurn(sealed.slice(next))) {
      if (isEnough()) break;
      await look(segment);
    }
    if (gain === 0) return true;
    if (gain < this.#imageBytesFor(candidates)) return false;
    for (const { segment } of candidates) await this.#coverByImages(segment);
    for (const { segment, live } of candidates) {
      if (this.#stopping) return true;
      if (!(await this.#release(segment, live))) continue;
      this.#reclaimed.add(segment.bytes);
      this.#moved.add(live.bytes);
      this.#logger.debug({ segment: segment.segmentId, bytes: segment.bytes, moved: live.bytes }, 'segment given back');
    }
    this.#restless = true;
    this.#othersLeft = Number.POSITIVE_INFINITY;
    return true;
  }

  /**
   * False when a live entry in it cannot be read, hence not be moved: the segment stays as it is, until that entry is
   * dead. It must not keep the others from being given back, or one flipped bit would fill the disk.
   */
  async #release(segment: SegmentSummary, live: LiveList): Promise<boolean> {
    const { segmentId } = segment;
    try {
      await this.#storage.entryLog.release(segmentId, live.entries);
      this.#unreadable.delete(segmentId);
      return true;
    } catch (cause) {
      if (!(cause instanceof SluiceError) || cause.code !== 'ENTRY_LOG_DAMAGED') throw cause;
      this.#unreadable.add(segmentId);
      this.#logger.error({ err: cause, segment: segmentId }, 'a live entry cannot be moved: its segment is kept');
      return false;
    }
  }

  /** Some of the segments behind the oldest; when nothing more dies, the passes go on until each had its turn. */
  #othersInTurn(others: readonly SegmentSummary[]): SegmentSummary[] {
    this.#othersLeft = Math.min(this.#othersLeft, others.length);
    const from = Math.max(
      0,
      others.findIndex(({ segmentId }) => segmentId > this.#turnSegmentId),
    );
    const count = Math.min(SegmentReclaimer.OTHERS_LOOKED_AT, this.#othersLeft);
    const looked = [...others.slice(from), ...others.slice(0, from)].slice(0, count);
    this.#turnSegmentId = looked.at(-1)?.segmentId ?? 0;
    this.#othersLeft -= looked.length;
    if (this.#othersLeft > 0) this.#restless = true;
    return looked;
  }

  #imageBytesFor(candidates: readonly Candidate[]): number {
    const groups = new Set<number>();
    for (const { segment } of candidates) for (const groupId of segment.groups.keys()) groups.add(groupId);
    let bytes = 0;
    for (const groupId of groups) bytes += this.#imageKeeper.sizeBytes(groupId);
    return bytes;
  }

  /** The live entries of a segment that is dead or mostly dead; undefined when it is neither. */
  async #liveIn(segment: SegmentSummary): Promise<LiveList | undefined> {
    if (this.#isNeeded(segment)) return undefined;
    const live: LiveList = { entries: [], bytes: 0 };
    let counted = 0;
    for (const [groupId, { first, last }] of segment.groups) {
      live.bytes += this.#keptBytes(groupId, first, last);
      let limit = SegmentReclaimer.LIVE_ENTRIES_FIRST;
      for (let from = first; from <= last; limit = SegmentReclaimer.LIVE_ENTRIES_MAX) {
        const found = await this.#liveEntries(groupId, from, last, limit);
        for (const { index, bytes } of found) {
          if ((await this.#storage.entryLog.segmentOf(groupId, index)) !== segment.segmentId) continue;
          live.entries.push({ groupId, index });
          live.bytes += bytes;
        }
        counted += found.length;
        if (counted >= SegmentReclaimer.LIVE_ENTRIES_MAX) return undefined;
        if (live.bytes > segment.bytes * SegmentReclaimer.LIVE_SHARE_MAX) return undefined;
        from = found.length < limit ? last + 1 : (found[found.length - 1] as { index: number }).index + 1;
      }
    }
    return live;
  }

  /** What the log keeps for other members though an image covers it: moved forward with the segment's live entries. */
  #keptBytes(groupId: number, first: number, last: number): number {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined) return 0;
    const { entryLog } = this.#storage;
    const from = Math.max(first, this.#imageKeeper.logFloor(replica) + 1, entryLog.firstIndex(groupId));
    const to = Math.min(last, entryLog.lastIndex(groupId));
    let bytes = 0;
    for (let index = from; index <= to; index++) bytes += entryLog.sizeBytes(groupId, index);
    return bytes;
  }

  /**
   * A group that stopped gets no image, so its log keeps its start: releasing would only copy its entries forward. And of
   * one that is not open yet, is being replaced by a snapshot, or cannot be trusted, nobody can say what is alive. Nor of
   * entries that are not applied yet: they come alive while the segment is looked at, and the image that is taken before it
   * goes covers them. A backup is of a moment: what dies while it reads is still in it.
   */
  #isNeeded(segment: SegmentSummary): boolean {
    const { entryLog } = this.#storage;
    for (const [groupId, range] of segment.groups) {
      const replica = this.#replicas.get(groupId);
      if (replica === undefined) {
        if (entryLog.groups.has(groupId)) return true;
        continue;
      }
      if (replica.installing !== undefined || replica.impaired !== undefined || replica.exports > 0) return true;
      if (replica.raft.appliedIndex < Math.min(range.last, entryLog.lastIndex(groupId))) return true;
      if (replica.stopped !== undefined && entryLog.firstIndex(groupId) <= range.last) return true;
    }
    return false;
  }

  /** Every group's log must begin behind the segment before it may go. */
  async #coverByImages(segment: SegmentSummary): Promise<void> {
    for (const [groupId, range] of segment.groups) {
      const replica = this.#replicas.get(groupId);
      if (replica === undefined) continue;
      if (this.#storage.entryLog.firstIndex(groupId) <= range.last) await this.#imageKeeper.take(replica);
    }
  }
}

type LiveEntries = (
  groupId: number,
  first: number,
  last: number,
  limit: number,
) => Promise<{ index: number; bytes: number }[]>;

interface Candidate {
  segment: SegmentSummary;
  live: LiveList;
}

interface LiveList {
  entries: { groupId: number; index: number }[];
  bytes: number;
}
