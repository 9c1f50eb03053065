import type { BatchOrigin } from '../record/batch-origin.ts';
import { applyAppend } from './apply/apply-append.ts';
import { applyConfigure, applyRemove, removeQueue } from './apply/apply-config.ts';
import { applyDrop } from './apply/apply-drop.ts';
import { applyForget } from './apply/apply-forget.ts';
import type { ApplyReply } from './apply/apply-reply.ts';
import { NOTED } from './apply/apply-reply.ts';
import { applySettle } from './apply/apply-settle.ts';
import { furtherRows, neededRows } from './apply/prefetch.ts';
import {
  assertCommandKnown,
  COMMAND_HEADER_BYTES,
  CommandKind,
  commandMalformed,
  stampOf,
} from './command/command-header.ts';
import type { Effect } from './effects.ts';
import { MachineState } from './machine-state.ts';
import type { QueueState } from './queue-state.ts';
import { decodeMachineRow, encodeMachineRow } from './row/machine-row.ts';
import { decodeProducerRow } from './row/producer-row.ts';
import { decodeQueueRow, encodeQueueRow } from './row/queue-row.ts';
import { machineRowKey, queueRowKeyOnce, RowTable, tableOf } from './row/row-keys.ts';
import type { Rows, WantRow } from './row/rows.ts';

/**
 * The replicated machine of one partition: every queue that lives in it. A million messages in memory on each replica
 * would be the obvious answer and the wrong one; resident are only the states of the queues, and the rows that a batch
 * of entries needs are fetched for the whole batch before. The order of one batch is that of the host's machine
 * contract: `neededRows`, `furtherRows`, `apply` once an entry, `flush`.
 *
 * An exception out of `apply` means that state and rows of this batch are worthless: the host stops the partition,
 * writes nothing and, once the reason is gone, restores.
 */
export class QueueMachine {
  readonly #state: MachineState;

  private constructor(state: MachineState) {
    this.#state = state;
  }

  /** From the rows of queues, producers and the machine, as an engine or a snapshot holds them; other rows are passed over. */
  static restore(rows: Iterable<{ key: Uint8Array; value: Uint8Array }>): QueueMachine {
    const state = new MachineState();
    for (const { key, value } of rows) {
      const table = tableOf(key);
      if (table === RowTable.MACHINE) {
        const { version, nowMs, removalEpoch } = decodeMachineRow(value);
        state.nowMs = nowMs;
        state.version = Math.max(state.version, version);
        state.removalEpoch = removalEpoch;
      } else if (table === RowTable.QUEUE) {
        const queue = decodeQueueRow(value);
        state.queues.set(queue.queueId, queue);
        state.account(queue);
      } else if (table === RowTable.PRODUCER) {
        state.producers.restore(decodeProducerRow(key, value));
      }
    }
    return new QueueMachine(state);
  }

  /**
   * The rows that the commands name.
   * @throws SluiceError for a command that cannot be read, as `apply` would.
   */
  neededRows(commands: readonly Uint8Array[], want: WantRow): void {
    neededRows(this.#state, commands, want);
  }

  /** The rows that those point to; to be fetched as well before the first `apply`. */
  furtherRows(commands: readonly Uint8Array[], rows: Pick<Rows, 'get'>, want: WantRow): void {
    furtherRows(this.#state, commands, rows, want);
  }

  /** @throws SluiceError for a command of a newer release or one that cannot be read: the partition must stop. */
  apply(index: number, data: Uint8Array, rows: Rows, effects: Effect[]): ApplyReply {
    assertCommandKnown(data);
    this.advance(stampOf(data));
    const reply = this.#apply(index, data, rows, effects);
    this.#state.releases.flush(rows, effects);
    return reply;
  }

  #apply(index: number, data: Uint8Array, rows: Rows, effects: Effect[]): ApplyReply {
    const state = this.#state;
    switch (data[0]) {
      case CommandKind.RECORD_BATCH:
        return applyAppend(state, index, data, rows, effects);
      case CommandKind.SETTLE:
        return applySettle(state, data, rows, effects);
      case CommandKind.CONFIGURE_QUEUE:
        return applyConfigure(state, data, effects);
      case CommandKind.DROP_ROWS:
        return applyDrop(state, data, rows, effects);
      case CommandKind.REMOVE_QUEUE:
      case CommandKind.REMOVE_QUEUE_AS_OF:
        return applyRemove(state, data, effects);
      case CommandKind.FORGET_PUBLISHERS:
        return applyForget(data, rows);
      default:
        if (data.length !== COMMAND_HEADER_BYTES) throw commandMalformed('a time command is nothing but its header');
        return NOTED;
    }
  }

  /** As the command does, from within another tenant's: a session that ends may end a thousand streams. */
  removeQueue(queueId: number, effects: Effect[]): void {
    removeQueue(this.#state, queueId, effects);
  }

  /** A command was stamped: of any tenant of the partition, which has one time. A clock that went back changes nothing. */
  advance(stampMs: number): void {
    if (stampMs <= this.#state.nowMs) return;
    this.#state.nowMs = stampMs;
    this.#state.isMachineDirty = true;
  }

  /** A command was applied that a build of a machine version before this does not know. */
  need(version: number): void {
    this.#state.need(version);
  }

  /** Writes the queues and producers that changed and the time, once a batch of entries. */
  flush(rows: Rows): void {
    const state = this.#state;
    for (let queue = state.dirty.pop(); queue !== undefined; queue = state.dirty.pop()) {
      queue.isDirty = false;
      state.account(queue);
      const key = queueRowKeyOnce(queue.queueId);
      if (state.queues.get(queue.queueId) === queue) rows.save(key, encodeQueueRow(queue), queue);
      else if (!state.queues.has(queue.queueId)) rows.save(key, undefined);
    }
    state.producers.flush(rows);
    if (state.isMachineDirty) rows.save(machineRowKey(), encodeMachineRow(state), state.machineRow);
    state.isMachineDirty = false;
  }

  /**
   * What applying the batch now would answer instead of storing it; undefined: it would be stored. What it says of a
   * batch that was stored is true for ever, and on whatever replica.
   */
  foresee(origin: BatchOrigin): ApplyReply | undefined {
    return this.#state.producers.foresee(origin);
  }

  /** The partition's time: the highest stamp applied. */
  get nowMs(): number {
    return this.#state.nowMs;
  }

  /**
   * Who knows an image of the cluster of an epoch before this makes no queue by it: what the image has and this has not was
   * removed. 0 when no removal named one.
   */
  get removalEpoch(): number {
    return this.#state.removalEpoch;
  }

  queue(queueId: number): Readonly<QueueState> | undefined {
    return this.#state.queues.get(queueId);
  }

  queues(): IterableIterator<Readonly<QueueState>> {
    return this.#state.queues.values();
  }

  get queueCount(): number {
    return this.#state.queues.size;
  }

  /** Queues with live records, as of the last flush: of a hundred thousand queues those that anything is to be done for. */
  filledQueues(): IterableIterator<Readonly<QueueState>> {
    return this.#state.filledQueues();
  }

  /** Live records over all queues, as of the last flush. */
  get depth(): number {
    return this.#state.depth;
  }
}
