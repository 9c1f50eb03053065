import { Histogram, WORK_SECONDS_BOUNDS } from '@sluice/common/metrics';
import type { ReturnCause } from '@sluice/queue/dispatch/dispatcher';

/**
 * What one partition's leader counts of a queue's deliveries. Plain numbers: a message costs a few additions and nothing
 * to collect. They belong to this process and outlive its leadership: when that comes back they go on where they were, so
 * that no series of a node ever goes back while the node runs. About a kilobyte for each queue that had a consumer here.
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
  /** From the append until the first delivery. */
  readonly waitSeconds = new Histogram(WORK_SECONDS_BOUNDS);
  /** From a delivery until its acknowledgement. */
  readonly processingSeconds = new Histogram(WORK_SECONDS_BOUNDS);

  get redelivered(): number {
    return this.redeliveredRejected + this.redeliveredDetached + this.redeliveredFailover;
  }

  redeliveredFor(cause: ReturnCause): void {
    if (cause === 'rejected') this.redeliveredRejected++;
    else this.redeliveredDetached++;
  }

  /** Handed to a consumer. By the wall clock, which appends are stamped with too: a clock that went back counts as no wait. */
  sent(deliveryCount: number, appendedAtMs: number, nowMs: number): void {
    this.delivered++;
    if (deliveryCount === 1) this.waitSeconds.observe(Math.max(0, nowMs - appendedAtMs) / 1000);
  }

  /** Acknowledged by who held it since then. */
  accepted(heldSinceMs: number, nowMs: number): void {
    this.processingSeconds.observe((nowMs - heldSinceMs) / 1000);
  }
}
