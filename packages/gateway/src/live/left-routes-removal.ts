import { FILTERS_A_STEP } from '@sluice/mqtt/protocol/long-request';
import type { TurnFlusher, TurnTaker } from '../connection/turn-flusher.ts';
import type { LiveRouter } from './live-router.ts';

/**
 * The end of a client with thousands of subscriptions takes as long as its SUBSCRIBE, and ten thousand clients may go in one
 * turn because a balancer dies. Everybody else would wait: so a turn takes as many routes out as a SUBSCRIBE may add in
 * it, whosever they were. Those of most clients go in the turn of their end.
 */
export class LeftRoutesRemoval implements TurnTaker {
  turnRequested = false;
  readonly delivers = false;
  readonly #live: LiveRouter;
  readonly #flusher: TurnFlusher;
  /** What this turn may still remove. */
  #room = FILTERS_A_STEP;
  #closed = false;

  constructor(live: LiveRouter, flusher: TurnFlusher) {
    this.#live = live;
    this.#flusher = flusher;
  }

  /** Somebody has left. */
  begin(): void {
    if (this.#live.leftCount === 0 || this.#closed) return;
    this.#room -= this.#live.removeLeft(this.#room);
    this.#flusher.request(this);
  }

  takeTurn(): void {
    this.#room = FILTERS_A_STEP;
    this.begin();
  }

  /** The gateway ends. Its router goes as a whole, and other gateways forget what it wanted with their channels to it. */
  close(): void {
    this.#closed = true;
  }
}
