import type { QueueState } from '@sluice/queue/machine/queue-state';
import { RecordCursor } from '@sluice/queue/record/record-cursor';
import { isStream } from '@sluice/queue/session/stream-id';

/**
 * Whether the bytes of an entry that was just written are kept for the deliveries from it.
 *
 * Keeping each of them is right while consumers keep up. Of a queue that is further behind than memory holds, every new entry
 * pushes out one that is wanted earlier, and is itself pushed out before its turn: until then it is memory to mark and to give
 * back, for nothing. So it is not kept when all queues in it are that far behind; as each catches up, what comes is kept again, and
 * what lies between is read.
 *
 * Sessions read streams each at its own place, and the values of keys are asked for out of order: those are always kept.
 * @hotpath
 */
export class EntryDemand {
  readonly #queues: DemandQueues;
  readonly #bytesMax: number;
  readonly #cursor = new RecordCursor();

  /** `bytesMax`: of entries in memory. */
  constructor(queues: DemandQueues, bytesMax: number) {
    this.#queues = queues;
    this.#bytesMax = bytesMax;
  }

  /** `batch` is applied. One queue that is near decides, mostly the first. */
  isWanted(batch: Uint8Array): boolean {
    const cursor = this.#cursor;
    cursor.reset(batch);
    let far = 0;
    while (cursor.next()) {
      while (cursor.nextTarget()) {
        const { queueId } = cursor;
        if (queueId === far) continue;
        if (this.#isNear(queueId)) return true;
        far = queueId;
      }
    }
    return false;
  }

  #isNear(queueId: number): boolean {
    if (isStream(queueId)) return true;
    const queue = this.#queues.state(queueId);
    if (queue === undefined || queue.isLastValue || queue.depthBytes <= this.#bytesMax) return true;
    const behind = queue.tail - (this.#queues.nextOffset(queueId) ?? queue.head);
    return (behind / queue.depth) * queue.depthBytes <= this.#bytesMax;
  }
}

export interface DemandQueues {
  /** As of the entry that was applied last. */
  state(queueId: number): QueueState | undefined;
  /** The first that was handed to nobody yet; undefined when nothing is handed out. */
  nextOffset(queueId: number): number | undefined;
}
