import type { Prng } from '@sluice/common/prng';
import type { ConsumerCredit } from './consumer-credit.ts';
import type { DispatchStrategy, DispatchStrategyName } from './dispatch-strategy.ts';
import { LeastInflightDispatch } from './least-inflight-dispatch.ts';
import { RandomDispatch } from './random-dispatch.ts';
import { RoundRobinDispatch } from './round-robin-dispatch.ts';

const SEATS_MIN = 16;

/**
 * Consumers in join order. A seat is never given to a later consumer, so "the next after the one served last" keeps its
 * meaning while consumers come and go. When the row is full it is packed, or doubled if most seats are taken: either
 * leaves half of it empty, so a join costs amortised O(1) seats.
 *
 * A consumer that is alone has every turn, by whatever strategy: that is made when a second one joins. Of ten thousand queues
 * with a worker each it would be as many trees of seats, each of them cold when its message comes.
 * @hotpath
 */
export class Seating {
  #seats: (ConsumerCredit | undefined)[] = new Array(SEATS_MIN).fill(undefined);
  /** Seats below it were given away. */
  #end = 0;
  #lastServed = -1;
  #taken = 0;
  #open = 0;
  #strategyName: DispatchStrategyName;
  /** Undefined while nobody, or one alone, is seated. */
  #strategy: DispatchStrategy | undefined = undefined;
  /** Who is alone. */
  #only: ConsumerCredit | undefined = undefined;
  readonly #prng: Prng;
  /** Seats that are closed for the length of one pick. */
  readonly #closed: ConsumerCredit[] = [];

  constructor(strategyName: DispatchStrategyName, prng: Prng) {
    this.#prng = prng;
    this.#strategyName = strategyName;
  }

  /** Consumers with room. */
  get open(): number {
    return this.#open;
  }

  setStrategy(strategyName: DispatchStrategyName): void {
    if (strategyName === this.#strategyName) return;
    this.#strategyName = strategyName;
    if (this.#strategy !== undefined) this.#fillStrategy();
  }

  join(consumer: ConsumerCredit): void {
    if (this.#end === this.#seats.length) this.#pack();
    consumer.seat = this.#end++;
    this.#seats[consumer.seat] = consumer;
    this.#taken++;
    if (consumer.room > 0) this.#open++;
    if (this.#taken === 1) this.#only = consumer;
    else if (this.#strategy === undefined) this.#fillStrategy();
    else if (consumer.room > 0) this.#strategy.open(consumer.seat, consumer.held);
  }

  leave(consumer: ConsumerCredit, hadRoom: boolean): void {
    if (hadRoom) this.#open--;
    this.#strategy?.close(consumer.seat);
    this.#seats[consumer.seat] = undefined;
    consumer.seat = -1;
    if (--this.#taken > 0) return;
    this.#strategy = undefined;
    this.#only = undefined;
  }

  /** Says that the consumer's window or what it holds changed. */
  changed(consumer: ConsumerCredit, hadRoom: boolean): void {
    if (consumer.room > 0) {
      if (!hadRoom) this.#open++;
      this.#strategy?.open(consumer.seat, consumer.held);
    } else if (hadRoom) {
      this.#open--;
      this.#strategy?.close(consumer.seat);
    }
  }

  /** Whose turn it is among those with room; the turn counts as taken. */
  pick(): ConsumerCredit | undefined {
    const seat = this.#pickSeat();
    if (seat === -1) return undefined;
    this.#lastServed = seat;
    return this.#strategy === undefined ? this.#only : this.#seats[seat];
  }

  /** The only consumer with room, its turn not taken. */
  onlyOpen(): ConsumerCredit {
    return this.#seats[this.#pickSeat()] as ConsumerCredit;
  }

  /** As `pick`, passing over one consumer. */
  pickOther(passedOver: ConsumerCredit): ConsumerCredit | undefined {
    if (passedOver.seat === -1 || passedOver.room === 0) return this.pick();
    if (this.#strategy === undefined) return undefined;
    this.#strategy.close(passedOver.seat);
    const picked = this.pick();
    this.#strategy.open(passedOver.seat, passedOver.held);
    return picked;
  }

  /** As `pickOther`, of those that take a record of this size. */
  pickFor(sizeBytes: number, passedOver: ConsumerCredit | undefined): ConsumerCredit | undefined {
    const strategy = this.#strategy;
    if (strategy === undefined) {
      const only = this.#only;
      return only !== undefined && only !== passedOver && only.recordBytesMax >= sizeBytes ? this.pick() : undefined;
    }
    const closed = this.#closed;
    let picked: ConsumerCredit | undefined;
    for (let seat = strategy.pick(this.#lastServed); seat !== -1; seat = strategy.pick(this.#lastServed)) {
      const consumer = this.#seats[seat] as ConsumerCredit;
      if (consumer !== passedOver && consumer.recordBytesMax >= sizeBytes) {
        this.#lastServed = seat;
        picked = consumer;
        break;
      }
      strategy.close(seat);
      closed.push(consumer);
    }
    for (let i = 0; i < closed.length; i++) {
      const { seat, held } = closed[i] as ConsumerCredit;
      strategy.open(seat, held);
    }
    closed.length = 0;
    return picked;
  }

  /** -1 when nobody has room. */
  #pickSeat(): number {
    if (this.#strategy !== undefined) return this.#strategy.pick(this.#lastServed);
    return this.#only !== undefined && this.#open > 0 ? this.#only.seat : -1;
  }

  #pack(): void {
    const old = this.#seats;
    const capacity = 2 * this.#taken > old.length ? 2 * old.length : old.length;
    this.#seats = new Array(capacity).fill(undefined);
    this.#end = 0;
    let lastServed = -1;
    for (let seat = 0; seat < old.length; seat++) {
      const consumer = old[seat];
      if (consumer !== undefined) {
        consumer.seat = this.#end;
        this.#seats[this.#end++] = consumer;
      }
      if (seat === this.#lastServed) lastServed = this.#end - 1;
    }
    this.#lastServed = lastServed;
    if (this.#strategy !== undefined) this.#fillStrategy();
  }

  #fillStrategy(): void {
    const strategy = this.#makeStrategy();
    for (let seat = 0; seat < this.#end; seat++) {
      const consumer = this.#seats[seat];
      if (consumer !== undefined && consumer.room > 0) strategy.open(seat, consumer.held);
    }
    this.#strategy = strategy;
    this.#only = undefined;
  }

  #makeStrategy(): DispatchStrategy {
    switch (this.#strategyName) {
      case 'random':
        return new RandomDispatch(this.#seats.length, this.#prng);
      case 'round_robin':
        return new RoundRobinDispatch(this.#seats.length);
      case 'least_inflight':
        return new LeastInflightDispatch(this.#seats.length);
    }
  }
}
