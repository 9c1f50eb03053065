import type { DispatchConsumer } from './dispatch-consumer.ts';

/**
 * What the consumers of a queue hear of whether its records wait for their credit. A gateway that draws from several
 * partitions moves credit by it to where it is wanted.
 *
 * With a window of one that changes with every message, twice, and a word each time would be two frames for each. So it
 * is looked at once a turn, however often the pump ran in it, and said only when it is another than was said last. A
 * window that a gateway asks about is answered at once: behind what was assigned under the window before it, and with
 * what was said last, true or not, since news would not be known as the answer.
 */
export class WaitingNews {
  readonly #queue: WaitingQueue;
  /** What consumers were told last. */
  #waits = false;
  #isTellScheduled = false;
  /** Sent a window and not answered yet. Made by the first, since most queues never have any. */
  #toAnswer: Set<number> | undefined;
  /** Consumers hear of it unasked. */
  isWanted: boolean;

  constructor(queue: WaitingQueue, isWanted: boolean) {
    this.#queue = queue;
    this.isWanted = isWanted;
  }

  get waits(): boolean {
    return this.#waits;
  }

  asked(dispatchId: number): void {
    this.#toAnswer ??= new Set();
    this.#toAnswer.add(dispatchId);
  }

  left(dispatchId: number): void {
    this.#toAnswer?.delete(dispatchId);
  }

  /** All that was assigned before has been sent. */
  answer(): void {
    const dispatchIds = this.#toAnswer;
    if (dispatchIds === undefined || this.#queue.isClosed) return;
    this.#toAnswer = undefined;
    for (const dispatchId of dispatchIds) this.#queue.consumer(dispatchId)?.waiting(this.#waits);
  }

  tellSoon(): void {
    if (!this.isWanted || this.#isTellScheduled || this.#waits === this.#queue.waitsForCredit) return;
    this.#isTellScheduled = true;
    setImmediate(() => this.#tell());
  }

  #tell(): void {
    this.#isTellScheduled = false;
    const waits = this.#queue.waitsForCredit;
    if (this.#queue.isClosed || waits === this.#waits) return;
    this.#waits = waits;
    for (const consumer of this.#queue.consumers()) consumer.waiting(waits);
  }
}

export interface WaitingQueue {
  readonly isClosed: boolean;
  /** True may turn out to be wrong: what is left may be superseded. With credit the next step finds out. */
  readonly waitsForCredit: boolean;
  consumer(dispatchId: number): DispatchConsumer | undefined;
  consumers(): Iterable<DispatchConsumer>;
}
