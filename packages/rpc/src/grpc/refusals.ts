import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';
import { UNACCEPTED_HINT } from '../listen-on.ts';
import { News, PASSING_MS } from './news.ts';

export type RefusalReason =
  | 'no-identity'
  | 'no-cluster'
  | 'wrong-cluster'
  | 'wrong-node'
  | 'bad-sender'
  /** With certificates: a node of which nothing is known yet that its certificate could be compared with. */
  | 'unknown-sender'
  /** A certificate of the right authority, of another node than the one it speaks for. */
  | 'wrong-certificate'
  /** None, or of another authority, or expired. */
  | 'certificate'
  | 'not-served'
  | 'invalid'
  /** Not our protocol at all. */
  | 'not-http2'
  /** Not TLS where it is expected, or a handshake that was broken off. */
  | 'tls'
  /** The system gave no socket for it: no more files may be open. */
  | 'not-accepted'
  /** A connection that ended without one stream or call that this node knows. */
  | 'no-stream'
  /** A stream that broke the protocol, or was cut short, while its connection lives. */
  | 'aborted';

/** Ordinary for a moment, while nodes start or join, or give up a connection that took them too long. */
const PASSING: ReadonlySet<RefusalReason> = new Set(['no-identity', 'not-served', 'unknown-sender', 'no-stream']);

const STRANGER = 'if it is no node of a cluster, keep it off this port; nothing was done for it';
/** What whoever reads the log can do. */
const HINTS: Readonly<Record<RefusalReason, string>> = {
  'no-identity': 'this node waits for its place in a cluster: see what it waits for at /readyz',
  'no-cluster': STRANGER,
  'wrong-cluster': 'a node of another cluster was given the address of this one: correct its node.join',
  'wrong-node': 'the peer looks for the node that had this address before, and is told the new one by a coordinator',
  'bad-sender': 'two nodes run on copies of one data directory: give one of them an empty one',
  'unknown-sender': 'no coordinator has told this node who that is: see that a coordinator leads',
  'wrong-certificate':
    'issue the peer a certificate that names it: the host of its address, or its node.name as common name',
  certificate: 'give the peer a certificate of the authority in cluster.caFile that has not expired',
  'not-served': 'a node was given the address of one without the role it looks for: see node.roles',
  invalid: 'the peer may run an older or newer version: compare with "sluice cluster status"',
  'not-http2': 'a node without cluster.certificateFile sends plain text, others do not belong here',
  tls: 'a node without cluster.certificateFile sends plain text, others do not belong here',
  'not-accepted': UNACCEPTED_HINT,
  'no-stream': STRANGER,
  aborted: STRANGER,
};

/** Counts every refusal; tells the log of each peer and reason once a minute. */
export class Refusals {
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #news: News;
  readonly #counters = new Map<RefusalReason, Counter>();

  constructor(options: { logger: Logger; clock: Clock; metrics: Metrics }) {
    this.#logger = options.logger;
    this.#metrics = options.metrics;
    this.#news = new News(options.clock);
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
    if (this.#news.isNews(`${reason} ${hostOf(peer)}`, PASSING.has(reason) ? PASSING_MS : 0)) {
      this.#logger.warn({ reason, peer, detail, hint: HINTS[reason] }, 'refused what came to the port for nodes');
    }
  }
}

/** The port of a peer that comes back differs each time. */
function hostOf(peer: string): string {
  const colon = peer.lastIndexOf(':');
  return colon < 0 ? peer : peer.slice(0, colon);
}
