import type { ConsumerCredit } from './consumer-credit.ts';

/** Consumers that take records up to the same size. */
interface SizeClass {
  members: number;
  /** Whose window is not 0. */
  willing: number;
  /** With room. */
  open: number;
}

/**
 * Up to which size the consumers of a queue take records: how many by each limit, those without one among them (infinite). Who
 * takes a record could be found by asking every consumer; of ten thousand workers that is ten thousand steps whenever one has
 * answered. Limits are a setting of a fleet, so they are few.
 * @hotpath
 */
export class SizeLimits {
  readonly #classes = new Map<number, SizeClass>();
  /** Every consumer takes a record up to this size. */
  leastBytes = Number.POSITIVE_INFINITY;

  constructor(consumers: Iterable<ConsumerCredit>) {
    for (const consumer of consumers) this.join(consumer);
  }

  /** As its window and what it holds are now. */
  join(consumer: ConsumerCredit): void {
    const limit = consumer.recordBytesMax;
    let among = this.#classes.get(limit);
    if (among === undefined) {
      among = { members: 0, willing: 0, open: 0 };
      this.#classes.set(limit, among);
      if (limit < this.leastBytes) this.leastBytes = limit;
    }
    among.members++;
    if (consumer.window > 0) among.willing++;
    if (consumer.room > 0) among.open++;
  }

  /** Its window, its limit and what it holds are what they were. */
  leave(consumer: ConsumerCredit): void {
    const among = this.#of(consumer);
    if (consumer.window > 0) among.willing--;
    if (consumer.room > 0) among.open--;
    if (--among.members > 0) return;
    this.#classes.delete(consumer.recordBytesMax);
    this.leastBytes = Number.POSITIVE_INFINITY;
    for (const limit of this.#classes.keys()) if (limit < this.leastBytes) this.leastBytes = limit;
  }

  /** What it holds is another number now. */
  changed(consumer: ConsumerCredit, hadRoom: boolean): void {
    const hasRoom = consumer.room > 0;
    if (hasRoom !== hadRoom) this.#of(consumer).open += hasRoom ? 1 : -1;
  }

  /** The largest record that somebody with room takes; 0: nobody has room. */
  get mostOpenBytes(): number {
    let most = 0;
    for (const [limit, { open }] of this.#classes) if (open > 0 && limit > most) most = limit;
    return most;
  }

  /** The largest record that anybody takes, with room or without. */
  get mostBytes(): number {
    let most = 0;
    for (const limit of this.#classes.keys()) if (limit > most) most = limit;
    return most;
  }

  /** Consumers with a window that take a record of this size. */
  willingFor(sizeBytes: number): number {
    let count = 0;
    for (const [limit, { willing }] of this.#classes) if (limit >= sizeBytes) count += willing;
    return count;
  }

  #of(consumer: ConsumerCredit): SizeClass {
    return this.#classes.get(consumer.recordBytesMax) as SizeClass;
  }
}
