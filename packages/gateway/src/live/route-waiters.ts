/**
 * Who waits until the other gateways act on a version of this gateway's routes. In order of version and of deadline at
 * once: letting go costs what is let go, and no waiter has a timer of its own. Deadlines only grow; who comes late with a
 * version of before waits with those who came last, for one that is under way as well.
 */
export class RouteWaiters {
  #line: Waiting[] = [];
  #head = 0;

  get isEmpty(): boolean {
    return this.#head === this.#line.length;
  }

  add(waiter: RouteWaiter, version: number, deadlineMs: number): void {
    const newest = this.#line.at(-1)?.version ?? 0;
    this.#line.push({ waiter, version: Math.max(version, newest), deadlineMs });
  }

  /** Everybody acts on `version`. */
  seen(version: number): void {
    for (let next = this.#line[this.#head]; next !== undefined && next.version <= version; next = this.#shift()) {
      next.waiter.routesSeen();
    }
  }

  /** The newest version whose waiters have waited long enough; 0 when there is none. They wait on: see `seen`. */
  overdue(nowMs: number): number {
    let version = 0;
    for (let i = this.#head; i < this.#line.length; i++) {
      const waiting = this.#line[i] as Waiting;
      if (waiting.deadlineMs > nowMs) break;
      version = waiting.version;
    }
    return version;
  }

  #shift(): Waiting | undefined {
    this.#head++;
    if (this.#head === this.#line.length) {
      this.#line = [];
      this.#head = 0;
    } else if (this.#head >= GONE_MAX && this.#head * 2 >= this.#line.length) {
      // Where somebody always waits, those who are gone would stay for ever.
      this.#line.splice(0, this.#head);
      this.#head = 0;
    }
    return this.#line[this.#head];
  }
}

/** Let go and still in the line: so many, or as many as wait. */
const GONE_MAX = 1_024;

export interface RouteWaiter {
  /** Not called inside the call that made it wait. */
  routesSeen(): void;
}

interface Waiting {
  readonly waiter: RouteWaiter;
  readonly version: number;
  readonly deadlineMs: number;
}
