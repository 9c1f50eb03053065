import type { DispatchStrategyName } from '@sluice/queue/dispatch/dispatcher';

interface NaiveConsumer {
  id: number;
  joined: number;
  window: number;
  /** The largest record it takes. */
  limit: number;
  held: NaiveRecord[];
}

export interface NaiveRecord {
  offset: number;
  count: number;
  size: number;
  /** No consumer with room took it. */
  aside: boolean;
  superseded: boolean;
  /** Who is passed over; undefined for nobody. */
  rejecter: NaiveConsumer | undefined;
  /** 'resting' until dueMs. */
  state: 'anybody' | 'others' | 'resting';
  dueMs: number;
}

/**
 * The same rules in arrays searched from end to end. It says who *may* get a record, and for the two strategies that
 * leave no choice, who must.
 */
export class NaiveDispatcher {
  consumers: NaiveConsumer[] = [];
  waiting: NaiveRecord[] = [];
  strategy: DispatchStrategyName;
  readonly #redeliveryMax: number;
  readonly #asideMax: number;
  readonly #intervalMs: number;
  #joins = 0;
  #lastServed = 0;

  constructor(strategy: DispatchStrategyName, intervalMs: number, redeliveryMax: number, asideMax = redeliveryMax) {
    this.#asideMax = asideMax;
    this.strategy = strategy;
    this.#intervalMs = intervalMs;
    this.#redeliveryMax = redeliveryMax;
  }

  attach(id: number, window: number, limit = Number.POSITIVE_INFINITY): void {
    this.consumers.push({ id, joined: ++this.#joins, window, limit, held: [] });
    this.#limitsChanged();
  }

  setLimit(id: number, limit: number): void {
    this.find(id).limit = limit;
    this.#limitsChanged();
  }

  #limitsChanged(): void {
    for (const record of this.waiting) {
      if (record.state !== 'resting' && this.#isLarge(record)) record.aside = true;
    }
  }

  find(id: number): NaiveConsumer {
    const consumer = this.consumers.find((each) => each.id === id);
    if (consumer === undefined) throw new Error(`the model has no consumer ${id}`);
    return consumer;
  }

  detach(id: number): NaiveRecord[] {
    const consumer = this.find(id);
    this.consumers = this.consumers.filter((each) => each !== consumer);
    for (const record of this.waiting) {
      if (record.state === 'others' && record.rejecter === consumer) record.state = 'anybody';
    }
    const returned = consumer.held.filter((record) => !record.superseded).sort((a, b) => a.offset - b.offset);
    for (const record of returned) {
      record.count++;
      this.#wait(record, 'anybody', undefined);
    }
    return returned;
  }

  reject(id: number, offset: number, nowMs: number): void {
    const consumer = this.find(id);
    const record = this.settle(id, offset);
    if (record.superseded) return;
    record.count++;
    record.rejecter = consumer;
    record.dueMs = nowMs + this.#intervalMs;
    this.#wait(record, this.#passesOver(consumer, record) ? 'others' : 'resting', consumer);
  }

  settle(id: number, offset: number): NaiveRecord {
    const consumer = this.find(id);
    const record = consumer.held.find((each) => each.offset === offset);
    if (record === undefined) throw new Error(`the model's consumer ${id} does not hold ${offset}`);
    consumer.held = consumer.held.filter((each) => each !== record);
    return record;
  }

  giveBack(id: number, offset: number): void {
    const record = this.settle(id, offset);
    if (!record.superseded) this.#wait(record, 'anybody', undefined);
  }

  tooLarge(id: number, offset: number): void {
    const { limit } = this.find(id);
    if (limit === Number.POSITIVE_INFINITY) return;
    const record = this.settle(id, offset);
    record.size = Math.max(record.size, limit + 1);
    if (!record.superseded) this.#wait(record, 'anybody', undefined);
  }

  #wait(record: NaiveRecord, state: NaiveRecord['state'], rejecter: NaiveConsumer | undefined): void {
    record.state = state;
    record.rejecter = rejecter;
    record.aside = state !== 'resting' && this.#isLarge(record);
    this.waiting.push(record);
  }

  supersede(offset: number): string {
    for (const consumer of this.consumers) {
      for (const record of consumer.held) {
        if (record.offset === offset) {
          record.superseded = true;
          return 'in-flight';
        }
      }
    }
    const left = this.waiting.filter((record) => record.offset !== offset);
    if (left.length === this.waiting.length) return 'unknown';
    this.waiting = left;
    return 'withdrawn';
  }

  /** Ids that may get the fresh record; empty for nobody, `aside` when it goes there. */
  mayTakeFresh(size = 0): number[] | 'aside' {
    if (this.#waitingForAll().length >= this.#redeliveryMax || this.#open().length === 0) return [];
    if (!this.#isLarge({ size })) return this.#choices(undefined, size);
    if (this.aside().length >= this.#asideMax) return [];
    const choices = this.#choices(undefined, size);
    return choices.length === 0 ? 'aside' : choices;
  }

  setAside(offset: number, size: number): void {
    const record = { offset, size, count: 1, superseded: false, dueMs: 0 };
    this.waiting.push({ ...record, aside: true, state: 'anybody', rejecter: undefined });
  }

  aside(): NaiveRecord[] {
    return this.waiting.filter(({ aside }) => aside).sort((a, b) => a.offset - b.offset);
  }

  #waitingForAll(): NaiveRecord[] {
    return this.waiting.filter(({ aside }) => !aside);
  }

  #isLarge({ size }: Pick<NaiveRecord, 'size'>): boolean {
    return this.consumers.some(({ limit }) => limit < size);
  }

  /** The record that must be redelivered now, and to whom it may go. */
  mayTakeRedelivery(nowMs: number): { record: NaiveRecord; ids: number[] } | undefined {
    const open = this.#open();
    if (open.length === 0) return undefined;
    this.#wakeResting(nowMs);
    const first = this.#waitingForAll().filter(({ state }) => state !== 'resting');
    const end = Math.min(Number.POSITIVE_INFINITY, ...first.map(({ offset }) => offset));
    return (
      this.#mayTakeAside(nowMs, end) ??
      this.#mayTakeWaiting(nowMs) ??
      this.#mayTakeAside(nowMs, Number.POSITIVE_INFINITY)
    );
  }

  #mayTakeWaiting(nowMs: number): { record: NaiveRecord; ids: number[] } | undefined {
    const open = this.#open();
    const only = open.length === 1 ? open[0] : undefined;
    let record = this.#lowestFor(only);
    if (only !== undefined && (this.#isAlone(only, 0) || (record === undefined && this.#isFull(0)))) {
      for (const each of this.#waitingForAll()) {
        if (each.state === 'others' && each.rejecter === only) {
          each.state = 'resting';
          each.rejecter = undefined;
        }
      }
      this.#wakeResting(nowMs);
      record = this.#lowestFor(only);
    }
    if (record === undefined) return undefined;
    return { record, ids: this.#choices(record.state === 'others' ? record.rejecter : undefined, record.size) };
  }

  #mayTakeAside(nowMs: number, end: number): { record: NaiveRecord; ids: number[] } | undefined {
    const most = Math.max(0, ...this.#open().map(({ limit }) => limit));
    for (const record of this.aside()) {
      if (record.offset >= end || record.size > most) continue;
      if (record.rejecter !== undefined && !this.#passesOver(record.rejecter, record)) {
        record.rejecter = undefined;
        if (record.dueMs > nowMs) {
          record.state = 'resting';
          record.aside = false;
          continue;
        }
      }
      const ids = this.#choices(record.rejecter, record.size);
      if (ids.length > 0) return { record, ids };
    }
    return undefined;
  }

  give(id: number, record: NaiveRecord): void {
    const consumer = this.find(id);
    this.waiting = this.waiting.filter((each) => each !== record);
    record.rejecter = undefined;
    record.aside = false;
    consumer.held.push(record);
    this.#lastServed = consumer.joined;
  }

  /** It has the record already, whoever had it or waited with it here. */
  take(id: number, offset: number, count: number): void {
    const everywhere = [...this.waiting, ...this.consumers.flatMap(({ held }) => held)];
    const known = everywhere.find((each) => each.offset === offset);
    this.waiting = this.waiting.filter((each) => each !== known);
    for (const consumer of this.consumers) consumer.held = consumer.held.filter((each) => each !== known);
    const fresh: NaiveRecord = {
      offset,
      count,
      size: 100,
      aside: false,
      superseded: false,
      rejecter: undefined,
      state: 'anybody',
      dueMs: 0,
    };
    const record = known ?? fresh;
    record.rejecter = undefined;
    record.aside = false;
    this.find(id).held.push(record);
  }

  holderOf(offset: number): number | undefined {
    for (const { id, held } of this.consumers) if (held.some((each) => each.offset === offset)) return id;
    return this.waiting.some((each) => each.offset === offset) ? 0 : undefined;
  }

  #isFull(size: number): boolean {
    if (this.#isLarge({ size })) return this.aside().length >= this.#asideMax;
    return this.#waitingForAll().length >= this.#redeliveryMax;
  }

  #isAlone(consumer: NaiveConsumer, size: number): boolean {
    return !this.consumers.some((each) => each !== consumer && each.window > 0 && each.limit >= size);
  }

  #passesOver(rejecter: NaiveConsumer, { size }: NaiveRecord): boolean {
    return this.consumers.includes(rejecter) && !this.#isAlone(rejecter, size) && !this.#isFull(size);
  }

  #open(): NaiveConsumer[] {
    return this.consumers.filter((consumer) => consumer.held.length < consumer.window);
  }

  #wakeResting(nowMs: number): void {
    const due = this.waiting.filter((record) => record.state === 'resting' && record.dueMs <= nowMs);
    due.sort((a, b) => a.dueMs - b.dueMs || a.offset - b.offset);
    // One after the other: whether the queue is full is asked while the record itself is out of it.
    for (const record of due) {
      this.waiting = this.waiting.filter((each) => each !== record);
      const others = record.rejecter !== undefined && this.#passesOver(record.rejecter, record);
      this.#wait(record, others ? 'others' : 'anybody', others ? record.rejecter : undefined);
    }
  }

  #lowestFor(only: NaiveConsumer | undefined): NaiveRecord | undefined {
    return this.#waitingForAll()
      .filter((record) => record.state === 'anybody' || (record.state === 'others' && record.rejecter !== only))
      .sort((a, b) => a.offset - b.offset)[0];
  }

  #choices(passedOver: NaiveConsumer | undefined, size: number): number[] {
    let open = this.#open().filter((consumer) => consumer !== passedOver && consumer.limit >= size);
    if (this.strategy === 'random' || open.length === 0) return open.map((consumer) => consumer.id);
    if (this.strategy === 'least_inflight') {
      const least = Math.min(...open.map((consumer) => consumer.held.length));
      open = open.filter((consumer) => consumer.held.length === least);
    }
    const next = open.find((consumer) => consumer.joined > this.#lastServed) ?? open[0];
    return next === undefined ? [] : [next.id];
  }
}
