/**
 * Who waits until the other gateways act on a version of this gateway's routes. In order of version and of deadline at
 * once, since both only grow: letting go costs what is let go, and no waiter has a timer of its own.
 */
export class RouteWaiters {
  #line: Waiting[] = [];
  #head = 0;

  get isEmpty(): boolean {
    return this.#head === this.#line.length;
  }

  add(waiter: RouteWaiter, version: number, deadlineMs: number): void {
    this.#line.push({ waiter, version, deadlineMs });
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
    }
    return this.#line[this.#head];
  }
}

export interface RouteWaiter {
  /** Not called inside the call that made it wait. */
  routesSeen(): void;
}

interface Waiting {
  readonly waiter: RouteWaiter;
  readonly version: number;
  readonly deadlineMs: number;
}
