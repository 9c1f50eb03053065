/**
 * What happened, as lines: the last of them for whoever looks into a failed seed, and a hash over all of them. Two runs
 * of one seed that differ in anything that is traced differ in it.
 */
export class Trace {
  readonly #last: string[] = [];
  #next = 0;
  #hash = 0x811c9dc5;
  #more = 0x2545f491;
  lines = 0;
  /** Told every line, as it comes. */
  listener: ((line: string) => void) | undefined;

  static readonly LINES_KEPT = 400;

  add(nowMs: number, who: string, what: string): void {
    const line = `${nowMs.toFixed(3)} ${who} ${what}`;
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      this.#hash = Math.imul(this.#hash ^ code, 0x01000193);
      this.#more = (Math.imul(this.#more, 0x5bd1e995) + code) | 0;
    }
    this.lines++;
    this.#last[this.#next] = line;
    this.#next = (this.#next + 1) % Trace.LINES_KEPT;
    this.listener?.(line);
  }

  /** What happens too often for a line. */
  count(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
    this.#more = (Math.imul(this.#more, 0x5bd1e995) + value) | 0;
  }

  get hash(): string {
    const hex = (value: number) => (value >>> 0).toString(16).padStart(8, '0');
    return hex(this.#hash) + hex(this.#more);
  }

  /** Oldest first. */
  last(count: number): string[] {
    const ordered = [...this.#last.slice(this.#next), ...this.#last.slice(0, this.#next)];
    return ordered.slice(-count);
  }
}
