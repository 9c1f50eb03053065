import { assert } from '@sluice/common/assert';
import { writeBatchOrigin } from '@sluice/queue/record/batch-origin';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { AppendRequest, AppendResponse, RefusedRecord } from '@sluice/rpc/contract/append';
import type { StoreLink } from '../route/store-links.ts';

/**
 * What is on its way into one partition: the batch that gathers, and the unanswered ones in their order, linked through
 * themselves so that an answer to any of them costs no search and no allocation. They are numbered in this order, and
 * each says, whenever it is sent, which one the log must hold before it: so the log, and not the care of who sends,
 * keeps them in order and each once.
 *
 * Invariant: those that are sent and await an answer come first, those that wait to be sent (again) follow. Taking one
 * back therefore takes back all behind it, and nothing is ever sent before what was published earlier.
 *
 * `flowing`: each batch goes out as it is finished. `asking`: nobody is known to lead, the first batch is out to a
 * replica that may, the others wait for its word. `held`: all wait.
 *
 * @hotpath
 */
export class PartitionLane {
  readonly partition: number;
  readonly builder = new RecordBatchBuilder('numbered');
  /** Of the batch that gathers. */
  completions: RecordCompletion[] = [];
  /** It has a publish at QoS 2 that is brought again under its number if nobody knows of it. */
  gathersExchange = false;
  /** It may not be stored: something that it must not pass was given up, and this is what its publishers hear. */
  gatheringFailure: RecordFailure | undefined = undefined;
  state: 'flowing' | 'asking' | 'held' = 'held';
  /** Where the sent ones went. */
  link: AppendLink | undefined = undefined;
  sent = 0;
  head: UnansweredBatch | undefined = undefined;
  #tail: UnansweredBatch | undefined = undefined;
  firstWaiting: UnansweredBatch | undefined = undefined;
  /** Asking: until then the replica may answer. */
  patienceUntilMs = 0;
  /** Held: not sent before. */
  resumeAtMs = 0;
  backoffMs = 0;
  /** When the store it is open to last answered, or was first asked. */
  heardMs = 0;
  /** Of the newest batch; of the newest that is known to be in the log. */
  #lastNumber = 0;
  #storedNumber = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  append(batch: UnansweredBatch): void {
    batch.number = ++this.#lastNumber;
    batch.before = this.#tail;
    if (this.#tail === undefined) this.head = batch;
    else this.#tail.behind = batch;
    this.#tail = batch;
    this.firstWaiting ??= batch;
  }

  /** It is in the log. */
  removeStored(batch: UnansweredBatch): void {
    if (batch.number > this.#storedNumber) this.#storedNumber = batch.number;
    this.remove(batch);
  }

  /** Nobody waits for it any more. */
  remove(batch: UnansweredBatch): void {
    assert(batch.sequence === 0, 'an answer is awaited until it came or was given up');
    if (this.firstWaiting === batch) this.firstWaiting = batch.behind;
    if (batch.before === undefined) this.head = batch.behind;
    else batch.before.behind = batch.behind;
    if (batch.behind === undefined) this.#tail = batch.before;
    else batch.behind.before = batch.before;
    // As garbage it must not keep those behind it alive: what is old is looked through seldom.
    batch.before = undefined;
    batch.behind = undefined;
  }

  /**
   * What leaves the lane with this one, of which nobody knows or for which there is no space, in order. A publish at QoS 2 is brought again, and has the place
   * that it is taken in then, so nothing that its publisher sent behind it may be taken before. All up to the last that holds such a
   * publish is given up with it, and not only what is of its publishers: of that a copy may be on its way that says it comes after
   * one that stays, and would be taken.
   */
  givenUpWith(batch: UnansweredBatch, failure: RecordFailure): UnansweredBatch[] {
    const givenUp = [batch];
    if (!batch.holdsExchange) return givenUp;
    let count = 1;
    for (let other = batch.behind; other !== undefined; other = other.behind) {
      givenUp.push(other);
      if (other.holdsExchange) count = givenUp.length;
    }
    givenUp.length = count;
    if (this.gathersExchange) this.gatheringFailure ??= failure;
    return givenUp;
  }

  /**
   * Its publishers were told. A table that a map has outgrown names it still, and as old garbage would keep in memory what it
   * leads to.
   */
  forget(batch: UnansweredBatch): void {
    batch.bytes = NO_BYTES;
    batch.completions = NO_COMPLETIONS;
  }

  /** Says in `firstWaiting` what it comes after, as things are now. */
  writeOrigin(producer: number): void {
    const batch = this.firstWaiting as UnansweredBatch;
    const before = batch.before === undefined ? 0 : batch.before.number;
    // A later one may be in the log; then this one is, too, and only its answer is missing.
    const stored = this.#storedNumber < batch.number ? this.#storedNumber : 0;
    const after = Math.max(before, stored);
    const answeredTo = (this.head as UnansweredBatch).number - 1;
    writeBatchOrigin(batch.bytes, { producer, sequence: batch.number, after, answeredTo });
  }

  /** `firstWaiting` is out. */
  markSent(sequence: number): void {
    const batch = this.firstWaiting as UnansweredBatch;
    batch.sequence = sequence;
    batch.attempts++;
    this.firstWaiting = batch.behind;
    this.sent++;
  }

  /** Its answer came, or is not awaited any more. */
  markAnswered(batch: UnansweredBatch): void {
    batch.sequence = 0;
    this.sent--;
  }

  /** For the log, when it takes too long: what it waits for, and whether whom it waits for is heard. */
  describe(nowMs: number): Record<string, unknown> {
    const { state, link, sent, head } = this;
    let batches = 0;
    for (let batch = head; batch !== undefined; batch = batch.behind) batches++;
    const inMs = (atMs: number): number | undefined => (atMs > nowMs ? Math.round(atMs - nowMs) : undefined);
    return {
      state,
      batches,
      sent,
      attempts: head?.attempts,
      store: link?.nodeId,
      heardMsAgo: link === undefined ? undefined : Math.round(nowMs - this.heardMs),
      patienceMs: inMs(this.patienceUntilMs),
      resumesInMs: inMs(this.resumeAtMs),
    };
  }
}

const NO_BYTES = new Uint8Array(0);
const NO_COMPLETIONS: readonly RecordCompletion[] = [];

export interface UnansweredBatch {
  readonly lane: PartitionLane;
  bytes: Uint8Array;
  completions: readonly RecordCompletion[];
  /** It has a publish at QoS 2 that is brought again under its number if nobody knows of it. */
  readonly holdsExchange: boolean;
  readonly createdMs: number;
  /** Its place among all batches of the lane, from 1 on; for ever. */
  number: number;
  /** Under which its answer is awaited; 0 when it is not sent. */
  sequence: number;
  attempts: number;
  before: UnansweredBatch | undefined;
  behind: UnansweredBatch | undefined;
}

/** What becomes of one record of a batch. One of the two is called, once. */
export interface RecordCompletion {
  recordStored(): void;
  recordFailed(failure: RecordFailure): void;
}

/** `unavailable`: not stored, or nobody knows. */
export type RecordFailure = RefusedRecord['code'] | 'storage-full' | 'unavailable';

export type AppendLink = StoreLink<AppendRequest, AppendResponse>;
