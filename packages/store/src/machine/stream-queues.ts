import { assert } from '@sluice/common/assert';
import type { RowAccess } from '@sluice/multiraft/group-machine';
import { encodeCommand } from '@sluice/queue/machine/command-codec';
import type { Effect } from '@sluice/queue/machine/effects';
import type { QueueMachine } from '@sluice/queue/machine/queue-machine';
import type { StreamHost } from '@sluice/queue/session/session-machine';

/**
 * What the sessions of a partition may do to its queues, within the entry that is being applied: begin and end those that
 * are their streams. Said in the queue machine's own commands, so that it needs no second way in.
 */
export class StreamQueues implements StreamHost {
  readonly #queues: QueueMachine;
  #entry: { index: number; rows: RowAccess; effects: Effect[] } | undefined;

  constructor(queues: QueueMachine) {
    this.#queues = queues;
  }

  within<T>(index: number, rows: RowAccess, effects: Effect[], apply: () => T): T {
    this.#entry = { index, rows, effects };
    const result = apply();
    this.#entry = undefined;
    return result;
  }

  begin(streamId: number, filter: string, countMax: number | null, bytesMax: number | null): void {
    const config = { queueId: streamId, version: 1, name: filter, isLastValue: false, countMax, bytesMax };
    this.#do(encodeCommand({ type: 'configure-queue', config: { ...config, overflow: 'drop_oldest' } }));
  }

  end(streamId: number): void {
    this.#do(encodeCommand({ type: 'remove-queue', queueId: streamId }));
  }

  tailOf(streamId: number): number {
    const queue = this.#queues.queue(streamId);
    assert(queue !== undefined, 'a stream that sessions read is a queue');
    return queue.tail;
  }

  #do(command: Uint8Array): void {
    assert(this.#entry !== undefined, 'streams begin and end while an entry is applied');
    const { index, rows, effects } = this.#entry;
    this.#queues.apply(index, command, rows, effects);
  }
}
