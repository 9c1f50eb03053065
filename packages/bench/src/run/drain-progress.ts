/**
 * What is said of a drain that takes long: with slow consumers minutes, in which nothing else is to be seen. A line every
 * while, with what is left at the pace so far.
 */
export class DrainProgress {
  readonly #say: (line: string) => void;
  readonly #startedMs: number;
  #saidMs: number;
  #first: number | undefined;

  static readonly SAY_MS = 2_000;

  constructor(say: (line: string) => void, nowMs: number) {
    this.#say = say;
    this.#startedMs = nowMs;
    this.#saidMs = nowMs;
  }

  looked(received: number, awaited: number, nowMs: number): void {
    this.#first ??= received;
    if (nowMs - this.#saidMs < DrainProgress.SAY_MS) return;
    this.#saidMs = nowMs;
    const perMs = (received - this.#first) / (nowMs - this.#startedMs);
    const left = perMs === 0 ? '' : `, about ${Math.ceil((awaited - received) / perMs / 1000)} s left`;
    this.#say(`draining: ${received} of ${awaited} messages have come${left}`);
  }
}
