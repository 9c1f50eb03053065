import { RecordCursor } from '../record/record-cursor.ts';
import { EntryReleases } from './apply/entry-releases.ts';
import { Producers } from './apply/producers.ts';
import { SettleCursor } from './apply/settle-cursor.ts';
import type { QueueState } from './queue-state.ts';
import { IndexRowBuilder } from './row/index-row-builder.ts';
import type { NamedRow } from './row/rows.ts';
import { MACHINE_VERSION_FIRST, MACHINE_VERSION_OF_REMOVALS } from './versions.ts';

/** Everything of a partition that is resident, as the `apply-…` files share it. */
export class MachineState {
  readonly queues = new Map<number, QueueState>();
  readonly producers = new Producers();
  /** The partition's time: the highest stamp seen. */
  nowMs = 0;
  /** What it takes to go on with the rows. */
  version = MACHINE_VERSION_FIRST;
  /** The highest epoch that a removal named; 0 when none did. */
  removalEpoch = 0;
  isMachineDirty = false;
  /** Every command moves the time. */
  readonly machineRow: NamedRow = { rowName: undefined };
  /** Queues changed since the last flush; also those that are gone. */
  readonly dirty: QueueState[] = [];
  /** Live records over all queues, as of the last flush. */
  depth = 0;
  /** Those with live records, and those that had some when it was looked for them last: nobody walks all queues to find out. */
  readonly #filled = new Set<QueueState>();

  readonly records = new RecordCursor();
  readonly settlements = new SettleCursor();
  readonly releases = new EntryReleases();
  /** Queues with an open row in the batch that is being applied. */
  readonly touched: QueueState[] = [];
  readonly #spareBuilders: IndexRowBuilder[] = [];

  /** What it takes to go on with the rows is at least that. */
  need(version: number): void {
    if (version <= this.version) return;
    this.version = version;
    this.isMachineDirty = true;
  }

  noteRemoval(epoch: number): void {
    this.need(MACHINE_VERSION_OF_REMOVALS);
    if (epoch <= this.removalEpoch) return;
    this.removalEpoch = epoch;
    this.isMachineDirty = true;
  }

  markDirty(queue: QueueState): void {
    if (queue.isDirty) return;
    queue.isDirty = true;
    this.dirty.push(queue);
  }

  /** Brings what is known of all queues up to date with one that changed. */
  account(queue: QueueState): void {
    const isThere = this.queues.get(queue.queueId) === queue;
    const depth = isThere ? queue.depth : 0;
    this.depth += depth - queue.accountedDepth;
    queue.accountedDepth = depth;
    if (!isThere) this.#filled.delete(queue);
    else if (depth > 0 && !queue.isListed) {
      queue.isListed = true;
      this.#filled.add(queue);
    }
  }

  /** As of the last flush. One that was emptied leaves the list here: where consumers keep up each message empties its queue. */
  *filledQueues(): IterableIterator<QueueState> {
    for (const queue of this.#filled) {
      if (queue.accountedDepth > 0) yield queue;
      else {
        queue.isListed = false;
        this.#filled.delete(queue);
      }
    }
  }

  /** A removed queue whose last record is settled. */
  forget(queue: QueueState): void {
    this.markDirty(queue);
    this.queues.delete(queue.queueId);
  }

  /** The queue's row in this batch, begun if it was not. */
  open(queue: QueueState): IndexRowBuilder {
    if (queue.open !== undefined) return queue.open;
    const builder = this.#spareBuilders.pop() ?? new IndexRowBuilder();
    builder.reset(queue.tail);
    queue.open = builder;
    this.touched.push(queue);
    return builder;
  }

  closeAll(): void {
    for (let queue = this.touched.pop(); queue !== undefined; queue = this.touched.pop()) {
      const builder = queue.open;
      queue.open = undefined;
      if (builder === undefined || this.#spareBuilders.length >= SPARE_BUILDERS_MAX) continue;
      builder.reset(0);
      this.#spareBuilders.push(builder);
    }
  }
}

/** A batch touches few queues, or as many as it has records; beyond this number builders are left to the collector. */
const SPARE_BUILDERS_MAX = 256;
