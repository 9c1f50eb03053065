import { RecordCursor } from '@sluice/queue/record/record-cursor';

/** A queue, as far as the balance of its partition looks at it. */
export interface BalancedQueue {
  readonly queueId: number;
  /** Records that nobody has had yet. */
  readonly behind: number;
  /** With consumers, and not answered. */
  readonly held: number;
  /** Ever. */
  readonly accepted: number;
}

/**
 * When publishers of a queue hear that their records are committed: as fast as consumers take them, while those would take more.
 *
 * Answering at once is right as long as somebody else than this process is slow: a queue is there to take what workers cannot do
 * yet. But where consumers wait for us, whatever is taken in more than is handed out takes from them the processor, and a surge
 * leaves a backlog that is worked off beside what comes meanwhile. So answers wait for acceptances then, one record for one; the
 * windows of publishers do the rest. Nothing is refused, and what waits is committed.
 *
 * Who waits for whom is measured in passes of the event loop: consumers that have held a record for only a few of them when
 * they answer spend their time waiting for a pass. A worker that is slow has it for many; one that seems fast because
 * passes are long is found out at once: with answers held back passes become short. So no clock decides, and a worker that works
 * never slows a publisher.
 *
 * Bounds: `HELD_BYTES_MAX` for each partition, above which the oldest is answered; and an answer waits for no more than some
 * dozen passes without an acceptance.
 * @hotpath
 */
export class IntakeBalance {
  readonly #queues = new Map<number, Balanced>();
  readonly #cursor = new RecordCursor();
  #isScheduled = false;
  #heldBytes = 0;
  readonly #pass = (): void => this.#passed();

  /** Fewer are what any fast queue has behind for a moment, and what consumers get from memory. */
  static readonly BEHIND_MIN = 8_192;
  /** From being handed to a consumer until its answer. Gateways and stores of their own add two or three each way. */
  static readonly ROUND_TRIP_PASSES_MAX = 16;
  /** Over which acceptances are averaged. */
  static readonly AVERAGE_PASSES = 8;
  /** An eighth of what one gateway lets wait for answers. */
  static readonly HELD_BYTES_MAX = 8 * 1024 * 1024;

  /** It has something behind. Cheap, and callable any number of times. */
  look(queue: BalancedQueue): void {
    if (queue.behind < IntakeBalance.BEHIND_MIN || this.#queues.has(queue.queueId)) return;
    this.#queues.set(queue.queueId, new Balanced(queue));
    this.#schedule();
  }

  /** A batch is committed. */
  committed(batch: Uint8Array, answer: () => void): void {
    if (this.#queues.size === 0) {
      answer();
      return;
    }
    this.#schedule();
    const queue = this.#hungryOf(batch);
    if (queue === undefined) {
      answer();
      return;
    }
    queue.held.push({ records: this.#cursor.count, bytes: batch.length, answer });
    this.#heldBytes += batch.length;
    while (this.#heldBytes > IntakeBalance.HELD_BYTES_MAX && queue.held.length > 0) this.#answerFirst(queue);
  }

  /** Leadership is over, or the queue is gone: nobody is there to be waited for. */
  forget(queueId: number): void {
    const queue = this.#queues.get(queueId);
    if (queue === undefined) return;
    this.#queues.delete(queueId);
    this.#answerAll(queue);
  }

  /** The first of those in the batch that consumers want more of. */
  #hungryOf(batch: Uint8Array): Balanced | undefined {
    const cursor = this.#cursor;
    cursor.reset(batch);
    while (cursor.next()) {
      while (cursor.nextTarget()) {
        const queue = this.#queues.get(cursor.queueId);
        if (queue?.isHungry === true) return queue;
      }
    }
    return undefined;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#pass);
  }

  #passed(): void {
    this.#isScheduled = false;
    for (const queue of this.#queues.values()) {
      const accepted = queue.look();
      if (queue.isHungry) this.#answerDue(queue, accepted);
      else this.#answerAll(queue);
      if (!queue.isBehind) this.forget(queue.of.queueId);
      // Once more, so that what the next batch meets is what is so now.
      else if (queue.held.length > 0 || accepted > 0) this.#schedule();
    }
  }

  #answerDue(queue: Balanced, accepted: number): void {
    queue.due += accepted;
    while (queue.due > 0 && queue.held.length > 0) queue.due -= this.#answerFirst(queue);
    // Nobody waits: what is accepted now is no credit for later.
    if (queue.held.length === 0) queue.due = Math.min(queue.due, 0);
  }

  /** None of them is owed. */
  #answerAll(queue: Balanced): void {
    while (queue.held.length > 0) this.#answerFirst(queue);
    queue.due = 0;
  }

  /** Returns its records. */
  #answerFirst(queue: Balanced): number {
    const first = queue.held.shift();
    if (first === undefined) return 0;
    this.#heldBytes -= first.bytes;
    first.answer();
    return first.records;
  }
}

class Balanced {
  readonly of: BalancedQueue;
  readonly held: HeldAnswer[] = [];
  /** Records accepted and not answered for yet; below 0 when a batch was larger. */
  due = 0;
  isHungry = false;
  #accepted: number;
  #perPass = 0;

  constructor(of: BalancedQueue) {
    this.of = of;
    this.#accepted = of.accepted;
  }

  get isBehind(): boolean {
    return this.of.behind >= IntakeBalance.BEHIND_MIN / 2;
  }

  /** A pass is over. Returns what was accepted in it. */
  look(): number {
    const { accepted, held } = this.of;
    const count = accepted - this.#accepted;
    this.#accepted = accepted;
    this.#perPass += (count - this.#perPass) / IntakeBalance.AVERAGE_PASSES;
    this.isHungry = this.isBehind && Math.max(1, held) <= IntakeBalance.ROUND_TRIP_PASSES_MAX * this.#perPass;
    return count;
  }
}

interface HeldAnswer {
  readonly records: number;
  readonly bytes: number;
  readonly answer: () => void;
}
