/**
 * One callback a turn for the whole gateway. A connection that has something to write, or may read on, asks for a turn;
 * all who asked get it together, after the event loop has handed out what arrived. So a burst of packets is answered by
 * one write a socket, and no timer or promise is made for any of them.
 */
export interface TurnTaker {
  /** Set and cleared by the flusher alone. */
  turnRequested: boolean;
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
    for (const taker of takers) {
      taker.turnRequested = false;
      taker.takeTurn();
    }
    takers.length = 0;
  }
}
