import { SluiceError } from '@sluice/common/errors';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import { encodedRecordAt } from '@sluice/queue/record/record-view';
import type { Partition } from '../partition/partition.ts';
import type { KeyedPlace } from '../read/index-reader.ts';
import type { RecordReader } from '../read/record-reader.ts';
import { decodePlace, encodePlace, type RetainedPlace } from './retained-place.ts';
import type { TopicPattern } from './topic-pattern.ts';

/**
 * The retained messages of a partition that match a filter, a page at a time. Each is a record of an entry somewhere in
 * the log, and which order they are read in decides what a page costs. By topic, a filter such as `fleet/7/#` finds its
 * few messages without a look at the others; but messages that lie side by side by topic lie anywhere by entry, and
 * reading a million of them like that reads an entry of a quarter of a megabyte for each. So what is behind more than
 * `NARROW_KEYS_MAX` topics is read in the order in which it was published: index rows say the topics, each entry is
 * read once, and only if something of it matches.
 *
 * What is replaced while it is read may be missing: whoever subscribed before it asked has the newer message live.
 */
export class RetainedReader {
  readonly #records: RecordReader;

  /** With so many topics under its prefix a filter is narrow. */
  static readonly NARROW_KEYS_MAX = 256;
  /** Looked at for one page, whether or not they match: then others have their turn. */
  static readonly LOOKS_MAX = 4096;
  static readonly ROWS_AT_ONCE = 32;

  constructor(records: RecordReader) {
    this.#records = records;
  }

  /**
   * Adds to the page until it is full or the partition is at its end. Returns where to go on; undefined at the end.
   * @throws SluiceError for a place that no store has given, or bytes that cannot be read
   */
  async read(
    partition: Partition,
    pattern: TopicPattern,
    at: Uint8Array,
    page: RetainedPage,
  ): Promise<Uint8Array | undefined> {
    const place = decodePlace(at);
    const next = await this.#readFrom(partition, pattern, place, page);
    return next === undefined ? undefined : encodePlace(next);
  }

  async #readFrom(
    partition: Partition,
    pattern: TopicPattern,
    place: RetainedPlace,
    page: RetainedPage,
  ): Promise<RetainedPlace | undefined> {
    const queue = partition.queues.queue(RETAINED_QUEUE_ID);
    if (queue === undefined || queue.depth === 0) return undefined;
    if (pattern.isExact) return this.#one(partition, pattern.prefix, page);
    if (place.in === 'keys') return this.#byTopic(partition, pattern, place.after, page);
    if (place.in === 'rows') return this.#byRow(partition, pattern, place, page);
    const { head, tail } = queue;
    const keys = await partition.index.keysFrom(
      RETAINED_QUEUE_ID,
      pattern.prefix,
      NOTHING,
      RetainedReader.NARROW_KEYS_MAX,
    );
    if (keys.length < RetainedReader.NARROW_KEYS_MAX) return this.#add(partition, pattern, keys, NOTHING, page);
    return this.#byRow(partition, pattern, { in: 'rows', rowBase: head, offset: head, end: tail }, page);
  }

  async #one(partition: Partition, topic: Uint8Array, page: RetainedPage): Promise<undefined> {
    const place = await partition.index.key(RETAINED_QUEUE_ID, topic);
    if (place === undefined) return undefined;
    const row = await partition.index.row(RETAINED_QUEUE_ID, place.rowBase);
    if (row?.isLive(place.offset) === true) await this.#take(partition, row, [place.offset], page);
    return undefined;
  }

  async #byTopic(
    partition: Partition,
    pattern: TopicPattern,
    after: Uint8Array,
    page: RetainedPage,
  ): Promise<RetainedPlace | undefined> {
    const limit = RetainedReader.NARROW_KEYS_MAX;
    const keys = await partition.index.keysFrom(RETAINED_QUEUE_ID, pattern.prefix, after, limit);
    const next = await this.#add(partition, pattern, keys, after, page);
    if (next !== undefined || keys.length < limit) return next;
    return { in: 'keys', after: (keys.at(-1) as KeyedPlace).key };
  }

  /**
   * Those of the keys that match; where to go on when the page is full before the last. Topics that are neighbours were
   * often published together: each row is read once, and each entry.
   */
  async #add(
    partition: Partition,
    pattern: TopicPattern,
    keys: readonly KeyedPlace[],
    after: Uint8Array,
    page: RetainedPage,
  ): Promise<RetainedPlace | undefined> {
    const wanted = new Map<number, { row: IndexRow; offsets: number[] }>();
    let { bytesLeft, recordsLeft } = page;
    let next: RetainedPlace | undefined;
    for (let i = 0; i < keys.length && next === undefined; i++) {
      const { key, rowBase, offset } = keys[i] as KeyedPlace;
      if (!pattern.matches(key)) continue;
      if (bytesLeft <= 0 || recordsLeft <= 0) {
        next = { in: 'keys', after: keys[i - 1]?.key ?? after };
        continue;
      }
      const known = wanted.get(rowBase);
      const row = known?.row ?? (await partition.index.row(RETAINED_QUEUE_ID, rowBase));
      if (row?.isLive(offset) !== true) continue;
      if (known === undefined) wanted.set(rowBase, { row, offsets: [offset] });
      else known.offsets.push(offset);
      bytesLeft -= row.sizeBytesOf(offset);
      recordsLeft--;
    }
    for (const { row, offsets } of wanted.values()) {
      await this.#take(
        partition,
        row,
        offsets.sort((a, b) => a - b),
        page,
      );
    }
    return next;
  }

  async #byRow(
    partition: Partition,
    pattern: TopicPattern,
    place: Extract<RetainedPlace, { in: 'rows' }>,
    page: RetainedPage,
  ): Promise<RetainedPlace | undefined> {
    const { end } = place;
    let { rowBase, offset } = place;
    for (let looks = 0; looks < RetainedReader.LOOKS_MAX; ) {
      const rows = await partition.index.rowsFrom(RETAINED_QUEUE_ID, rowBase, RetainedReader.ROWS_AT_ONCE);
      for (const row of rows) {
        if (row.base >= end) return undefined;
        const wanted: number[] = [];
        let room = page.recordsLeft;
        let bytes = 0;
        let next = row.nextLive(Math.max(offset, row.base));
        for (; next !== -1; next = row.nextLive(next + 1)) {
          looks++;
          const topic = row.keyOf(next);
          if (topic === undefined || !pattern.matches(topic)) continue;
          if (page.isFull || room === 0 || (bytes > 0 && bytes >= page.bytesLeft)) break;
          wanted.push(next);
          bytes += row.sizeBytesOf(next);
          room--;
        }
        await this.#take(partition, row, wanted, page);
        if (next !== -1) return { in: 'rows', rowBase: row.base, offset: next, end };
        rowBase = row.base + row.count;
        offset = rowBase;
      }
      if (rows.length < RetainedReader.ROWS_AT_ONCE) return undefined;
    }
    return { in: 'rows', rowBase, offset, end };
  }

  /** Records of one row; ascending. */
  async #take(partition: Partition, row: IndexRow, offsets: readonly number[], page: RetainedPage): Promise<void> {
    const live = offsets.filter((offset) => !page.isExpired(row.expiresAtMsOf(offset)));
    if (live.length === 0) return;
    const { groupId } = partition;
    let entry = this.#records.recent(groupId, row.entryIndex);
    if (entry === undefined) {
      try {
        entry = await this.#records.read(groupId, row.entryIndex);
      } catch (cause) {
        if (!isMissing(cause) || (await isStillThere(partition, row, live))) throw cause;
        return;
      }
    }
    const positions = entry.positions(RETAINED_QUEUE_ID, row.rejectedSlots, false);
    for (const offset of live) {
      // A copy: a page of messages from as many entries would keep all of those in memory.
      page.add(encodedRecordAt(entry.data, positions[row.n(offset)] as number).slice());
    }
  }
}

/** What is gathered for one answer. */
export class RetainedPage {
  readonly records: Uint8Array[] = [];
  readonly #nowMs: number;
  bytesLeft: number;
  recordsLeft: number;

  constructor(options: { bytesMax: number; recordsMax: number; nowMs: number }) {
    this.bytesLeft = options.bytesMax;
    this.recordsLeft = options.recordsMax;
    this.#nowMs = options.nowMs;
  }

  get isFull(): boolean {
    return this.bytesLeft <= 0 || this.recordsLeft <= 0;
  }

  isExpired(expiresAtMs: number): boolean {
    return expiresAtMs !== 0 && expiresAtMs <= this.#nowMs;
  }

  add(record: Uint8Array): void {
    this.records.push(record);
    this.bytesLeft -= record.length;
    this.recordsLeft--;
  }
}

function isMissing(cause: unknown): boolean {
  return cause instanceof SluiceError && cause.code === 'ENTRY_MISSING';
}

/** Its space may have been given back since the row was read, because all of them were replaced. */
async function isStillThere(partition: Partition, row: IndexRow, offsets: readonly number[]): Promise<boolean> {
  const now = await partition.index.row(RETAINED_QUEUE_ID, row.base);
  return now !== undefined && offsets.some((offset) => now.isLive(offset));
}

/** Before every topic. */
const NOTHING = new Uint8Array(0);
