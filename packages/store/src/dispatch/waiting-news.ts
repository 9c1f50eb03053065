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
  /** Told that records wait for their credit, while there is some for those of any size. Undefined: nobody. */
  #waitsAlone: Set<number> | undefined;
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
    this.#waitsAlone?.delete(dispatchId);
  }

  /** All that was assigned before has been sent. */
  answer(): void {
    const dispatchIds = this.#toAnswer;
    if (dispatchIds === undefined || this.#queue.isClosed) return;
    this.#toAnswer = undefined;
    for (const dispatchId of dispatchIds) this.#queue.consumer(dispatchId)?.waiting(this.#saidTo(dispatchId));
  }

  tellSoon(): void {
    if (!this.isWanted || this.#isTellScheduled) return;
    const isSame = this.#waits === this.#queue.waitsForCredit;
    if (isSame && this.#waitsAlone === undefined && !this.#queue.hasSetAside) return;
    this.#isTellScheduled = true;
    setImmediate(() => this.#tell());
  }

  #tell(): void {
    this.#isTellScheduled = false;
    const waits = this.#queue.waitsForCredit;
    if (this.#queue.isClosed) return;
    if (this.#waitsAlone !== undefined || this.#queue.hasSetAside) {
      this.#tellEach(waits);
      return;
    }
    if (waits === this.#waits) return;
    this.#waits = waits;
    for (const consumer of this.#queue.consumers()) consumer.waiting(waits);
  }

  /** What was set aside for its size waits for the credit of those that take it, not of the others. */
  #tellEach(waits: boolean): void {
    const alone = new Set<number>();
    for (const consumer of this.#queue.consumers()) {
      const { dispatchId } = consumer;
      const now = waits || this.#queue.lacksRoom(dispatchId);
      if (now && !waits) alone.add(dispatchId);
      if (now !== this.#saidTo(dispatchId)) consumer.waiting(now);
    }
    this.#waits = waits;
    this.#waitsAlone = alone.size === 0 ? undefined : alone;
  }

  #saidTo(dispatchId: number): boolean {
    return this.#waits || this.#waitsAlone?.has(dispatchId) === true;
  }
}

export interface WaitingQueue {
  readonly isClosed: boolean;
  /** True may turn out to be wrong: what is left may be superseded. With credit the next step finds out. */
  readonly waitsForCredit: boolean;
  /** Some records are too large for the consumers with credit. */
  readonly hasSetAside: boolean;
  /** Of those, one is for this consumer, which has none. */
  lacksRoom(dispatchId: number): boolean;
  consumer(dispatchId: number): DispatchConsumer | undefined;
  consumers(): Iterable<DispatchConsumer>;
}
