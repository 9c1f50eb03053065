import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';
import type { SegmentSummary } from '@sluice/storage/entry-log-contract';
import type { ImageKeeper } from './image-keeper.ts';
import type { NodeStorage } from './node-storage.ts';
import type { Replica } from './replica.ts';

/**
 * Gives the space of settled entries back.
 *
 * A segment may go when nothing in it is needed: no entry holds a live record, and every group's log begins behind it,
 * because an image covers what it did. Deleting on the consumer's position alone would let one message that nobody
 * acknowledges pin everything after it; so a segment that is mostly dead has its few live entries moved forward.
 *
 * Which entries are live is asked of the rows, segment by segment from the oldest, and only after enough has died to
 * make it worth asking.
 */
export class SegmentReclaimer {
  readonly #storage: NodeStorage;
  readonly #imageKeeper: ImageKeeper;
  readonly #replicas: ReadonlyMap<number, Replica>;
  readonly #logger: Logger;
  readonly #liveEntries: LiveEntries;
  readonly #reclaimed: Counter;
  readonly #moved: Counter;
  #deadBytes = 0;
  /** Nothing was noted since the last pass, yet something may be left: look once more when things are quiet. */
  #restless = true;
  #timer: NodeJS.Timeout | undefined;
  #pass: Promise<void> | undefined;
  #stopping = false;

  static readonly INTERVAL_MS = 1000;
  /** Below this share of live bytes a segment's live entries are moved; above, moving costs more than it gives. */
  static readonly LIVE_SHARE_MAX = 0.25;
  /** More live entries than this in one segment are not counted to the end: it is not mostly dead. */
  static readonly LIVE_ENTRIES_MAX = 4096;
  /** Segments looked at in one pass, so that a pass over a large log stays short. */
  static readonly SEGMENTS_PER_PASS = 16;

  constructor(options: {
    storage: NodeStorage;
    imageKeeper: ImageKeeper;
    replicas: ReadonlyMap<number, Replica>;
    logger: Logger;
    metrics: Metrics;
    liveEntries: LiveEntries;
  }) {
    this.#storage = options.storage;
    this.#imageKeeper = options.imageKeeper;
    this.#replicas = options.replicas;
    this.#logger = options.logger;
    this.#liveEntries = options.liveEntries;
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
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    await this.#pass;
  }

  #maybePass(): void {
    if (this.#pass !== undefined || this.#stopping) return;
    const sealed = this.#storage.entryLog.sealedSegments();
    if (sealed.length === 0) return;
    if (this.#deadBytes === 0 && !this.#restless) return;
    this.#restless = this.#deadBytes > 0;
    this.#deadBytes = 0;
    this.#pass = this.#run(sealed)
      .catch((cause: unknown) => this.#logger.warn({ err: cause }, 'giving space back failed; it is tried again'))
      .finally(() => {
        this.#pass = undefined;
      });
  }

  async #run(sealed: readonly SegmentSummary[]): Promise<void> {
    const candidates: { segment: SegmentSummary; live: LiveList }[] = [];
    let gain = 0;
    for (const segment of sealed) {
      if (this.#stopping || candidates.length >= SegmentReclaimer.SEGMENTS_PER_PASS) break;
      const live = await this.#liveIn(segment);
      if (live === undefined) continue;
      candidates.push({ segment, live });
      gain += segment.bytes - live.bytes;
    }
    // An image costs its size: it must give back more than it writes.
    if (gain === 0 || gain < this.#imageBytesFor(candidates)) return;
    for (const { segment } of candidates) await this.#coverByImages(segment);
    for (const { segment, live } of candidates) {
      if (this.#stopping) return;
      await this.#storage.entryLog.release(segment.segmentId, live.entries);
      this.#reclaimed.add(segment.bytes);
      this.#moved.add(live.bytes);
      this.#logger.debug({ segment: segment.segmentId, bytes: segment.bytes, moved: live.bytes }, 'segment given back');
    }
    this.#restless = true;
  }

  #imageBytesFor(candidates: readonly { segment: SegmentSummary }[]): number {
    const groups = new Set<number>();
    for (const { segment } of candidates) for (const groupId of segment.groups.keys()) groups.add(groupId);
    let bytes = 0;
    for (const groupId of groups) bytes += this.#imageKeeper.sizeBytes(groupId);
    return bytes;
  }

  /** The live entries of a segment that is dead or mostly dead; undefined when it is neither. */
  async #liveIn(segment: SegmentSummary): Promise<LiveList | undefined> {
    const live: LiveList = { entries: [], bytes: 0 };
    for (const [groupId, range] of segment.groups) {
      const found = await this.#liveEntries(groupId, range.first, range.last, SegmentReclaimer.LIVE_ENTRIES_MAX);
      for (const { index, bytes } of found) {
        if ((await this.#storage.entryLog.segmentOf(groupId, index)) !== segment.segmentId) continue;
        live.entries.push({ groupId, index });
        live.bytes += bytes;
      }
      if (found.length >= SegmentReclaimer.LIVE_ENTRIES_MAX) return undefined;
      if (live.bytes > segment.bytes * SegmentReclaimer.LIVE_SHARE_MAX) return undefined;
    }
    return live;
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

interface LiveList {
  entries: { groupId: number; index: number }[];
  bytes: number;
}
