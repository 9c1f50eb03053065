import type { DropReason, Overflow, QueueConfig } from './command/commands.ts';
import type { IndexRowBuilder } from './row/index-row-builder.ts';
import type { NamedRow } from './row/rows.ts';

/**
 * What stays resident of a queue in one partition, whatever its backlog: configuration, bounds and counters.
 * Always: depth = published - accepted - expired - overwritten - dropped, and the same for what is live in its rows.
 * Hosts read it and change nothing.
 */
export class QueueState implements NamedRow {
  readonly queueId: number;
  readonly isLastValue: boolean;
  /** An empty payload ends the value of its key. */
  readonly erasesEmpty: boolean;
  name: string;
  version: number;
  countMax: number | null;
  bytesMax: number | null;
  overflow: Overflow;
  /** Appends are refused, rows wait to be dropped; with the last of them the queue is gone. */
  isRemoved = false;

  /** No record before it is live. It is the first live one's row, or lower where rows ended out of order. */
  head = 0;
  /** The next offset. */
  tail = 0;
  /** Live records, and their bytes. */
  depth = 0;
  depthBytes = 0;
  /** Live keys of a last-value queue. */
  keyCount = 0;

  published = 0;
  publishedBytes = 0;
  accepted = 0;
  /** By message expiry. */
  expired = 0;
  /** Superseded by a newer value of their key. */
  overwritten = 0;
  /** By retention. */
  droppedExpired = 0;
  droppedPurged = 0;
  droppedOverflow = 0;
  droppedRemoved = 0;
  /** Records not taken, because the queue was full or removed. */
  refused = 0;
  returned = 0;
  /** Settlements of what was settled before: two leaders, or a repeated command. */
  stale = 0;

  /** Changed since the last flush. */
  isDirty = false;
  /** Its part of the sum over all queues, and whether it is among the filled ones (`machine-state`). */
  accountedDepth = 0;
  isListed = false;
  /** The host's, for its row. */
  rowName: string | undefined = undefined;
  /** The row of the batch that is being applied; never between two applies. */
  open: IndexRowBuilder | undefined = undefined;

  constructor(config: QueueConfig) {
    this.queueId = config.queueId;
    this.isLastValue = config.isLastValue;
    this.erasesEmpty = config.isLastValue && config.erasesEmpty === true;
    this.name = config.name;
    this.version = config.version;
    this.countMax = config.countMax;
    this.bytesMax = config.bytesMax;
    this.overflow = config.overflow;
  }

  get dropped(): number {
    return this.droppedExpired + this.droppedPurged + this.droppedOverflow + this.droppedRemoved;
  }

  get isOverLimit(): boolean {
    return (
      (this.countMax !== null && this.depth > this.countMax) ||
      (this.bytesMax !== null && this.depthBytes > this.bytesMax)
    );
  }

  /** Whether growth by that much would pass a limit. What does not grow is never too much. */
  wouldExceed(growthCount: number, growthBytes: number): boolean {
    return (
      (this.countMax !== null && growthCount > 0 && this.depth + growthCount > this.countMax) ||
      (this.bytesMax !== null && growthBytes > 0 && this.depthBytes + growthBytes > this.bytesMax)
    );
  }

  countDropped(reason: DropReason): void {
    if (reason === 'expired') this.droppedExpired++;
    else if (reason === 'purged') this.droppedPurged++;
    else if (reason === 'overflow') this.droppedOverflow++;
    else if (reason === 'passed') this.accepted++;
    else this.droppedRemoved++;
  }
}
