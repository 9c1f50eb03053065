import { assert } from '@sluice/common/assert';
import { ConsumerCredit } from './consumer-credit.ts';
import type { InflightRecord } from './inflight.ts';
import type { Seating } from './seating.ts';
import { SizeLimits } from './size-limits.ts';

export interface ConsumerStatistics {
  consumerId: number;
  window: number;
  held: number;
  /** Since when it holds its oldest record, by the caller's clock; undefined when it holds none. */
  oldestHeldSinceMs: number | undefined;
}

/**
 * The consumers of one queue: what they have room for together, who of them is willing, and up to which size they take
 * records. Whatever changes a consumer's window or what it holds goes through here, so that the sums and the seats agree.
 * @hotpath
 */
export class Consumers {
  readonly #seating: Seating;
  readonly #bytesMax: number;
  readonly #byId = new Map<number, ConsumerCredit>();
  /** Undefined while every consumer takes records of any size. */
  #limits: SizeLimits | undefined = undefined;
  /** Every consumer takes a record up to this size. */
  takenByAllBytes = Number.POSITIVE_INFINITY;
  /** Free places over all. */
  room = 0;
  /** Whose window is not 0. */
  #willing = 0;

  constructor(seating: Seating, bytesMax: number) {
    this.#seating = seating;
    this.#bytesMax = bytesMax;
  }

  get(consumerId: number): ConsumerCredit | undefined {
    return this.#byId.get(consumerId);
  }

  get count(): number {
    return this.#byId.size;
  }

  attach(consumerId: number, window: number, recordBytesMax: number): void {
    assert(consumerId > 0, '0 stands for nobody');
    assert(!this.#byId.has(consumerId), 'attached twice, a consumer would have two windows');
    const consumer = new ConsumerCredit(consumerId, window, this.#bytesMax, recordBytesMax);
    this.#byId.set(consumerId, consumer);
    this.room += consumer.room;
    if (window > 0) this.#willing++;
    this.#seating.join(consumer);
    this.#joinLimits(consumer);
  }

  /** What it holds is its dispatcher's to give to others. */
  detach(consumer: ConsumerCredit): void {
    this.#leaveLimits(consumer);
    this.#byId.delete(consumer.consumerId);
    this.room -= consumer.room;
    if (consumer.window > 0) this.#willing--;
    this.#seating.leave(consumer, consumer.room > 0);
    consumer.attached = false;
  }

  setWindow(consumer: ConsumerCredit, window: number): void {
    const { room } = consumer;
    const limits = this.#limits;
    limits?.leave(consumer);
    if (consumer.window > 0) this.#willing--;
    if (window > 0) this.#willing++;
    consumer.window = window;
    this.room += consumer.room - room;
    this.#seating.changed(consumer, room > 0);
    limits?.join(consumer);
  }

  setRecordBytesMax(consumer: ConsumerCredit, recordBytesMax: number): void {
    this.#leaveLimits(consumer);
    consumer.recordBytesMax = recordBytesMax;
    this.#joinLimits(consumer);
  }

  hold(consumer: ConsumerCredit, record: InflightRecord, nowMs: number): void {
    const { room } = consumer;
    consumer.hold(record, nowMs);
    this.#changed(consumer, room);
  }

  release(record: InflightRecord): void {
    const consumer = record.holder as ConsumerCredit;
    const { room } = consumer;
    consumer.release(record);
    this.#changed(consumer, room);
  }

  /** Whose turn it is among those with room that take a record of this size, but for one. */
  pickFor(sizeBytes: number, passedOver: ConsumerCredit | undefined): ConsumerCredit | undefined {
    return this.mostOpenBytes < sizeBytes ? undefined : this.#seating.pickFor(sizeBytes, passedOver);
  }

  /** Nobody else is willing to take a record of this size. */
  isAlone(consumer: ConsumerCredit, sizeBytes: number): boolean {
    const willing = sizeBytes <= this.takenByAllBytes ? this.#willing : this.#limits?.willingFor(sizeBytes);
    return willing === (consumer.window > 0 && consumer.recordBytesMax >= sizeBytes ? 1 : 0);
  }

  /** The largest record that somebody with room takes; 0: nobody has room. */
  get mostOpenBytes(): number {
    if (this.#limits !== undefined) return this.#limits.mostOpenBytes;
    return this.#seating.open > 0 ? Number.POSITIVE_INFINITY : 0;
  }

  /** The largest record that anybody takes, with room or without. */
  get mostBytes(): number {
    return this.#limits === undefined ? Number.POSITIVE_INFINITY : this.#limits.mostBytes;
  }

  /** Records that they may hold together. */
  get windowTotal(): number {
    let total = 0;
    for (const { window } of this.#byId.values()) total += window;
    return total;
  }

  /** Since when somebody holds the record that is held the longest; Infinity when nobody holds any. */
  get oldestHeldSinceMs(): number {
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { oldest } of this.#byId.values()) {
      if (oldest !== undefined && oldest.heldSinceMs < oldestMs) oldestMs = oldest.heldSinceMs;
    }
    return oldestMs;
  }

  /** In join order. */
  *statistics(): IterableIterator<ConsumerStatistics> {
    for (const { consumerId, window, held, oldest } of this.#byId.values()) {
      yield { consumerId, window, held, oldestHeldSinceMs: oldest?.heldSinceMs };
    }
  }

  #changed(consumer: ConsumerCredit, roomBefore: number): void {
    this.room += consumer.room - roomBefore;
    this.#seating.changed(consumer, roomBefore > 0);
    if (this.#limits !== undefined) this.#limits.changed(consumer, roomBefore > 0);
  }

  #joinLimits(consumer: ConsumerCredit): void {
    if (this.#limits !== undefined) this.#limits.join(consumer);
    else if (consumer.recordBytesMax === Number.POSITIVE_INFINITY) return;
    else this.#limits = new SizeLimits(this.#byId.values());
    this.takenByAllBytes = this.#limits.leastBytes;
  }

  #leaveLimits(consumer: ConsumerCredit): void {
    if (this.#limits === undefined) return;
    this.#limits.leave(consumer);
    this.takenByAllBytes = this.#limits.leastBytes;
    if (this.takenByAllBytes === Number.POSITIVE_INFINITY) this.#limits = undefined;
  }
}
