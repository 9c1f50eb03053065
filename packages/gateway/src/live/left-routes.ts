/**
 * What subscribers that have left leave behind, in the order in which they went. Whoever has most holds up nobody: no one
 * waits for what stands here, it is memory and nothing else. As many as there may be subscriptions.
 */
export class LeftRoutes<R> {
  /** One for each that has left. */
  #parts: R[][] = [];
  /** Of the first part, those that are taken. */
  #taken = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(part: R[]): void {
    if (part.length === 0) return;
    this.#parts.push(part);
    this.#size += part.length;
  }

  take(): R | undefined {
    const part = this.#parts[0];
    if (part === undefined) return undefined;
    const route = part[this.#taken++] as R;
    this.#size--;
    if (this.#taken === part.length) {
      this.#parts.shift();
      this.#taken = 0;
    }
    return route;
  }
}
