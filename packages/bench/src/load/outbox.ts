import { LatencySketch } from './latency-sketch.ts';
import { nowUs } from './monotonic-clock.ts';
import { Pace } from './pace.ts';
import { SequenceSet } from './sequence-set.ts';
import type { PublisherAccount } from './sequence-verdict.ts';
import { writeStamp } from './stamp.ts';

/** Handed to a driver in one go, so that answers are read in between. */
const TURN_MESSAGES_MAX = 256;

export interface OutboxOptions {
  run: number;
  publisher: number;
  /** Messages without an answer at most. */
  window: number;
  /** Publishing ends with this many; 0 for no end. */
  messagesMax: number;
  keys: number;
}

/** What all publishers of a process share: how many messages may be on their way to consumers. */
export interface Allowance {
  left: number;
}

/**
 * One publisher: how many messages may leave now, what is in each, and what was answered. It has a window, a pace, and
 * a share in what may lie in the broker, so that a queue is measured while it flows and not while it fills.
 *
 * @hotpath
 */
export class Outbox {
  readonly #run: number;
  readonly #publisher: number;
  readonly #window: number;
  readonly #messagesMax: number;
  readonly #keys: number;
  readonly #allowance: Allowance;
  readonly #pace: Pace;
  readonly #acknowledged: SequenceSet;
  readonly #sketch: LatencySketch;
  /** By `sequence % window`: when its sending counts from. */
  readonly #startUs: Float64Array;
  #sent: number;
  #refused: number;
  #turnUs: number;
  #isOpen: boolean;
  /** The driver's: what sends. */
  #send: ((count: number) => void) | undefined;
  #isWritable: () => boolean;

  constructor(options: OutboxOptions, allowance: Allowance) {
    this.#run = options.run;
    this.#publisher = options.publisher;
    this.#window = options.window;
    this.#messagesMax = options.messagesMax === 0 ? Number.POSITIVE_INFINITY : options.messagesMax;
    this.#keys = options.keys;
    this.#allowance = allowance;
    this.#pace = new Pace(0, 0);
    this.#acknowledged = new SequenceSet();
    this.#sketch = new LatencySketch();
    this.#startUs = new Float64Array(options.window);
    this.#sent = 0;
    this.#refused = 0;
    this.#turnUs = 0;
    this.#isOpen = false;
    this.#send = undefined;
    this.#isWritable = () => true;
  }

  get sent(): number {
    return this.#sent;
  }
  get acknowledgedCount(): number {
    return this.#acknowledged.size;
  }
  get refusedCount(): number {
    return this.#refused;
  }
  get unanswered(): number {
    return this.#sent - this.#acknowledged.size - this.#refused;
  }
  /** From when a message was due to its acknowledgement. */
  get sketch(): LatencySketch {
    return this.#sketch;
  }
  get isDone(): boolean {
    return this.#sent >= this.#messagesMax;
  }

  /** Publishing begins, or goes on, at a rate from now; 0: whenever there is room. */
  open(send: (count: number) => void, isWritable: () => boolean, perSecond: number): void {
    this.#send = send;
    this.#isWritable = isWritable;
    this.#isOpen = true;
    this.setRate(perSecond);
    this.pump();
  }

  /** What was due at the former rate and is not sent is not made up for. */
  setRate(perSecond: number): void {
    this.#pace.change(perSecond, nowUs(), this.#sent);
  }

  close(): void {
    this.#isOpen = false;
  }

  /** Sends what may be sent; true when there is more that may be sent at once. */
  pump(): boolean {
    const send = this.#send;
    if (!this.#isOpen || send === undefined || !this.#isWritable()) return false;
    const now = nowUs();
    const room = Math.min(
      this.#window - this.unanswered,
      this.#allowance.left,
      this.#messagesMax - this.#sent,
      this.#pace.dueUntil(now) - this.#sent,
    );
    const count = Math.min(room, TURN_MESSAGES_MAX);
    if (count <= 0) return false;
    this.#turnUs = now;
    this.#allowance.left -= count;
    send(count);
    return room > count || this.unanswered < this.#window;
  }

  /** For a driver: the next message's sequence. Its stamp is written into `bytes` at `at`. */
  next(bytes: Uint8Array, at: number): number {
    const sequence = this.#sent++;
    const startUs = this.#pace.startOf(sequence, this.#turnUs);
    this.#startUs[sequence % this.#window] = startUs;
    writeStamp(bytes, at, this.#run, this.#publisher, sequence, startUs);
    return sequence;
  }

  /** Which of the link's topics a message goes to. */
  keyOf(sequence: number): number {
    return this.#keys <= 1 ? 0 : sequence % this.#keys;
  }

  /** The broker has it for good. */
  acknowledged(sequence: number): void {
    if (this.#acknowledged.add(sequence))
      this.#sketch.add(nowUs() - (this.#startUs[sequence % this.#window] as number));
  }

  /** The broker has said that it does not have it. */
  refused(_sequence: number): void {
    this.#refused++;
  }

  /** After a chunk of answers, or when the socket takes more. */
  answered(): void {
    this.pump();
  }

  account(): PublisherAccount {
    return { publisher: this.#publisher, sent: this.#sent, acknowledged: this.#acknowledged.bits };
  }
}
