import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { Health, type HealthCheck } from '@sluice/telemetry/health';

/** A wait is told to the log when it begins or becomes another one, and again while it lasts. */
const SAY_OTHER_MS = 5_000;
const SAY_AGAIN_MS = 30_000;

/** What this process tells of its health, from before it is a node until it has stopped. */
export class NodeHealth {
  readonly report: Health;
  readonly storage: HealthCheck;
  readonly cluster: HealthCheck;
  readonly drain: HealthCheck;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #said = '';
  #saidMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
    this.report = new Health(clock);
    this.storage = this.report.register('storage', 'ready', '');
    this.cluster = this.report.register('cluster', 'ready', 'this node is starting');
    this.drain = this.report.register('drain', 'ready', '');
  }

  /** What the start waits for, in words; said as often as it is looked at. */
  waitsFor(reason: string): void {
    this.cluster.fail(reason);
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#saidMs < (reason === this.#said ? SAY_AGAIN_MS : SAY_OTHER_MS)) return;
    this.#said = reason;
    this.#saidMs = nowMs;
    this.#logger.info({}, reason);
  }
}

export function tell(check: HealthCheck, problems: readonly string[]): void {
  if (problems.length === 0) check.pass();
  else check.fail(problems.join('; '));
}
