import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import { BATCH_RECORDS_MAX } from '@sluice/queue/record/record-format';
import { encodedRecordAt } from '@sluice/queue/record/record-view';
import type { Cursor } from '@sluice/queue/session/cursor';
import type { StreamDelivery } from '@sluice/rpc/contract/sessions';
import { RowCursor } from '../dispatch/row-cursor.ts';
import type { IndexReader } from '../read/index-reader.ts';
import type { ReadEntry, RecordReader } from '../read/record-reader.ts';

/**
 * Brings one connected session what its streams hold for it, on the leader of its partition.
 *
 * Reading one stream after the other would bring a client yesterday's messages of one filter before today's of another.
 * All streams of a partition are fed by one log, so they are merged by it: the entry that is next in any of them is next,
 * and its records come in the order they have there. What is at hand of the entry are places, never bytes: ten thousand
 * slow clients must not each hold a batch.
 *
 * Offsets that hold nothing (dropped at the stream's bounds) are passed at once, or they would be waited for.
 */
export class SessionFeed {
  readonly clientId: string;
  readonly epoch: number;
  readonly #parts: FeedParts;
  readonly #readers = new Map<number, StreamReader>();
  #window: number;
  #outstanding = 0;
  /** Of `#entryIndex`, in its order, not handed out yet. */
  #ready: Place[] = [];
  #entryIndex = 0;
  /** Something of it may have been dropped since. */
  #isStale = false;
  #isPumping = false;
  #again = false;
  #closed = false;
  #retryTimer: NodeJS.Timeout | undefined;

  static readonly STEP_BYTES_MAX = 1024 * 1024;
  static readonly STEP_ROWS_MAX = 16;
  /** A disk that said no is asked again after this long. */
  static readonly RETRY_MS = 500;

  constructor(clientId: string, epoch: number, window: number, parts: FeedParts) {
    this.clientId = clientId;
    this.epoch = epoch;
    this.#window = window;
    this.#parts = parts;
  }

  get streamIds(): Iterable<number> {
    return this.#readers.keys();
  }

  /** Handed out and not passed. */
  outstandingOf(streamId: number): ReadonlySet<number> {
    return this.#readers.get(streamId)?.outstanding ?? NO_OFFSETS;
  }

  add(streamId: number, cursor: Cursor): void {
    if (this.#readers.has(streamId)) return;
    const { index, tailOf } = this.#parts;
    const rows = new RowCursor({ queueId: streamId, head: cursor.next, tail: tailOf(streamId), index });
    this.#readers.set(streamId, { streamId, cursor, rows, outstanding: new Set(), isAligned: false });
    this.wake();
  }

  remove(streamId: number): void {
    const reader = this.#readers.get(streamId);
    if (reader === undefined) return;
    this.#readers.delete(streamId);
    this.#outstanding -= reader.outstanding.size;
    this.wake();
  }

  /** The client is done with it. What was not handed out by this feed may have been by a former leader's. */
  pass(streamId: number, offset: number): void {
    if (this.received(streamId, offset)) this.#parts.passed(this, streamId, offset, offset + 1);
  }

  /** It is passed in the log already. False: it is of no stream of this session. */
  received(streamId: number, offset: number): boolean {
    const reader = this.#readers.get(streamId);
    if (reader === undefined) return false;
    if (reader.outstanding.delete(offset)) this.#outstanding--;
    reader.cursor.pass(offset, offset + 1);
    this.wake();
    return true;
  }

  /** Records of it were dropped: what is at hand may be among them. */
  dropped(streamId: number): void {
    this.#readers.get(streamId)?.rows.dropped();
    this.#isStale = this.#ready.length > 0;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retryTimer);
  }

  /** Something may be there for it. Cheap, and callable any number of times a turn. */
  wake(): void {
    this.#again = true;
    if (this.#isPumping || this.#closed || this.#retryTimer !== undefined) return;
    this.#isPumping = true;
    queueMicrotask(() => void this.#pump());
  }

  async #pump(): Promise<void> {
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        while (await this.#step());
      }
    } catch (cause) {
      this.#failed(cause as Error);
    } finally {
      this.#isPumping = false;
    }
    if (this.#again) this.wake();
  }

  #failed(cause: Error): void {
    if (this.#closed) return;
    this.#parts.failed(this, cause);
    this.#isStale = this.#ready.length > 0;
    this.#again = true;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.wake();
    }, SessionFeed.RETRY_MS);
  }

  /** Hands out once; true when there may be more. */
  async #step(): Promise<boolean> {
    if (this.#closed || this.#outstanding >= this.#window || this.#parts.isHeldUp()) return false;
    if (this.#ready.length === 0 && !(await this.#readNextEntry())) return false;
    if (this.#isStale) await this.#forgetDropped();
    if (this.#ready.length === 0) return true;
    const { data: batch } = await this.#entry(this.#entryIndex);
    // Others may have been given much during the read.
    if (this.#closed || this.#parts.isHeldUp()) return false;
    const deliveries: StreamDelivery[] = [];
    let bytes = 0;
    let taken = 0;
    while (
      taken < this.#ready.length &&
      this.#outstanding < this.#window &&
      (bytes < SessionFeed.STEP_BYTES_MAX || deliveries.length === 0)
    ) {
      const { streamId, offset, position } = this.#ready[taken++] as Place;
      const reader = this.#readers.get(streamId);
      if (reader === undefined || reader.cursor.isPassed(offset)) continue;
      const record = encodedRecordAt(batch, position);
      deliveries.push({ streamId, offset, record });
      reader.outstanding.add(offset);
      this.#outstanding++;
      bytes += record.length;
    }
    this.#ready.splice(0, taken);
    if (deliveries.length > 0) this.#parts.deliver(this, deliveries);
    return true;
  }

  /** The entry itself may be gone with its last record: it must not be asked for any more. */
  async #forgetDropped(): Promise<void> {
    this.#isStale = false;
    const live: Place[] = [];
    for (const place of this.#ready) {
      const { streamId, rowBase, offset } = place;
      const row = this.#parts.index.recent(streamId, rowBase) ?? (await this.#parts.index.row(streamId, rowBase));
      const reader = this.#readers.get(streamId);
      if (row?.isLive(offset) === true) live.push(place);
      else if (reader !== undefined) this.#passGap(streamId, reader.cursor, offset, offset + 1);
    }
    this.#ready = live;
  }

  async #entry(entryIndex: number): Promise<ReadEntry> {
    const { records, groupId } = this.#parts;
    return records.recent(groupId, entryIndex) ?? (await records.read(groupId, entryIndex));
  }

  /** Finds the entry that is next in any stream, and what of it is for this session. False when there is none. */
  async #readNextEntry(): Promise<boolean> {
    let entryIndex = Number.POSITIVE_INFINITY;
    const heads: { reader: StreamReader; row: IndexRow }[] = [];
    for (const reader of [...this.#readers.values()]) {
      if (!reader.isAligned) await this.#align(reader);
      reader.rows.tail = this.#parts.tailOf(reader.streamId);
      const row = reader.rows.atHand() ?? (await reader.rows.read(SessionFeed.STEP_ROWS_MAX, NOTHING));
      if (row === undefined || row.entryIndex > entryIndex || !this.#readers.has(reader.streamId)) continue;
      if (row.entryIndex < entryIndex) heads.length = 0;
      entryIndex = row.entryIndex;
      heads.push({ reader, row });
    }
    if (heads.length === 0 || this.#closed) return false;
    const entry = await this.#entry(entryIndex);
    const ready: Place[] = [];
    for (const { reader, row } of heads) this.#take(reader, row, entry, ready);
    this.#entryIndex = entryIndex;
    this.#ready = ready.sort((a, b) => a.position - b.position || a.streamId - b.streamId);
    return true;
  }

  /**
   * A cursor stands where its client stopped, mostly at the beginning of a row; rows are known by that. Otherwise its row
   * begins less than a batch before.
   */
  async #align(reader: StreamReader): Promise<void> {
    const { streamId, rows } = reader;
    const { index, tailOf } = this.#parts;
    const { offset } = rows;
    if (
      offset < tailOf(streamId) &&
      (index.recent(streamId, offset) ?? (await index.row(streamId, offset))) === undefined
    ) {
      let from = Math.max(0, offset - BATCH_RECORDS_MAX + 1);
      for (let found: IndexRow | undefined; found === undefined; ) {
        const some = await index.rowsFrom(streamId, from, SessionFeed.STEP_ROWS_MAX);
        found = some.find((row) => row.base + row.count > offset);
        const last = some.at(-1);
        if (last === undefined) break;
        from = last.base + last.count;
        if (found !== undefined) rows.seek(found.base);
      }
    }
    reader.isAligned = true;
  }

  #take({ streamId, cursor, rows }: StreamReader, row: IndexRow, entry: ReadEntry, ready: Place[]): void {
    const end = row.base + row.count;
    const positions = entry.positions(streamId, row.rejectedSlots, row.isShared);
    if (row.base > rows.offset) this.#passGap(streamId, cursor, rows.offset, row.base);
    for (let offset = Math.max(rows.offset, row.base); offset < end; offset++) {
      if (!row.isLive(offset)) this.#passGap(streamId, cursor, offset, offset + 1);
      else if (!cursor.isPassed(offset))
        ready.push({ streamId, rowBase: row.base, offset, position: positions[row.n(offset)] as number });
    }
    rows.passRow(row);
  }

  #passGap(streamId: number, cursor: Cursor, from: number, to: number): void {
    if (cursor.pass(from, to)) this.#parts.passed(this, streamId, from, to);
  }
}

export interface FeedParts {
  readonly groupId: number;
  readonly index: IndexReader;
  readonly records: RecordReader;
  tailOf(streamId: number): number;
  /** Nothing is handed out until `wake`. */
  isHeldUp(): boolean;
  deliver(feed: SessionFeed, deliveries: readonly StreamDelivery[]): void;
  passed(feed: SessionFeed, streamId: number, from: number, to: number): void;
  /** A record cannot be read; it is tried again. */
  failed(feed: SessionFeed, cause: Error): void;
}

interface StreamReader {
  readonly streamId: number;
  readonly cursor: Cursor;
  readonly rows: RowCursor;
  readonly outstanding: Set<number>;
  /** The row is known in which its cursor stands. */
  isAligned: boolean;
}

interface Place {
  streamId: number;
  rowBase: number;
  offset: number;
  /** Where the record begins in its entry. */
  position: number;
}

const NO_OFFSETS: ReadonlySet<number> = new Set();
const NOTHING = (): undefined => undefined;
