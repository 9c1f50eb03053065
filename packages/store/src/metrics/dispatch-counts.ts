import { Histogram, WORK_SECONDS_BOUNDS } from '@sluice/common/metrics';
import type { ReturnCause } from '@sluice/queue/dispatch/dispatcher';

/**
 * What one partition's leader counts of a queue's deliveries. Plain numbers: a message costs a few additions and nothing
 * to collect. They belong to this process and outlive its leadership: when that comes back they go on where they were, so
 * that no series of a node ever goes back while the node runs. Half a kilobyte for each queue that had a consumer here.
 *
 * Both histograms lie in one array, what a message touches side by side: of a thousand queues used in turn each message finds
 * its queue's figures cold, and two histograms with their buckets and sums would be ten places in memory.
 * @hotpath
 */
export class DispatchCounts {
  delivered = 0;
  /** A consumer began or ceased to draw from this partition. */
  rebalances = 0;
  redeliveredRejected = 0;
  redeliveredDetached = 0;
  /** Given back under a former leader, or by nobody who told this one. */
  redeliveredFailover = 0;
  /** Sum and count of waiting and of processing, then the buckets of both by turns. */
  readonly #seconds = new Float64Array(BUCKETS_AT + 2 * (WORK_SECONDS_BOUNDS.length + 1));

  /** From the append until the first delivery, as of now. */
  get waitSeconds(): Histogram {
    return this.#histogram(WAIT);
  }

  /** From a delivery until its acknowledgement, as of now. */
  get processingSeconds(): Histogram {
    return this.#histogram(PROCESSING);
  }

  /** Acknowledged, ever. */
  get acceptedCount(): number {
    return this.#seconds[COUNTS_AT + PROCESSING] as number;
  }

  get redelivered(): number {
    return this.redeliveredRejected + this.redeliveredDetached + this.redeliveredFailover;
  }

  /** What was assigned and not sent was counted then, if it had been handed out before. */
  redeliveredFor(cause: ReturnCause): void {
    if (cause === 'rejected') this.redeliveredRejected++;
    else if (cause === 'detached') this.redeliveredDetached++;
  }

  /** Handed to a consumer. By the wall clock, which appends are stamped with too: a clock that went back counts as no wait. */
  sent(deliveryCount: number, appendedAtMs: number, nowMs: number): void {
    this.delivered++;
    if (deliveryCount === 1) this.#observe(WAIT, Math.max(0, nowMs - appendedAtMs) / 1000);
  }

  /** Acknowledged by who held it since then. */
  accepted(heldSinceMs: number, nowMs: number): void {
    this.#observe(PROCESSING, (nowMs - heldSinceMs) / 1000);
  }

  /** As `Histogram.observe`. */
  #observe(which: Which, value: number): void {
    const seconds = this.#seconds;
    let i = 0;
    while (i < WORK_SECONDS_BOUNDS.length && value > (WORK_SECONDS_BOUNDS[i] as number)) i++;
    seconds[which] = (seconds[which] as number) + value;
    seconds[COUNTS_AT + which] = (seconds[COUNTS_AT + which] as number) + 1;
    const bucket = BUCKETS_AT + 2 * i + which;
    seconds[bucket] = (seconds[bucket] as number) + 1;
  }

  #histogram(which: Which): Histogram {
    const histogram = new Histogram(WORK_SECONDS_BOUNDS);
    histogram.sum = this.#seconds[which] as number;
    histogram.count = this.#seconds[COUNTS_AT + which] as number;
    for (let i = 0; i < histogram.counts.length; i++) {
      histogram.counts[i] = this.#seconds[BUCKETS_AT + 2 * i + which] as number;
    }
    return histogram;
  }
}

const WAIT = 0;
const PROCESSING = 1;
type Which = typeof WAIT | typeof PROCESSING;
const COUNTS_AT = 2;
const BUCKETS_AT = 4;
