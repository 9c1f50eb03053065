/**
 * One callback a turn for the whole gateway. A connection that has something to write, or may read on, asks for a turn;
 * all who asked get it together, after the event loop has handed out what arrived. So a burst of packets is answered by
 * one write a socket, and no timer or promise is made for any of them.
 *
 * Those with a delivery have it first. A publisher's answer is decided a moment before the delivery of what it published, so
 * in the order of asking it would leave first. But each write wakes whoever reads it, and a worker without a job waits, where
 * a publisher has its window.
 */
export interface TurnTaker {
  /** Set and cleared by the flusher alone. */
  turnRequested: boolean;
  /** It has something for a consumer. */
  readonly delivers: boolean;
  takeTurn(): void;
}

export class TurnFlusher {
  #waiting: TurnTaker[] = [];
  #taking: TurnTaker[] = [];
  #scheduled = false;
  readonly #run = (): void => this.#takeTurns();

  request(taker: TurnTaker): void {
    if (taker.turnRequested) return;
    taker.turnRequested = true;
    this.#waiting.push(taker);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  /** Whoever asks again meanwhile waits for the next turn: nobody can keep the loop to himself. */
  #takeTurns(): void {
    const takers = this.#waiting;
    this.#waiting = this.#taking;
    this.#taking = takers;
    this.#scheduled = false;
    let others = 0;
    for (const taker of takers) {
      if (taker.delivers) take(taker);
      else takers[others++] = taker;
    }
    for (let i = 0; i < others; i++) take(takers[i] as TurnTaker);
    takers.length = 0;
  }
}

function take(taker: TurnTaker): void {
  taker.turnRequested = false;
  taker.takeTurn();
}
