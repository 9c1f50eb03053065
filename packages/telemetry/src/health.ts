import { assert } from '@sluice/common/assert';
import type { Clock } from '@sluice/common/clock';

/** A failing `live` check asks for a restart; a failing `ready` check only for no new traffic. */
export type HealthKind = 'live' | 'ready';

export interface HealthCheckReport {
  name: string;
  ok: boolean;
  /** Empty while all is well. */
  reason: string;
  /** Wall clock of the last change. */
  sinceMs: number;
}

export interface HealthReport {
  ok: boolean;
  checks: HealthCheckReport[];
}

/**
 * One named condition, told by the part that knows it: whoever asks for health gets what was told last. Probes that go
 * and look (a read from the disk, a call to a peer) hang when the thing they look at hangs, and a node is killed for a
 * slow disk; here an answer costs no more than memory.
 */
export class HealthCheck {
  readonly name: string;
  readonly kind: HealthKind;
  readonly #clock: Clock;
  #ok = false;
  #reason: string;
  #sinceMs: number;

  constructor(name: string, kind: HealthKind, reason: string, clock: Clock) {
    this.name = name;
    this.kind = kind;
    this.#clock = clock;
    this.#reason = reason;
    this.#ok = reason === '';
    this.#sinceMs = clock.nowMs();
  }

  pass(): void {
    this.#set(true, '');
  }

  /** `reason` says what is wrong, for people. */
  fail(reason: string): void {
    this.#set(false, reason);
  }

  report(): HealthCheckReport {
    return { name: this.name, ok: this.#ok, reason: this.#reason, sinceMs: this.#sinceMs };
  }

  #set(ok: boolean, reason: string): void {
    if (ok !== this.#ok) this.#sinceMs = this.#clock.nowMs();
    this.#ok = ok;
    this.#reason = reason;
  }
}

/** The checks of one process. Ready means live too. */
export class Health {
  readonly #checks = new Map<string, HealthCheck>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A new check, failing with `reason` until it is told otherwise; passing when `reason` is empty. */
  register(name: string, kind: HealthKind, reason: string): HealthCheck {
    assert(!this.#checks.has(name), `two parts would answer for the check ${name}`);
    const check = new HealthCheck(name, kind, reason, this.#clock);
    this.#checks.set(name, check);
    return check;
  }

  live(): HealthReport {
    return this.#report((check) => check.kind === 'live');
  }

  ready(): HealthReport {
    return this.#report(() => true);
  }

  #report(included: (check: HealthCheck) => boolean): HealthReport {
    const checks: HealthCheckReport[] = [];
    for (const check of this.#checks.values()) if (included(check)) checks.push(check.report());
    return { ok: checks.every((check) => check.ok), checks };
  }
}
