import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';

export type RefusalReason =
  | 'no-identity'
  | 'no-cluster'
  | 'wrong-cluster'
  | 'wrong-node'
  | 'bad-sender'
  | 'not-served'
  | 'invalid'
  /** Not our protocol at all. */
  | 'not-http2'
  | 'tls'
  /** A connection that ended without one stream or call that this node knows. */
  | 'no-stream'
  /** A stream that broke the protocol, or was cut short, while its connection lives. */
  | 'aborted';

const LOG_INTERVAL_MS = 60_000;
/** Whoever fills this with peers makes the log forget, never grow. */
const REMEMBERED_MAX = 1_024;

/** Counts every refusal; tells the log of each peer and reason once a minute. */
export class Refusals {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #counters = new Map<RefusalReason, Counter>();
  readonly #loggedAtMs = new Map<string, number>();

  constructor(options: { logger: Logger; clock: Clock; metrics: Metrics }) {
    this.#logger = options.logger;
    this.#clock = options.clock;
    this.#metrics = options.metrics;
  }

  count(reason: RefusalReason, peer: string, detail: string): void {
    let counter = this.#counters.get(reason);
    if (counter === undefined) {
      counter = this.#metrics.counter(
        'sluice_rpc_refused_total',
        'Connections, streams and calls between nodes that were refused.',
        { reason },
      );
      this.#counters.set(reason, counter);
    }
    counter.add();
    if (this.#isNews(`${reason} ${hostOf(peer)}`)) {
      this.#logger.warn({ reason, peer, detail }, 'refused what came to the port for nodes');
    }
  }

  /** True once a minute for each key. */
  #isNews(key: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const lastMs = this.#loggedAtMs.get(key);
    if (lastMs !== undefined && nowMs - lastMs < LOG_INTERVAL_MS) return false;
    if (this.#loggedAtMs.size >= REMEMBERED_MAX) this.#loggedAtMs.clear();
    this.#loggedAtMs.set(key, nowMs);
    return true;
  }
}

/** The port of a peer that comes back differs each time. */
function hostOf(peer: string): string {
  const colon = peer.lastIndexOf(':');
  return colon < 0 ? peer : peer.slice(0, colon);
}
