import type { Clock } from '@sluice/common/clock';
import type { DispatchStrategy } from '@sluice/meta/queue-definition';
import { type DeliveryRef, Dispatcher, type DispatchLoad, SET_ASIDE } from '@sluice/queue/dispatch/dispatcher';
import type { DeliverItem, HeldItem } from '@sluice/rpc/contract/consume';
import type { DispatchCounts } from '../metrics/dispatch-counts.ts';
import type { SettleBatcher } from '../settle/settle-batcher.ts';
import type { DispatchConsumer } from './dispatch-consumer.ts';
import { type Assigned, DispatchStep } from './dispatch-step.ts';
import type { BalancedQueue } from './intake-balance.ts';
import { PassedOffsets } from './passed-offsets.ts';
import type { Pump, PumpTurn } from './pump-turn.ts';
import type { QueueDispatchOptions } from './queue-dispatch-options.ts';
import { RecordTrouble } from './record-trouble.ts';
import { RowCursor } from './row-cursor.ts';
import { SetAsideRecords } from './set-aside-records.ts';
import { WaitingNews, type WaitingQueue } from './waiting-news.ts';

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
export class QueueDispatch implements Pump, BalancedQueue, WaitingQueue {
  readonly queueId: number;
  readonly #settles: SettleBatcher;
  readonly #turn: PumpTurn;
  readonly #isHeldUp: () => boolean;
  readonly #mayBeHeld: (entryIndex: number) => boolean;
  readonly #clock: Clock;
  readonly #dispatcher: Dispatcher;
  readonly #counts: DispatchCounts;
  readonly #consumers = new Map<number, DispatchConsumer>();
  readonly #cursor: RowCursor;
  #pumping = false;
  #again = false;
  #dueTimer: NodeJS.Timeout | undefined;
  #closed = false;
  /** Superseded since the current step began. Made by the first, since most queues never have any. */
  #withdrawn: Set<number> | undefined;
  /** At the cursor or beyond it, and not to be handed out: a worker has them since a former leader, or has accepted them. */
  readonly #passed = new PassedOffsets();
  /** The current one, or one that failed: what it has assigned is not handed over yet. */
  readonly #step: DispatchStep;
  readonly #trouble: RecordTrouble;
  readonly #waiting: WaitingNews;
  readonly #setAside: SetAsideRecords;

  /** What one consumer may hold unanswered, besides its window: it is in the memory of its gateway until then. */
  static readonly CONSUMER_BYTES_MAX = 16 * 1024 * 1024;

  constructor(options: QueueDispatchOptions) {
    this.queueId = options.queueId;
    this.#cursor = new RowCursor(options);
    this.#step = new DispatchStep(options);
    this.#settles = options.settles;
    this.#turn = options.turn;
    this.#isHeldUp = options.isHeldUp;
    this.#mayBeHeld = options.mayBeHeld;
    this.#waiting = new WaitingNews(this, options.tellsWaiting);
    this.#clock = options.clock;
    this.#counts = options.counts;
    this.#trouble = new RecordTrouble(options);
    this.#dispatcher = new Dispatcher({
      strategy: options.strategy,
      prng: options.prng,
      redispatchIntervalMs: options.redispatchIntervalMs,
      consumerBytesMax: QueueDispatch.CONSUMER_BYTES_MAX,
    });
    this.#setAside = new SetAsideRecords(this.#dispatcher, this.#step, options.onTooLarge);
  }

  /** A changed definition acts on the next assignment and the next rejection. */
  redefine(strategy: DispatchStrategy, redispatchIntervalMs: number, tellsWaiting: boolean): void {
    this.#dispatcher.setStrategy(strategy);
    this.#dispatcher.setRedispatchInterval(redispatchIntervalMs);
    this.#waiting.isWanted = tellsWaiting;
    this.#waiting.tellSoon();
  }

  /** Returns which of the records that it says it holds it does not: they are with others, or settled. */
  attach(consumer: DispatchConsumer, window: number, held: readonly HeldItem[] = []): number[] {
    this.#consumers.set(consumer.dispatchId, consumer);
    this.#dispatcher.attach(consumer.dispatchId, window, consumer.recordBytesMax);
    this.#counts.rebalances++;
    const lost = held.filter((item) => !this.#take(consumer, item)).map(({ offset }) => offset);
    // They are with its client all the same; the gateway says so as well, in a moment.
    if (lost.length > 0) this.#dispatcher.setWindow(consumer.dispatchId, Math.max(0, window - lost.length));
    if (this.#waiting.waits) consumer.waiting(true);
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
      if (offset < this.#cursor.offset || offset >= this.#cursor.tail || this.#passed.has(offset)) return false;
      this.#passed.add(offset);
    } else if (holderId !== 0) {
      const holder = this.#consumers.get(holderId);
      if (holder === undefined || !consumer.succeeds(holder)) return false;
      this.#step.taken(offset);
    }
    const ref = { offset, rowBase, deliveryCount, sizeBytes };
    this.#dispatcher.take(consumer.dispatchId, ref, this.#clock.monotonicMs());
    return true;
  }

  /** Answered by `waiting` once what was assigned under the former window has been sent, if its gateway asked. */
  setWindow(dispatchId: number, window: number, isAsked = true): void {
    this.#dispatcher.setWindow(dispatchId, window);
    if (isAsked && this.#consumers.has(dispatchId)) this.#waiting.asked(dispatchId);
    this.wake();
  }

  setRecordBytesMax(dispatchId: number, recordBytesMax: number | undefined): void {
    this.#dispatcher.setRecordBytesMax(dispatchId, recordBytesMax ?? Number.POSITIVE_INFINITY);
    this.wake();
  }

  /** It was not sent: it is for a consumer that takes more. */
  tooLarge(dispatchId: number, offset: number): void {
    if (this.#dispatcher.tooLarge(dispatchId, offset)) this.wake();
  }

  /** Everything it held is available to others at once, its delivery count raised unless it is being read still. */
  detach(dispatchId: number): void {
    if (!this.#consumers.delete(dispatchId)) return;
    for (const { dispatchId: holderId, ref } of this.#step.assigned) {
      if (holderId === dispatchId) this.#dispatcher.giveBack(dispatchId, ref.offset);
    }
    this.#counts.rebalances++;
    this.#waiting.left(dispatchId);
    const returned: DeliveryRef[] = [];
    this.#dispatcher.detach(dispatchId, returned);
    for (const ref of returned) this.#settles.returned(this.queueId, ref.rowBase, ref.offset);
    if (this.#consumers.size === 0) this.#cursor.rest();
    this.wake();
  }

  /** `nowMs`: by the monotonic clock. */
  accept(dispatchId: number, offset: number, nowMs: number): void {
    const ref = this.#dispatcher.accept(dispatchId, offset, nowMs);
    if (ref === undefined) return;
    this.#counts.accepted(this.#dispatcher.acceptedSinceMs, nowMs);
    this.#settles.accepted(this.queueId, ref.rowBase, ref.offset);
    // Most free a place nobody waits for: a pump for each of them would be most of what a lone message costs.
    if (this.#waiting.waits || this.#isAnyLeft) this.wake();
  }

  /** By somebody who does not hold it here. The job is done: nobody else shall begin it. */
  acceptLate(rowBase: number, offset: number): void {
    if (offset >= this.#cursor.tail) return;
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
    const isWithdrawn = this.#dispatcher.supersede(offset) === 'withdrawn';
    if (!isWithdrawn && this.#pumping) this.#withdrawn = including(this.#withdrawn, offset);
    this.#cursor.supersede(offset);
  }

  /** Rows up to `tail` are written. */
  appended(tail: number): void {
    this.#cursor.tail = tail;
    this.wake();
  }

  /** Records were purged, expired or trimmed. */
  rowsDropped(): void {
    this.#cursor.dropped();
    this.#step.isStale = true;
    if (this.#setAside.dropped()) this.wake();
  }

  /** The queue is gone. Its consumers are told by the caller. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#dueTimer);
    this.#trouble.recovered();
  }

  /** A step is about to hand something out. */
  get isPumping(): boolean {
    return this.#pumping;
  }

  /** What it knows of its consumers and of what they hold, for figures. */
  get load(): DispatchLoad {
    return this.#dispatcher;
  }

  /** The first that was handed to nobody yet. */
  get nextOffset(): number {
    return this.#cursor.offset;
  }

  get behind(): number {
    return this.#cursor.tail - this.#cursor.offset;
  }
  get held(): number {
    return this.#dispatcher.inflight;
  }
  get accepted(): number {
    return this.#counts.acceptedCount;
  }

  consumers(): Iterable<DispatchConsumer> {
    return this.#consumers.values();
  }

  consumer(dispatchId: number): DispatchConsumer | undefined {
    return this.#consumers.get(dispatchId);
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get waitsForCredit(): boolean {
    if (this.#consumers.size === 0 || this.#dispatcher.room() > 0) return false;
    return this.#cursor.isBehind || this.#dispatcher.redeliveryCount > this.#dispatcher.setAsideCount;
  }

  get hasSetAside(): boolean {
    return this.#dispatcher.setAsideCount > 0;
  }

  lacksRoom(dispatchId: number): boolean {
    return this.#dispatcher.lacksRoom(dispatchId);
  }

  isHeld(offset: number): boolean {
    return this.#dispatcher.isHeld(offset);
  }

  /** Something may be deliverable. Cheap, and callable any number of times a turn. */
  wake(): void {
    if (this.#closed) return;
    this.#again = true;
    if (this.#pumping || this.#trouble.rests || this.#consumers.size === 0) return;
    this.#pumping = true;
    this.#turn.add(this);
  }

  /** By the turn that it was added to. Without a promise as long as all it needs is in memory. */
  pump(): void {
    try {
      if (this.#isAllAtHand && this.#pumpAtHand()) {
        this.#pumped();
        return;
      }
    } catch (cause) {
      this.#failed(cause as Error);
      this.#pumped();
      return;
    }
    void this.#pumpReading();
  }

  get #isAllAtHand(): boolean {
    return this.#step.assigned.length === 0 && !this.#trouble.isThere && !this.#setAside.isStale;
  }

  /** Hands out what is in memory. False when something has to be read first; what is assigned by then is unsent. */
  #pumpAtHand(): boolean {
    while (this.#again && !this.#closed) {
      this.#again = false;
      while (this.#mayStep) {
        const isReadOn = !this.#beginStep();
        if (!this.#step.findAtHand()) return false;
        const isAnySent = this.#step.assigned.length > 0;
        this.#send();
        if (isReadOn) {
          this.#again = true;
          return false;
        }
        if (!isAnySent) break;
        this.#waiting.answer();
      }
      this.#waiting.answer();
    }
    return true;
  }

  async #pumpReading(): Promise<void> {
    try {
      if (this.#step.assigned.length > 0 || this.#trouble.isThere) await this.#deliverUnsent();
      await this.#setAside.look();
      while (this.#again && !this.#closed) {
        this.#again = false;
        while (this.#mayStep && (await this.#stepReading())) this.#waiting.answer();
        this.#waiting.answer();
      }
    } catch (cause) {
      this.#failed(cause as Error);
    }
    this.#pumped();
  }

  #pumped(): void {
    this.#pumping = false;
    this.#passed.cursorAt(this.#cursor.offset);
    if (this.#consumers.size === 0) this.#cursor.rest();
    if (this.#again) this.wake();
    else this.#wakeWhenDue();
    this.#waiting.tellSoon();
    this.#setAside.tell(this.#turn);
    if (this.#cursor.isBehind) this.#lookAhead();
  }

  #lookAhead(): void {
    if (this.#closed || this.#consumers.size === 0) return;
    const { windowTotal } = this.#dispatcher;
    void this.#cursor.lookAhead(windowTotal)?.then(() => this.#lookAhead());
    this.#step.lookAhead(this.#cursor.ahead, this.#cursor.offset + 2 * windowTotal);
  }

  /** Records that nobody holds: beyond the cursor, or given back. */
  get #isAnyLeft(): boolean {
    return this.#cursor.isBehind || this.#dispatcher.redeliveryCount > 0;
  }

  get #mayStep(): boolean {
    return this.#isAnyLeft && this.#dispatcher.room() > 0 && !this.#isHeldUp();
  }

  /** Assigns and delivers once; true when there may be more to do. */
  async #stepReading(): Promise<boolean> {
    for (let isWhole = this.#beginStep(); !isWhole; isWhole = this.#assignAtHand()) {
      const { windowTotal } = this.#dispatcher;
      const row = await this.#cursor.readAhead(this.#dispatcher.room(), windowTotal, () => this.#withdrawn);
      if (row === undefined) break;
    }
    if (this.#step.assigned.length === 0) return false;
    await this.#readAndSend();
    return !this.#closed;
  }

  async #readAndSend(): Promise<void> {
    await this.#step.find(this.#cursor.ahead);
    while (this.#step.isStale) await this.#step.lookAgain();
    this.#send();
  }

  /** What a failed step had assigned. */
  async #deliverUnsent(): Promise<void> {
    this.#step.keepFor((dispatchId) => this.#consumers.has(dispatchId));
    if (this.#step.assigned.length > 0) {
      this.#withdrawn = undefined;
      await this.#readAndSend();
      this.#again = true;
    }
    this.#trouble.recovered();
  }

  #failed(cause: Error): void {
    if (this.#closed) return;
    this.#again = true;
    this.#trouble.failed(cause, () => this.wake());
  }

  /** What was given back comes first. False when rows have to be read for more. */
  #beginStep(): boolean {
    this.#withdrawn = undefined;
    this.#step.begin();
    if (this.#dispatcher.redeliveryCount > 0) this.#assignRedeliveries();
    return this.#dispatcher.room() === 0 || this.#step.isFull || this.#assignAtHand();
  }

  #assignRedeliveries(): void {
    const nowMs = this.#turn.monotonicMs();
    while (!this.#step.isFull) {
      const next = this.#dispatcher.nextRedelivery(nowMs);
      if (next === undefined) return;
      this.#step.assign(next.consumerId, next.ref, undefined);
      this.#counts.redeliveredFor(next.cause);
    }
  }

  /** Fresh records from the rows at hand. False when more have to be read to go on. */
  #assignAtHand(): boolean {
    const nowMs = this.#turn.monotonicMs();
    const step = this.#step;
    while (step.rows < DispatchStep.ROWS_MAX) {
      const row = this.#cursor.atHand();
      if (row === undefined) return !this.#cursor.isBehind;
      if (this.#mayBeHeld(row.entryIndex)) return true;
      for (let offset = row.nextLive(this.#cursor.offset); offset !== -1; offset = row.nextLive(offset + 1)) {
        if (step.isFull) return true;
        if (this.#passed.take(offset)) {
          this.#cursor.passRecord(row, offset);
          continue;
        }
        const sizeBytes = row.sizeBytesOf(offset);
        const ref = { offset, rowBase: row.base, deliveryCount: row.deliveryCountOf(offset), sizeBytes };
        const dispatchId = this.#dispatcher.offer(ref, nowMs);
        if (dispatchId <= 0) {
          if (dispatchId !== SET_ASIDE) return true;
          this.#cursor.passRecord(row, offset);
          continue;
        }
        if (ref.deliveryCount > 1) this.#counts.redeliveredFailover++;
        this.#cursor.passRecord(row, offset);
        step.assign(dispatchId, ref, row);
      }
      this.#cursor.passRow(row);
      step.rows++;
    }
    // Enough for one step: look on, even if all of these were settled already.
    this.#again = true;
    return true;
  }

  /** To their consumers, as far as they are to have them still. */
  #send(): void {
    const { assigned: all } = this.#step;
    // Closed during a read: its consumers were told, and what they are given now would look like a leader's word.
    if (all.length === 0 || this.#closed) return;
    const nowMs = this.#turn.nowMs();
    if (all.length === 1) {
      const [only] = all as [Assigned];
      const item = this.#itemOf(only, nowMs);
      if (item !== undefined) this.#consumers.get(only.dispatchId)?.deliver([item]);
    } else {
      const outgoing = new Map<number, DeliverItem[]>();
      for (const assigned of all) {
        const item = this.#itemOf(assigned, nowMs);
        if (item === undefined) continue;
        const items = outgoing.get(assigned.dispatchId);
        if (items === undefined) outgoing.set(assigned.dispatchId, [item]);
        else items.push(item);
      }
      for (const [dispatchId, items] of outgoing) this.#consumers.get(dispatchId)?.deliver(items);
    }
    this.#step.begin();
  }

  /** Undefined: nobody is to have it. */
  #itemOf({ dispatchId, ref, row, record }: Assigned, nowMs: number): DeliverItem | undefined {
    const { offset, rowBase, deliveryCount } = ref;
    if (!this.#consumers.has(dispatchId)) return undefined;
    if (row === undefined || record === undefined || !row.isLive(offset) || this.#withdrawn?.has(offset)) {
      // Purged, expired or superseded since it was assigned: its place is free again.
      this.#dispatcher.supersede(offset);
      this.#dispatcher.unassign(dispatchId, offset);
      this.#again = true;
      return undefined;
    }
    const expiresAtMs = row.expiresAtMsOf(offset);
    if (expiresAtMs !== 0 && expiresAtMs <= nowMs) {
      this.#dispatcher.unassign(dispatchId, offset);
      this.#settles.expired(this.queueId, rowBase, offset);
      this.#again = true;
      return undefined;
    }
    this.#counts.sent(deliveryCount, row.appendedAtMs, nowMs);
    return { offset, rowBase, deliveryCount, record };
  }

  /**
   * A record that rests after a rejection needs a wake-up, if somebody has a place for it; everything else is woken by
   * what happens.
   */
  #wakeWhenDue(): void {
    if (this.#dueTimer !== undefined) clearTimeout(this.#dueTimer);
    this.#dueTimer = undefined;
    if (this.#dispatcher.redeliveryCount === 0 || this.#dispatcher.room() === 0) return;
    const dueMs = this.#dispatcher.earliestDueMs();
    if (this.#closed || dueMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(1, dueMs - this.#clock.monotonicMs());
    this.#dueTimer = setTimeout(() => this.wake(), delayMs);
  }
}

/** The set is made by its first member. */
const including = (set: Set<number> | undefined, member: number): Set<number> => (set ?? new Set()).add(member);
