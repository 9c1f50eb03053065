import type { ConsumingLink } from './driver.ts';
import type { LatencySketch } from './latency-sketch.ts';
import { nowUs } from './monotonic-clock.ts';
import { type AudienceLedger, type LatestLedger, OrderWatch } from './sequence-ledger.ts';
import { Stamp } from './stamp.ts';

export interface InboxOptions {
  run: number;
  /** How long this worker takes for a message, one after the other; 0: it is done when it has come. */
  workMs: number;
  /** Messages of a publisher are in order within each of so many keys. */
  orderedKeys: number;
}

/**
 * One consumer: checks what comes, measures how long it took, and says when it may be acknowledged. A slow worker
 * works on one message after the other, and acknowledges each when it is done.
 *
 * @hotpath
 */
export class Inbox {
  readonly #run: number;
  readonly #workUs: number;
  readonly #ledger: AudienceLedger;
  readonly #latest: LatestLedger | undefined;
  readonly #sketch: LatencySketch;
  readonly #order: OrderWatch;
  readonly #stamp: Stamp;
  #link: ConsumingLink | undefined;
  #received: number;
  /** What the worker has and has not done, oldest first; never more than the prefetch. */
  #tags: number[];
  #doneUs: number[];

  constructor(options: InboxOptions, ledger: AudienceLedger, sketch: LatencySketch, latest?: LatestLedger) {
    this.#run = options.run;
    this.#workUs = options.workMs * 1000;
    this.#ledger = ledger;
    this.#latest = latest;
    this.#sketch = sketch;
    this.#order = new OrderWatch(options.orderedKeys);
    this.#stamp = new Stamp();
    this.#link = undefined;
    this.#received = 0;
    this.#tags = [];
    this.#doneUs = [];
  }

  /** Messages that came, also those that came again. */
  get received(): number {
    return this.#received;
  }

  /** A driver tells it before its first message. */
  attach(link: ConsumingLink): void {
    this.#link = link;
  }

  /** `isAgain`: the broker says that somebody may have had it before. */
  take(payload: Uint8Array, tag: number, isAgain: boolean): void {
    this.#received++;
    const now = nowUs();
    const stamp = this.#stamp;
    if (!stamp.read(payload, this.#run)) this.#ledger.noteForeign();
    else {
      const { publisher, sequence } = stamp;
      if (this.#latest !== undefined) this.#latest.note(publisher, sequence);
      const isFirst = this.#ledger.note(publisher, sequence);
      if (this.#order.isOutOfOrder(publisher, sequence, isFirst) && !isAgain && this.#latest === undefined) {
        this.#ledger.noteOutOfOrder();
      }
      if (isFirst) this.#sketch.add(now - stamp.dueUs);
    }
    if (this.#workUs === 0) this.#link?.acknowledge(tag);
    else this.#work(tag, now);
  }

  #work(tag: number, now: number): void {
    const busyUntilUs = this.#doneUs.at(-1) ?? 0;
    this.#tags.push(tag);
    this.#doneUs.push(Math.max(now, busyUntilUs) + this.#workUs);
  }

  /** A driver calls it after a chunk. */
  turnEnds(): void {
    if (this.#workUs === 0) this.#link?.flush();
  }

  /** Once a millisecond: what the worker has done since. */
  tick(): void {
    const now = nowUs();
    let isAny = false;
    while (this.#doneUs.length > 0 && (this.#doneUs[0] as number) <= now) {
      this.#doneUs.shift();
      this.#link?.acknowledge(this.#tags.shift() as number);
      isAny = true;
    }
    if (isAny) this.#link?.flush();
  }
}
