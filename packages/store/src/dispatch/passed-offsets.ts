/**
 * Records at a queue's cursor or beyond it that are not to be handed out: a worker has them since a former leader, or has
 * accepted them.
 *
 * The cursor takes one out as it comes by. It never comes by one that died meanwhile, and those would stay for as long as
 * the leadership. So all are forgotten once the cursor is beyond the last of them.
 *
 * Bound: what consumers held under the former leader.
 * @hotpath
 */
export class PassedOffsets {
  /** Most queues never have any. */
  #offsets: Set<number> | undefined;
  #last = -1;

  get size(): number {
    return this.#offsets?.size ?? 0;
  }

  add(offset: number): void {
    this.#offsets ??= new Set();
    this.#offsets.add(offset);
    if (offset > this.#last) this.#last = offset;
  }

  has(offset: number): boolean {
    return this.#offsets?.has(offset) ?? false;
  }

  /** The cursor has come to it: whether it is one of them, and is none any more. */
  take(offset: number): boolean {
    return this.#offsets?.delete(offset) ?? false;
  }

  /** All before `offset` is passed. */
  cursorAt(offset: number): void {
    if (offset > this.#last) this.#offsets = undefined;
  }
}
