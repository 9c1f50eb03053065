import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import type { IndexReader } from '../read/index-reader.ts';

/**
 * Where a queue's dispatch stands in the index rows, and the few rows at hand from there on.
 *
 * Reading rows from the engine for each step of the pump would be simple, and most of what a message costs: consumers
 * that keep up want the row that was written a moment ago, and those with small windows want one row in many steps. So
 * rows come from memory while they are there, as the apply wrote them, and what a scan brought is kept, decoded, until the
 * cursor has passed it.
 *
 * Deep in a backlog rows are on disk, and a cursor that reads when it has none left has consumers wait for a trip to another thread
 * each time. So it reads on behind the rows at hand while those are handed out (`lookAhead`).
 *
 * A row beyond the cursor changes only by what supersedes or drops its records; settlements concern what was handed out.
 * The first is noted in the rows at hand, the second makes them be read again, also when it comes during the read.
 */
export class RowCursor {
  /** The next fresh offset. */
  offset: number;
  /** The next offset to be given, as of the rows that are written. Told, not asked: it is looked at for each message. */
  tail: number;
  readonly #queueId: number;
  readonly #index: IndexReader;
  /** The base of the row the next offset lies in, or the offset itself when no row is known to hold it. */
  #rowBase: number;
  /** Ascending; at most what two scans bring: so many rows each, and unless it is one alone so many records. */
  #ahead: IndexRow[] = NONE;
  /** The row at hand was in memory, hence those behind it are as well. */
  #isRecent = true;
  #drops = 0;
  /** Behind the rows at hand, while those are handed out. */
  #readingOn: Promise<void> | undefined;
  /** Superseded since that began. */
  #meanwhile: Set<number> | undefined;
  /** Rows at hand were given up: what is read on behind them is of no use. */
  #voided = 0;
  /** Where the last reading on found nothing, or failed: what dies behind the rows at hand is read for no second time. */
  #nothingFrom = -1;
  #recordsWanted = 0;
  /** Of those read last, on average: what the next ones are expected to hold. One of them says little: sizes differ a hundredfold. */
  #rowRecords = 1;

  static readonly AHEAD_ROWS_MAX = 64;
  static readonly AHEAD_RECORDS_MAX = 1024;
  /** Times what the consumers may hold: of ten thousand queues with a slow worker each, what is at hand is not memory to speak of. */
  static readonly AHEAD_WINDOWS = 8;

  constructor(options: { queueId: number; head: number; tail: number; index: IndexReader }) {
    this.#queueId = options.queueId;
    this.offset = options.head;
    this.#rowBase = options.head;
    this.tail = options.tail;
    this.#index = options.index;
  }

  /** Records may be left beyond it. */
  get isBehind(): boolean {
    return this.#rowBase < this.tail && this.offset < this.tail;
  }

  /** Rows at hand; the first ones may be passed already. */
  get ahead(): readonly IndexRow[] {
    return this.#ahead;
  }

  /** The row with the next offset, or the first one behind it, without reading; undefined when it is not at hand. */
  atHand(): IndexRow | undefined {
    while (this.#ahead.length > 0) {
      const row = this.#ahead[0] as IndexRow;
      if (row.base + row.count > this.offset) return row;
      if (this.#ahead.length === 1) this.#ahead = NONE;
      else this.#ahead.shift();
    }
    if (this.#rowBase >= this.tail) return undefined;
    const row = this.#index.recent(this.#queueId, this.#rowBase);
    // Not pushed: an array that grows from nothing takes room for seventeen.
    if (row === undefined) return undefined;
    this.#ahead = [row];
    this.#isRecent = true;
    return row;
  }

  /**
   * As `read`, as many records as there is room for, and more from read to read as long as nothing is dropped: a row may hold
   * a thousand, and decoding 64 to hand out ten would be most of the work; reading for those ten alone, that of a drain.
   */
  async readAhead(room: number, windows: number, superseded: Superseded): Promise<IndexRow | undefined> {
    if (this.#readingOn !== undefined) {
      await this.#readingOn;
      const row = this.atHand();
      if (row !== undefined) return row;
    }
    this.#recordsWanted = Math.min(recordsMaxFor(windows), Math.max(room, 2 * this.#recordsWanted));
    return await this.read(this.#rowsWanted, superseded);
  }

  get #rowsWanted(): number {
    return Math.min(RowCursor.AHEAD_ROWS_MAX, 1 + Math.ceil(this.#recordsWanted / this.#rowRecords));
  }

  /** Reads on when the rows at hand are not many more. Undefined when that is under way, or of no use. */
  lookAhead(windows: number): Promise<void> | undefined {
    const last = this.#ahead.at(-1);
    if (last === undefined || this.#isRecent || this.#readingOn !== undefined) return undefined;
    const from = last.base + last.count;
    if (from >= this.tail || from === this.#nothingFrom || from - this.offset > recordsMaxFor(windows) / 2)
      return undefined;
    this.#recordsWanted = Math.min(recordsMaxFor(windows), 2 * this.#recordsWanted);
    this.#readingOn = this.#readOn(from);
    return this.#readingOn;
  }

  async #readOn(from: number): Promise<void> {
    const voided = this.#voided;
    this.#meanwhile = new Set();
    try {
      const rows = await this.#index.rowsFrom(this.#queueId, from, this.#rowsWanted, RowCursor.AHEAD_RECORDS_MAX);
      if (voided !== this.#voided || this.#isRecent) return;
      if (rows.length === 0) this.#nothingFrom = from;
      this.#learn(rows);
      for (const row of rows) {
        for (const offset of this.#meanwhile) if (row.isLive(offset)) row.settle(offset);
      }
      if (this.#ahead.length === 0) this.#ahead = rows;
      else for (const row of rows) this.#ahead.push(row);
    } catch {
      // Whoever needs these rows reads them again, and says what is wrong.
      this.#nothingFrom = from;
    } finally {
      this.#readingOn = undefined;
      this.#meanwhile = undefined;
    }
  }

  /** As `atHand`, from the engine: up to `rowsMax` rows, less what was superseded since the caller's step began. */
  async read(rowsMax: number, superseded: Superseded): Promise<IndexRow | undefined> {
    for (;;) {
      if (this.#rowBase >= this.tail) return undefined;
      const drops = this.#drops;
      const from = this.#rowBase;
      const rows = await this.#index.rowsFrom(this.#queueId, from, rowsMax, RowCursor.AHEAD_RECORDS_MAX);
      if (drops !== this.#drops) continue;
      this.#learn(rows);
      this.#ahead = rows;
      this.#isRecent = false;
      this.#voided++;
      for (const offset of superseded() ?? []) this.supersede(offset);
      return rows.length === 0 ? undefined : this.atHand();
    }
  }

  #learn(rows: readonly IndexRow[]): void {
    if (rows.length === 0) return;
    let records = 0;
    for (const { count } of rows) records += count;
    this.#rowRecords = records / rows.length;
  }

  /** The row that holds the next offset, or the first one behind it, begins there. */
  seek(rowBase: number): void {
    this.#rowBase = rowBase;
    this.#ahead = NONE;
    this.#voided++;
  }

  /** A record of this row was handed out. */
  passRecord(row: IndexRow, offset: number): void {
    this.offset = offset + 1;
    this.#rowBase = row.base;
  }

  /** Nothing in this row is left to hand out. */
  passRow(row: IndexRow): void {
    this.offset = Math.max(this.offset, row.base + row.count);
    this.#rowBase = this.offset;
  }

  supersede(offset: number): void {
    for (const row of this.#ahead) if (row.isLive(offset)) row.settle(offset);
    this.#meanwhile?.add(offset);
  }

  /** Nobody is there to hand them out to. */
  rest(): void {
    this.#ahead = NONE;
    this.#recordsWanted = 0;
    this.#voided++;
  }

  /** Records were purged, expired or trimmed: rows at hand may be among theirs. */
  dropped(): void {
    this.rest();
    this.#drops++;
  }
}

function recordsMaxFor(windows: number): number {
  return Math.min(RowCursor.AHEAD_RECORDS_MAX, RowCursor.AHEAD_WINDOWS * windows);
}

/** Offsets that were superseded meanwhile, as of when it is asked. */
export type Superseded = () => Iterable<number> | undefined;

/** Never added to. */
const NONE: IndexRow[] = [];
