import type { Clock } from '@sluice/common/clock';
import type { Prng } from '@sluice/common/prng';
import type { DispatchStrategy } from '@sluice/meta/queue-definition';
import { type DeliveryRef, Dispatcher } from '@sluice/queue/dispatch/dispatcher';
import type { IndexRow } from '@sluice/queue/machine/index-row';
import { recordPositions } from '@sluice/queue/record/record-batch';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { DeliverItem, HeldItem } from '@sluice/rpc/contract/consume';
import type { DispatchConsumer } from './dispatch-consumer.ts';
import type { IndexReader } from './index-reader.ts';
import type { DispatchCounts } from './metrics/dispatch-counts.ts';
import type { RecordReader } from './record-reader.ts';
import { RowCursor } from './row-cursor.ts';
import type { SettleBatcher } from './settle-batcher.ts';

/**
 * Hands one queue's records to its consumers, on the leader of its partition.
 *
 * Nothing of the backlog is resident: index rows are read from where the cursor stands (`row-cursor`), only as far as
 * consumers have room, and the bytes of a record only once somebody is to get it. What was given back comes first. One pump runs at a
 * time; whatever happens meanwhile (an append, an acknowledgement, a newcomer) makes it look once more.
 *
 * The pump reads the disk, and what it has read is old when it arrives: a value superseded since the read began must not
 * go out. So everything superseded during a step is remembered for that step, whether or not it was assigned yet.
 *
 * A record that cannot be read holds the queue still: what was assigned stays assigned and is tried again, after looking
 * anew whether it still lives. Going on with the next records would skip what was acknowledged.
 */
export class QueueDispatch {
  readonly queueId: number;
  readonly #groupId: number;
  readonly #index: IndexReader;
  readonly #records: RecordReader;
  readonly #settles: SettleBatcher;
  readonly #isHeldUp: () => boolean;
  readonly #mayBeHeld: (entryIndex: number) => boolean;
  readonly #tail: () => number;
  readonly #clock: Clock;
  readonly #onTrouble: (cause: Error) => void;
  readonly #onRecovered: () => void;
  readonly #dispatcher: Dispatcher;
  readonly #counts: DispatchCounts;
  readonly #consumers = new Map<number, DispatchConsumer>();
  readonly #cursor: RowCursor;
  /** Where the records of the entry read last begin: with small windows it is the next step's entry as well. */
  #entryIndex = -1;
  #positions: number[] = [];
  /** Records of the row read last: what the next ones are expected to hold. */
  #rowRecords = 1;
  #pumping = false;
  #again = false;
  #dueTimer: NodeJS.Timeout | undefined;
  #closed = false;
  /** Superseded since the current step began. */
  readonly #withdrawn = new Set<number>();
  /** At the cursor or beyond it, and not to be handed out: a worker has them since a former leader, or has accepted them. */
  readonly #passed = new Set<number>();
  /** Assigned by the current step, or by one that failed, and not handed over yet. */
  #unsent: Assigned[] = [];
  #isTroubled = false;
  #tellsWaiting: boolean;
  /** What consumers were told last. */
  #waits = false;
  #tellScheduled = false;
  /** Sent a window and not answered yet. */
  readonly #windowsToAnswer = new Set<number>();
  #retryTimer: NodeJS.Timeout | undefined;

  /** Rows and bytes of one step of the pump: enough to share reads, little enough to be soon with the consumers. */
  static readonly STEP_ROWS_MAX = 64;
  static readonly STEP_RECORDS_MAX = 512;
  static readonly STEP_BYTES_MAX = 4 * 1024 * 1024;
  /** What one consumer may hold unanswered, besides its window: it is in the memory of its gateway until then. */
  static readonly CONSUMER_BYTES_MAX = 16 * 1024 * 1024;
  /** A disk that said no is asked again after this long. */
  static readonly RETRY_MS = 500;

  constructor(options: {
    queueId: number;
    groupId: number;
    head: number;
    /** The next offset to be given. */
    tail: () => number;
    strategy: DispatchStrategy;
    redispatchIntervalMs: number;
    index: IndexReader;
    records: RecordReader;
    settles: SettleBatcher;
    /** Whether consumers hear when records begin and end to wait for want of credit. */
    tellsWaiting: boolean;
    /** Too many settlements wait for the log: nothing is handed out until `wake`. */
    isHeldUp: () => boolean;
    /** Whether a worker may have records of this entry from a former leader: it, and what lies behind, waits for `wake`. */
    mayBeHeld: (entryIndex: number) => boolean;
    clock: Clock;
    prng: Prng;
    counts: DispatchCounts;
    /** A record cannot be read; it is tried again until `onRecovered`. */
    onTrouble: (cause: Error) => void;
    onRecovered: () => void;
  }) {
    this.queueId = options.queueId;
    this.#groupId = options.groupId;
    this.#cursor = new RowCursor(options);
    this.#index = options.index;
    this.#records = options.records;
    this.#settles = options.settles;
    this.#isHeldUp = options.isHeldUp;
    this.#mayBeHeld = options.mayBeHeld;
    this.#tail = options.tail;
    this.#tellsWaiting = options.tellsWaiting;
    this.#clock = options.clock;
    this.#counts = options.counts;
    this.#onTrouble = options.onTrouble;
    this.#onRecovered = options.onRecovered;
    this.#dispatcher = new Dispatcher({
      strategy: options.strategy,
      prng: options.prng,
      redispatchIntervalMs: options.redispatchIntervalMs,
      consumerBytesMax: QueueDispatch.CONSUMER_BYTES_MAX,
    });
  }

  /** A changed definition acts on the next assignment and the next rejection. */
  redefine(strategy: DispatchStrategy, redispatchIntervalMs: number, tellsWaiting: boolean): void {
    this.#dispatcher.setStrategy(strategy);
    this.#dispatcher.setRedispatchInterval(redispatchIntervalMs);
    this.#tellsWaiting = tellsWaiting;
    if (tellsWaiting) this.#tellSoon();
  }

  /** Returns which of the records that it says it holds it does not: they are with others, or settled. */
  attach(consumer: DispatchConsumer, window: number, held: readonly HeldItem[] = NOTHING): number[] {
    this.#consumers.set(consumer.dispatchId, consumer);
    this.#dispatcher.attach(consumer.dispatchId, window);
    const lost: number[] = [];
    for (const item of held) if (!this.#take(consumer, item)) lost.push(item.offset);
    // They are with its client all the same; the gateway says so as well, in a moment.
    if (lost.length > 0) this.#dispatcher.setWindow(consumer.dispatchId, Math.max(0, window - lost.length));
    if (this.#waits) consumer.waiting(true);
    this.wake();
    return lost;
  }

  /**
   * The first holder keeps a record, unless it is the same gateway on a channel that it has given up. Whether the record
   * still lives is not asked: one that does not is looked at again before it goes to anybody else.
   */
  #take(consumer: DispatchConsumer, { offset, rowBase, deliveryCount, sizeBytes }: HeldItem): boolean {
    const holderId = this.#dispatcher.holderOf(offset);
    if (holderId === undefined) {
      if (offset < this.#cursor.offset || offset >= this.#tail() || this.#passed.has(offset)) return false;
      this.#passed.add(offset);
    } else if (holderId !== 0) {
      const holder = this.#consumers.get(holderId);
      if (holder === undefined || !consumer.succeeds(holder)) return false;
    }
    const ref = { offset, rowBase, deliveryCount, sizeBytes };
    this.#dispatcher.take(consumer.dispatchId, ref, this.#clock.monotonicMs());
    return true;
  }

  /** Answered by `waiting` once what was assigned under the former window has been sent. */
  setWindow(dispatchId: number, window: number): void {
    this.#dispatcher.setWindow(dispatchId, window);
    if (this.#consumers.has(dispatchId)) this.#windowsToAnswer.add(dispatchId);
    this.wake();
  }

  /** Everything it held is available to others at once, its delivery count raised. */
  detach(dispatchId: number): void {
    if (!this.#consumers.delete(dispatchId)) return;
    this.#windowsToAnswer.delete(dispatchId);
    const returned: DeliveryRef[] = [];
    this.#dispatcher.detach(dispatchId, returned);
    for (const ref of returned) this.#settles.returned(this.queueId, ref.rowBase, ref.offset);
    this.wake();
  }

  accept(dispatchId: number, offset: number): void {
    const ref = this.#dispatcher.accept(dispatchId, offset);
    if (ref === undefined) return;
    this.#counts.accepted(this.#dispatcher.acceptedSinceMs, this.#clock.monotonicMs());
    this.#settles.accepted(this.queueId, ref.rowBase, ref.offset);
    // Most free a place nobody waits for: a pump for each of them would be most of what a lone message costs.
    if (this.#waits || this.#isAnyLeft) this.wake();
  }

  /** By somebody who does not hold it here. The job is done: nobody else shall begin it. */
  acceptLate(rowBase: number, offset: number): void {
    if (offset >= this.#tail()) return;
    const isKnown = this.#dispatcher.holderOf(offset) !== undefined;
    this.supersede(offset);
    if (!isKnown && offset >= this.#cursor.offset) this.#passed.add(offset);
    this.#settles.accepted(this.queueId, rowBase, offset);
  }

  reject(dispatchId: number, offset: number): void {
    const ref = this.#dispatcher.reject(dispatchId, offset, this.#clock.monotonicMs());
    if (ref === undefined) return;
    this.#settles.returned(this.queueId, ref.rowBase, ref.offset);
    this.wake();
  }

  /** A newer value of its key was committed: what was not handed out yet never will be. */
  supersede(offset: number): void {
    if (this.#dispatcher.supersede(offset) !== 'withdrawn' && this.#pumping) this.#withdrawn.add(offset);
    this.#cursor.supersede(offset);
  }

  /** Records were purged, expired or trimmed. */
  rowsDropped(): void {
    this.#cursor.dropped();
  }

  /** The queue is gone. Its consumers are told by the caller. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#dueTimer);
    this.#recovered();
  }

  /** A step is about to hand something out. */
  get isPumping(): boolean {
    return this.#pumping;
  }

  /** What it knows of its consumers and of what they hold, for figures. */
  get load(): DispatchLoad {
    return this.#dispatcher;
  }

  consumers(): Iterable<DispatchConsumer> {
    return this.#consumers.values();
  }

  isHeld(offset: number): boolean {
    return this.#dispatcher.isHeld(offset);
  }

  /** Something may be deliverable. Cheap, and callable any number of times a turn. */
  wake(): void {
    if (this.#closed) return;
    this.#again = true;
    if (this.#pumping || this.#retryTimer !== undefined || this.#consumers.size === 0) return;
    this.#pumping = true;
    queueMicrotask(this.#pumpOnce);
  }

  readonly #pumpOnce = (): void => {
    void this.#pump();
  };

  async #pump(): Promise<void> {
    try {
      if (this.#unsent.length > 0 || this.#isTroubled) await this.#deliverUnsent();
      while (this.#again && !this.#closed) {
        this.#again = false;
        while (this.#mayStep && (await this.#step())) this.#answerWindows();
        this.#answerWindows();
      }
    } catch (cause) {
      this.#failed(cause as Error);
    } finally {
      this.#pumping = false;
      this.#withdrawn.clear();
    }
    if (this.#again) this.wake();
    else this.#wakeWhenDue();
    if (this.#tellsWaiting) this.#tellSoon();
  }

  #answerWindows(): void {
    if (this.#windowsToAnswer.size === 0 || this.#closed) return;
    // What was said last, whether or not it is true any more: news would not be known as the answer.
    for (const dispatchId of this.#windowsToAnswer) this.#consumers.get(dispatchId)?.waiting(this.#waits);
    this.#windowsToAnswer.clear();
  }

  /** Once a turn, however often the pump ran in it. */
  #tellSoon(): void {
    if (this.#tellScheduled || this.#waits === this.#waitsForCredit()) return;
    this.#tellScheduled = true;
    setImmediate(() => {
      this.#tellScheduled = false;
      const waits = this.#waitsForCredit();
      if (this.#closed || waits === this.#waits) return;
      this.#waits = waits;
      for (const consumer of this.#consumers.values()) consumer.waiting(waits);
    });
  }

  /** True may turn out to be wrong: what is left may be superseded. With credit the next step finds out. */
  #waitsForCredit(): boolean {
    if (this.#consumers.size === 0 || this.#dispatcher.room() > 0) return false;
    return this.#isAnyLeft;
  }

  /** Records that nobody holds: beyond the cursor, or given back. */
  get #isAnyLeft(): boolean {
    return this.#cursor.isBehind || this.#dispatcher.redeliveryCount > 0;
  }

  get #mayStep(): boolean {
    return this.#isAnyLeft && this.#dispatcher.room() > 0 && !this.#isHeldUp();
  }

  /** Assigns and delivers once; true when there may be more to do. */
  async #step(): Promise<boolean> {
    this.#withdrawn.clear();
    const assigned: Assigned[] = [];
    this.#unsent = assigned;
    const rows = new Map<number, IndexRow | undefined>();
    let bytes = this.#assignRedeliveries(assigned);
    if (this.#dispatcher.room() > 0 && assigned.length < QueueDispatch.STEP_RECORDS_MAX) {
      bytes += await this.#assignFresh(assigned, rows, QueueDispatch.STEP_BYTES_MAX - bytes);
    }
    if (assigned.length === 0) return false;
    await this.#deliver(assigned, rows);
    this.#unsent = [];
    return !this.#closed;
  }

  /** What a failed step had assigned, as far as its consumers are still there: the others gave it back when they left. */
  async #deliverUnsent(): Promise<void> {
    this.#unsent = this.#unsent.filter(({ dispatchId }) => this.#consumers.has(dispatchId));
    if (this.#unsent.length > 0) {
      this.#withdrawn.clear();
      await this.#deliver(this.#unsent, new Map());
      this.#unsent = [];
      this.#again = true;
    }
    this.#recovered();
  }

  #failed(cause: Error): void {
    if (this.#closed) return;
    this.#isTroubled = true;
    this.#onTrouble(cause);
    this.#again = true;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.wake();
    }, QueueDispatch.RETRY_MS);
  }

  #recovered(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    if (!this.#isTroubled) return;
    this.#isTroubled = false;
    this.#onRecovered();
  }

  #assignRedeliveries(assigned: Assigned[]): number {
    const nowMs = this.#clock.monotonicMs();
    let bytes = 0;
    while (assigned.length < QueueDispatch.STEP_RECORDS_MAX && bytes < QueueDispatch.STEP_BYTES_MAX) {
      const next = this.#dispatcher.nextRedelivery(nowMs);
      if (next === undefined) break;
      assigned.push({ dispatchId: next.consumerId, ref: next.ref });
      bytes += next.ref.sizeBytes;
      this.#counts.redeliveredFor(next.cause);
    }
    return bytes;
  }

  async #assignFresh(assigned: Assigned[], rows: Map<number, IndexRow | undefined>, bytesMax: number): Promise<number> {
    // A row of a busy queue holds a thousand records: decoding 64 of them to hand out ten would be most of the work.
    const rowsWanted = 1 + Math.ceil(this.#dispatcher.room() / this.#rowRecords);
    const rowsMax = Math.min(QueueDispatch.STEP_ROWS_MAX, rowsWanted);
    const nowMs = this.#clock.monotonicMs();
    let bytes = 0;
    for (let looked = 0; looked < QueueDispatch.STEP_ROWS_MAX; looked++) {
      const row = this.#cursor.atHand() ?? (await this.#cursor.read(rowsMax, this.#withdrawn));
      if (row === undefined) return bytes;
      if (this.#mayBeHeld(row.entryIndex)) return bytes;
      rows.set(row.base, row);
      this.#rowRecords = row.count;
      for (let offset = row.nextLive(this.#cursor.offset); offset !== -1; offset = row.nextLive(offset + 1)) {
        if (assigned.length >= QueueDispatch.STEP_RECORDS_MAX || (bytes >= bytesMax && assigned.length > 0))
          return bytes;
        if (this.#passed.size > 0 && this.#passed.delete(offset)) {
          this.#cursor.passRecord(row, offset);
          continue;
        }
        const sizeBytes = row.sizeBytesOf(offset);
        const ref = { offset, rowBase: row.base, deliveryCount: row.deliveryCountOf(offset), sizeBytes };
        const dispatchId = this.#dispatcher.offer(ref, nowMs);
        if (dispatchId === 0) return bytes;
        if (ref.deliveryCount > 1) this.#counts.redeliveredFailover++;
        this.#cursor.passRecord(row, offset);
        assigned.push({ dispatchId, ref });
        bytes += sizeBytes;
      }
      this.#cursor.passRow(row);
    }
    // Enough for one step: look on, even if all of these were settled already.
    this.#again = true;
    return bytes;
  }

  async #deliver(assigned: readonly Assigned[], rows: Map<number, IndexRow | undefined>): Promise<void> {
    for (const { ref } of assigned) {
      if (rows.has(ref.rowBase)) continue;
      const recent = this.#index.recent(this.queueId, ref.rowBase);
      rows.set(ref.rowBase, recent ?? (await this.#index.row(this.queueId, ref.rowBase)));
    }
    const batches = new Map<number, Batch>();
    for (const { ref } of assigned) {
      const row = rows.get(ref.rowBase);
      if (row === undefined || batches.has(row.entryIndex)) continue;
      const data =
        this.#records.recent(this.#groupId, row.entryIndex) ??
        (await this.#records.read(this.#groupId, row.entryIndex));
      if (row.entryIndex !== this.#entryIndex) {
        this.#positions = recordPositions(data, this.queueId, row.rejectedSlots);
        this.#entryIndex = row.entryIndex;
      }
      batches.set(row.entryIndex, { data, positions: this.#positions });
    }
    this.#send(assigned, rows, batches);
  }

  #send(
    assigned: readonly Assigned[],
    rows: ReadonlyMap<number, IndexRow | undefined>,
    batches: ReadonlyMap<number, Batch>,
  ): void {
    const nowMs = this.#clock.nowMs();
    const outgoing = new Map<DispatchConsumer, DeliverItem[]>();
    for (const { dispatchId, ref } of assigned) {
      const consumer = this.#consumers.get(dispatchId);
      const row = rows.get(ref.rowBase);
      if (consumer === undefined) continue;
      if (row === undefined || !row.isLive(ref.offset) || this.#withdrawn.has(ref.offset)) {
        // Purged, expired or superseded since it was assigned: nobody is to have it, and its place is free again.
        this.#dispatcher.supersede(ref.offset);
        this.#dispatcher.accept(dispatchId, ref.offset);
        this.#again = true;
        continue;
      }
      const expiresAtMs = row.expiresAtMsOf(ref.offset);
      if (expiresAtMs !== 0 && expiresAtMs <= nowMs) {
        this.#dispatcher.accept(dispatchId, ref.offset);
        this.#settles.expired(this.queueId, ref.rowBase, ref.offset);
        this.#again = true;
        continue;
      }
      const { data, positions } = batches.get(row.entryIndex) as Batch;
      const record = new EncodedRecord(data, positions[row.n(ref.offset)] as number).encoded;
      let items = outgoing.get(consumer);
      if (items === undefined) {
        items = [];
        outgoing.set(consumer, items);
      }
      items.push({ offset: ref.offset, rowBase: ref.rowBase, deliveryCount: ref.deliveryCount, record });
      this.#counts.sent(ref.deliveryCount, row.appendedAtMs, nowMs);
    }
    for (const [consumer, items] of outgoing) consumer.deliver(items);
  }

  /**
   * A record that rests after a rejection needs a wake-up, if somebody has a place for it; everything else is woken by
   * what happens.
   */
  #wakeWhenDue(): void {
    clearTimeout(this.#dueTimer);
    if (this.#dispatcher.room() === 0) return;
    const dueMs = this.#dispatcher.earliestDueMs();
    if (this.#closed || dueMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(1, dueMs - this.#clock.monotonicMs());
    this.#dueTimer = setTimeout(() => this.wake(), delayMs);
  }
}

const NOTHING: readonly HeldItem[] = [];

/** See `Dispatcher`. */
export type DispatchLoad = Pick<
  Dispatcher,
  'inflight' | 'consumerCount' | 'delayedCount' | 'windowTotal' | 'oldestHeldSinceMs' | 'countDeliveredOften'
>;

interface Assigned {
  dispatchId: number;
  ref: DeliveryRef;
}

interface Batch {
  data: Uint8Array;
  positions: number[];
}
