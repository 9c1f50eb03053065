/** Runs something once in this turn of the event loop, however often it is asked for: libraries call back a message. */
export class Soon {
  readonly #run: () => void;
  #isAsked: boolean;

  constructor(run: () => void) {
    this.#isAsked = false;
    this.#run = () => {
      this.#isAsked = false;
      run();
    };
  }

  ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    setImmediate(this.#run);
  }
}
