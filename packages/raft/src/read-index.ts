import type { ReadState } from './ready.ts';

/**
 * Linearizable reads without a log entry (thesis 6.4). The leader notes its commit index, proves that it still leads
 * by one round of heartbeats that a majority answers, and the read may be served at that index. A clock lease would be
 * cheaper, but a paused process does not know that it was paused.
 *
 * Rounds are numbered. All reads requested between two `ready()` calls share one, and an answer to a round confirms the
 * earlier ones too, because it proves leadership later than they asked. Nothing here survives a change of role: the
 * host fails the reads it has no state for when the role or the term changes.
 */
export class ReadIndexQueue {
  readonly #pendingMax: number;
  #rounds: { round: number; reads: ReadState[] }[] = [];
  #pending = 0;
  /** Grows for ever, so that an answer to an earlier reign confirms nothing. */
  #lastRound = 0;
  #open = false;

  constructor(pendingMax: number) {
    this.#pendingMax = pendingMax;
  }

  get pending(): number {
    return this.#pending;
  }
  /** Reads wait that no heartbeat has been sent for. */
  get open(): boolean {
    return this.#open;
  }
  /** What a heartbeat should carry: the newest round that waits, or 0. */
  get round(): number {
    return this.#pending === 0 ? 0 : this.#lastRound;
  }

  add(context: number, index: number): boolean {
    if (this.#pending >= this.#pendingMax) return false;
    if (!this.#open) {
      this.#open = true;
      this.#lastRound++;
      this.#rounds.push({ round: this.#lastRound, reads: [] });
    }
    this.#rounds[this.#rounds.length - 1]?.reads.push({ context, index });
    this.#pending++;
    return true;
  }

  /** Closes the open round: the heartbeats that carry it are being sent. */
  seal(): void {
    this.#open = false;
  }

  /** Moves the reads of every round up to `round` to `into`. */
  confirm(round: number, into: ReadState[]): void {
    let done = 0;
    for (const waiting of this.#rounds) {
      if (waiting.round > round) break;
      for (const read of waiting.reads) into.push(read);
      this.#pending -= waiting.reads.length;
      done++;
    }
    if (done > 0) this.#rounds.splice(0, done);
    if (this.#rounds.length === 0) this.#open = false;
  }

  clear(): void {
    this.#rounds = [];
    this.#pending = 0;
    this.#open = false;
  }
}
