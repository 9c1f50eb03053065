import { assert } from '@sluice/common/assert';

/**
 * Deadlines of all connections, on one timer. A timer a connection, re-armed by each packet, would cost more than the
 * packets; here a packet stores the time it came, and the wheel asks again at the deadline that was known when it was
 * armed. Moving a deadline forward costs nothing, arming one costs a list insertion.
 *
 * Precision is one tick, late and never early. A deadline beyond one round of the wheel stays in its slot for as many
 * rounds as it needs.
 */
export class DeadlineWheel {
  readonly #slots: (Deadline | undefined)[];
  readonly #tickMs: number;
  #doneTick: number;
  #size = 0;

  constructor(tickMs: number, nowMs: number, slots = 512) {
    assert(tickMs > 0 && slots > 1, 'a wheel has a tick and at least two slots');
    this.#tickMs = tickMs;
    this.#slots = new Array<Deadline | undefined>(slots).fill(undefined);
    this.#doneTick = Math.floor(nowMs / tickMs);
  }

  /** Armed deadlines. */
  get size(): number {
    return this.#size;
  }

  /** Arms or re-arms. */
  arm(deadline: Deadline, atMs: number): void {
    this.disarm(deadline);
    const tick = Math.max(Math.ceil(atMs / this.#tickMs), this.#doneTick + 1);
    deadline.tick = tick;
    const slot = tick % this.#slots.length;
    const first = this.#slots[slot];
    deadline.next = first;
    if (first !== undefined) first.previous = deadline;
    this.#slots[slot] = deadline;
    this.#size++;
  }

  disarm(deadline: Deadline): void {
    if (deadline.tick === NOT_ARMED) return;
    const { previous, next } = deadline;
    if (next !== undefined) next.previous = previous;
    if (previous !== undefined) previous.next = next;
    else this.#slots[deadline.tick % this.#slots.length] = next;
    deadline.previous = undefined;
    deadline.next = undefined;
    deadline.tick = NOT_ARMED;
    this.#size--;
  }

  /** Calls `expired` on everything that is due. It may arm and disarm. */
  advance(nowMs: number): void {
    const tick = Math.floor(nowMs / this.#tickMs);
    // After a long stall every slot is looked at once, not once for each tick that was missed.
    const from = Math.max(this.#doneTick + 1, tick - this.#slots.length + 1);
    this.#doneTick = Math.max(this.#doneTick, tick);
    const due: Deadline[] = [];
    for (let t = from; t <= tick; t++) {
      for (let d = this.#slots[t % this.#slots.length]; d !== undefined; d = d.next) if (d.tick <= tick) due.push(d);
    }
    for (const deadline of due) {
      // One that came before may have disarmed it.
      if (deadline.tick === NOT_ARMED || deadline.tick > tick) continue;
      this.disarm(deadline);
      deadline.expired(nowMs);
    }
  }
}

const NOT_ARMED = -1;

/** A place in the wheel; its fields are the wheel's own. */
export abstract class Deadline {
  tick: number = NOT_ARMED;
  next: Deadline | undefined = undefined;
  previous: Deadline | undefined = undefined;

  get isArmed(): boolean {
    return this.tick !== NOT_ARMED;
  }

  abstract expired(nowMs: number): void;
}
