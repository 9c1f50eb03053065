import { assert } from '@sluice/common/assert';
import type { RowAccess } from '@sluice/multiraft/group-machine';
import { encodeCommand } from '@sluice/queue/machine/command/command-codec';
import type { Effect } from '@sluice/queue/machine/effects';
import type { QueueMachine } from '@sluice/queue/machine/queue-machine';
import type { StreamHost } from '@sluice/queue/session/streams';

/**
 * What the sessions of a partition may do to its queues, within the entry that is being applied: begin and end those that
 * are their streams. They begin by the queue machine's own command, 64 with an entry at most. 128 end with one, or all that
 * a session has, if its end does not say that it is to go in portions.
 */
export class StreamQueues implements StreamHost {
  readonly #queues: QueueMachine;
  #entry: Applied | undefined;

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
    const { index, rows, effects } = this.#applied;
    const command = encodeCommand({ type: 'configure-queue', config: { ...config, overflow: 'drop_oldest' } });
    this.#queues.apply(index, command, rows, effects);
  }

  end(streamId: number): void {
    this.#queues.removeQueue(streamId, this.#applied.effects);
  }

  tailOf(streamId: number): number {
    const queue = this.#queues.queue(streamId);
    assert(queue !== undefined, 'a stream that sessions read is a queue');
    return queue.tail;
  }

  get #applied(): Applied {
    assert(this.#entry !== undefined, 'streams begin and end while an entry is applied');
    return this.#entry;
  }
}

interface Applied {
  index: number;
  rows: RowAccess;
  effects: Effect[];
}
