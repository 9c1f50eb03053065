import type { DeliveryRef } from '@sluice/queue/dispatch/dispatcher';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import { encodedRecordAt } from '@sluice/queue/record/record-view';
import type { IndexReader } from '../read/index-reader.ts';
import type { ReadEntry, RecordReader } from '../read/record-reader.ts';

/**
 * What one step of a queue's dispatch hands out: records that were assigned to consumers, with the row and the bytes of
 * each. A step that failed, or has to read first, keeps what it has assigned until it is handed over.
 *
 * Reused from step to step: of a thousand queues with a message each, everything made for a step is made for a message.
 */
export class DispatchStep {
  readonly #queueId: number;
  readonly #groupId: number;
  readonly #index: IndexReader;
  readonly #records: RecordReader;
  /** In the order of assignment. */
  assigned: Assigned[] = NOTHING;
  bytes = 0;
  /** Looked through. */
  rows = 0;
  /** Records were dropped since it was found which of the assigned ones live. */
  isStale = false;
  /** Where the records of the entry read last begin: with small windows it is the next step's entry as well. */
  #entryIndex = -1;
  #positions: readonly number[] = [];
  /** The last entry that came with one that was read. */
  #lastBrought = -1;
  /** Entries that later steps want, on their way. */
  #bringing: { first: number; last: number; done: Promise<void> } | undefined;

  /** Enough to share reads, little enough to be soon with the consumers. */
  static readonly ROWS_MAX = 64;
  static readonly RECORDS_MAX = 512;
  static readonly BYTES_MAX = 4 * 1024 * 1024;
  /** Of the log of a partition: entries this near are read in one go, with what lies between, a settle command mostly. */
  static readonly NEAR_ENTRIES = 2;

  constructor(options: { queueId: number; groupId: number; index: IndexReader; records: RecordReader }) {
    this.#queueId = options.queueId;
    this.#groupId = options.groupId;
    this.#index = options.index;
    this.#records = options.records;
  }

  /** Nothing is assigned. */
  begin(): void {
    this.assigned = NOTHING;
    this.bytes = 0;
    this.rows = 0;
    this.isStale = false;
  }

  get isFull(): boolean {
    const count = this.assigned.length;
    return count >= DispatchStep.RECORDS_MAX || (count > 0 && this.bytes >= DispatchStep.BYTES_MAX);
  }

  /** `row`: undefined when it is not at hand. */
  assign(dispatchId: number, ref: DeliveryRef, row: IndexRow | undefined): void {
    const assigned: Assigned = { dispatchId, ref, row, record: undefined };
    // Most steps of most queues assign one: an array that grows would take room for a dozen.
    if (this.assigned.length === 0) this.assigned = [assigned];
    else this.assigned.push(assigned);
    this.bytes += ref.sizeBytes;
  }

  /** Whoever is not there any more gave it back when he left. What is left is to be looked at anew. */
  keepFor(isThere: (dispatchId: number) => boolean): void {
    this.assigned = this.assigned.filter(({ dispatchId }) => isThere(dispatchId));
    for (const assigned of this.assigned) assigned.row = undefined;
  }

  /** Its client has it already: if it is among the assigned it is nobody's, and keeps its place for a read under way. */
  taken(offset: number): void {
    for (const assigned of this.assigned) if (assigned.ref.offset === offset) assigned.dispatchId = NOBODY;
  }

  /** Finds rows and bytes in memory. False when some are not there. */
  findAtHand(): boolean {
    let row: IndexRow | undefined;
    let entry: ReadEntry | undefined;
    for (let i = 0; i < this.assigned.length; i++) {
      const assigned = this.assigned[i] as Assigned;
      row = this.#rowAtHand(assigned, row);
      if (row === undefined) return false;
      if (entry?.index !== row.entryIndex) entry = this.#records.recent(this.#groupId, row.entryIndex);
      if (entry === undefined) return false;
      this.#found(assigned, row, entry);
    }
    return true;
  }

  /** As `findAtHand`, and reads what is not there, for the rows `ahead` as well. A row that is gone stays undefined. */
  async find(ahead: readonly IndexRow[]): Promise<void> {
    let row: IndexRow | undefined;
    let entry: ReadEntry | undefined;
    for (let i = 0; i < this.assigned.length; i++) {
      const assigned = this.assigned[i] as Assigned;
      row = this.#rowAtHand(assigned, row) ?? (await this.#index.row(this.#queueId, assigned.ref.rowBase));
      if (row === undefined) continue;
      const { entryIndex } = row;
      if (entry?.index !== entryIndex) {
        entry =
          this.#records.recent(this.#groupId, entryIndex) ??
          (await this.#read(entryIndex, this.#lastNear(i, entryIndex, ahead)));
      }
      this.#found(assigned, row, entry);
    }
  }

  /** What came with a former one and is gone was pushed out by others, or its worker is slow: it is read alone this time. */
  async #read(entryIndex: number, last: number): Promise<ReadEntry> {
    const bringing = this.#bringing;
    if (bringing !== undefined && entryIndex >= bringing.first && entryIndex <= bringing.last) {
      await bringing.done;
      const brought = this.#records.recent(this.#groupId, entryIndex);
      if (brought !== undefined) return brought;
    }
    if (entryIndex <= this.#lastBrought) return await this.#records.read(this.#groupId, entryIndex);
    const entry = await this.#records.read(this.#groupId, entryIndex, last);
    this.#lastBrought = entry.lastBrought;
    return entry;
  }

  /** Reads the next entries that are not in memory, of rows that begin before `before`, while consumers have what they got. */
  lookAhead(ahead: readonly IndexRow[], before: number): void {
    if (this.#bringing !== undefined) return;
    for (const { base, entryIndex } of ahead) {
      if (base >= before) return;
      if (entryIndex <= this.#lastBrought || this.#records.has(this.#groupId, entryIndex)) continue;
      const last = this.#lastNear(this.assigned.length, entryIndex, ahead);
      this.#bringing = { first: entryIndex, last, done: this.#bring(entryIndex, last) };
      return;
    }
  }

  async #bring(first: number, last: number): Promise<void> {
    try {
      this.#lastBrought = (await this.#records.read(this.#groupId, first, last)).lastBrought;
    } catch {
      // Whoever needs it reads it again, and says what is wrong.
    } finally {
      this.#bringing = undefined;
    }
  }

  /** Which of them live still; the bytes of a record are what they were. Once more when it ends stale. */
  async lookAgain(): Promise<void> {
    this.isStale = false;
    const rowBases = new Set<number>();
    for (const { ref } of this.assigned) rowBases.add(ref.rowBase);
    const rows = await this.#index.rows(this.#queueId, [...rowBases]);
    for (const assigned of this.assigned) assigned.row = rows.get(assigned.ref.rowBase);
  }

  /** Those of the records that live no more. */
  async deadOf(refs: readonly DeliveryRef[]): Promise<number[]> {
    const rows = await this.#index.rows(this.#queueId, [...new Set(refs.map(({ rowBase }) => rowBase))]);
    const dead = refs.filter(({ offset, rowBase }) => rows.get(rowBase)?.isLive(offset) !== true);
    return dead.map(({ offset }) => offset);
  }

  /** Where what is wanted from the entry of the record `at` on, by this step and the next ones, ends or leaves a gap. */
  #lastNear(at: number, entryIndex: number, ahead: readonly IndexRow[]): number {
    let last = entryIndex;
    for (let i = at + 1; i < this.assigned.length; i++) {
      const next = this.assigned[i]?.row?.entryIndex ?? last;
      if (next === last) continue;
      if (!this.#isNear(next, last)) return last;
      last = next;
    }
    for (const { entryIndex: next } of ahead) {
      if (next <= last) continue;
      if (!this.#isNear(next, last)) return last;
      last = next;
    }
    return last;
  }

  #isNear(next: number, last: number): boolean {
    return next > last && next <= last + DispatchStep.NEAR_ENTRIES && !this.#records.has(this.#groupId, next);
  }

  #rowAtHand({ row, ref }: Assigned, before: IndexRow | undefined): IndexRow | undefined {
    return row ?? (before?.base === ref.rowBase ? before : this.#index.recent(this.#queueId, ref.rowBase));
  }

  #found(assigned: Assigned, row: IndexRow, entry: ReadEntry): void {
    if (entry.index !== this.#entryIndex) {
      this.#positions = entry.positions(this.#queueId, row.rejectedSlots, row.isShared);
      this.#entryIndex = entry.index;
    }
    const position = this.#positions[row.n(assigned.ref.offset)] as number;
    assigned.row = row;
    assigned.record = encodedRecordAt(entry.data, position);
  }
}

/** Never added to. */
const NOTHING: Assigned[] = [];

/** No consumer has this id. */
const NOBODY = 0;

export interface Assigned {
  dispatchId: number;
  readonly ref: DeliveryRef;
  row: IndexRow | undefined;
  /** Undefined until it was found, and when its row is gone. */
  record: Uint8Array | undefined;
}
