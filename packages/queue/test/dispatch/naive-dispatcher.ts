import type { DispatchStrategyName } from '@sluice/queue/dispatch/dispatcher';

interface NaiveConsumer {
  id: number;
  joined: number;
  window: number;
  held: NaiveRecord[];
}

export interface NaiveRecord {
  offset: number;
  count: number;
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
  readonly #intervalMs: number;
  #joins = 0;
  #lastServed = 0;

  constructor(strategy: DispatchStrategyName, intervalMs: number, redeliveryMax: number) {
    this.strategy = strategy;
    this.#intervalMs = intervalMs;
    this.#redeliveryMax = redeliveryMax;
  }

  attach(id: number, window: number): void {
    this.consumers.push({ id, joined: ++this.#joins, window, held: [] });
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
      record.state = 'anybody';
      record.rejecter = undefined;
      this.waiting.push(record);
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
    record.state = this.#passesOver(consumer) ? 'others' : 'resting';
    this.waiting.push(record);
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
    if (record.superseded) return;
    record.state = 'anybody';
    record.rejecter = undefined;
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

  /** Ids that may get the fresh record; empty for nobody. */
  mayTakeFresh(): number[] {
    return this.waiting.length >= this.#redeliveryMax ? [] : this.#choices(undefined);
  }

  /** The record that must be redelivered now, and to whom it may go. */
  mayTakeRedelivery(nowMs: number): { record: NaiveRecord; ids: number[] } | undefined {
    const open = this.#open();
    if (open.length === 0) return undefined;
    this.#wakeResting(nowMs);
    const only = open.length === 1 ? open[0] : undefined;
    let record = this.#lowestFor(only);
    if (only !== undefined && (this.#isAlone(only) || (record === undefined && this.#isFull()))) {
      for (const each of this.waiting) {
        if (each.state === 'others' && each.rejecter === only) {
          each.state = 'resting';
          each.rejecter = undefined;
        }
      }
      this.#wakeResting(nowMs);
      record = this.#lowestFor(only);
    }
    if (record === undefined) return undefined;
    return { record, ids: this.#choices(record.state === 'others' ? record.rejecter : undefined) };
  }

  give(id: number, record: NaiveRecord): void {
    const consumer = this.find(id);
    this.waiting = this.waiting.filter((each) => each !== record);
    record.rejecter = undefined;
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
      superseded: false,
      rejecter: undefined,
      state: 'anybody',
      dueMs: 0,
    };
    const record = known ?? fresh;
    record.rejecter = undefined;
    this.find(id).held.push(record);
  }

  holderOf(offset: number): number | undefined {
    for (const { id, held } of this.consumers) if (held.some((each) => each.offset === offset)) return id;
    return this.waiting.some((each) => each.offset === offset) ? 0 : undefined;
  }

  #isFull(): boolean {
    return this.waiting.length >= this.#redeliveryMax;
  }

  #isAlone(consumer: NaiveConsumer): boolean {
    return !this.consumers.some((each) => each !== consumer && each.window > 0);
  }

  #passesOver(rejecter: NaiveConsumer): boolean {
    return this.consumers.includes(rejecter) && !this.#isAlone(rejecter) && !this.#isFull();
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
      const others = record.rejecter !== undefined && this.#passesOver(record.rejecter);
      record.state = others ? 'others' : 'anybody';
      if (!others) record.rejecter = undefined;
      this.waiting.push(record);
    }
  }

  #lowestFor(only: NaiveConsumer | undefined): NaiveRecord | undefined {
    return this.waiting
      .filter((record) => record.state === 'anybody' || (record.state === 'others' && record.rejecter !== only))
      .sort((a, b) => a.offset - b.offset)[0];
  }

  #choices(passedOver: NaiveConsumer | undefined): number[] {
    let open = this.#open().filter((consumer) => consumer !== passedOver);
    if (this.strategy === 'random' || open.length === 0) return open.map((consumer) => consumer.id);
    if (this.strategy === 'least_inflight') {
      const least = Math.min(...open.map((consumer) => consumer.held.length));
      open = open.filter((consumer) => consumer.held.length === least);
    }
    const next = open.find((consumer) => consumer.joined > this.#lastServed) ?? open[0];
    return next === undefined ? [] : [next.id];
  }
}
