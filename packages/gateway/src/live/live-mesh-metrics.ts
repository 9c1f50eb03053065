import type { Counter, Metrics } from '@sluice/common/metrics';

export type ForwardDrop =
  /** More unsent for that gateway than its bound. */
  | 'peer_full'
  /** No channel to a gateway that wants it, or the channel closed with it. */
  | 'unreachable'
  /** A `$share` group without a member where its copy was sent, or anywhere. */
  | 'no_member'
  /** The record format cannot carry it, or a peer sent what is none. */
  | 'invalid';

/** Handles of the traffic between gateways. */
export class LiveMeshMetrics {
  readonly forwarded: Counter;
  readonly forwardedBytes: Counter;
  readonly received: Counter;
  readonly receivedBytes: Counter;
  /** SUBACKs that were sent although some gateway had not said that it acts on their routes. */
  readonly unseen: Counter;
  /** Reads of what is retained that began although some gateway had not said that the stores have what it gave them. */
  readonly retainedUnseen: Counter;
  readonly takenOver: Counter;
  readonly #metrics: Metrics;
  readonly #dropped: Record<ForwardDrop, Counter>;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    const p = 'sluice_gateway_live_';
    this.forwarded = metrics.counter(`${p}forwarded_total`, 'Messages sent to other gateways, each once a gateway');
    this.forwardedBytes = metrics.counter(`${p}forwarded_bytes_total`, 'Their encoded size');
    this.received = metrics.counter(`${p}received_total`, 'Messages that came from other gateways');
    this.receivedBytes = metrics.counter(`${p}received_bytes_total`, 'Their encoded size');
    this.unseen = metrics.counter(
      `${p}routes_unseen_total`,
      'Times that subscribers waited in vain for another gateway to act on their filters',
    );
    this.retainedUnseen = metrics.counter(
      `${p}retained_unseen_total`,
      'Times that subscribers waited in vain for what another gateway was about to store as retained',
    );
    this.takenOver = metrics.counter(
      'sluice_gateway_taken_over_elsewhere_total',
      'Connections closed because their client connected to another gateway',
    );
    const dropped = (reason: ForwardDrop): Counter =>
      metrics.counter(`${p}forward_dropped_total`, 'Live messages that did not reach another gateway', { reason });
    this.#dropped = {
      peer_full: dropped('peer_full'),
      unreachable: dropped('unreachable'),
      no_member: dropped('no_member'),
      invalid: dropped('invalid'),
    };
  }

  dropped(reason: ForwardDrop, messages = 1): void {
    this.#dropped[reason].add(messages);
  }

  /** Read at scrape time. */
  gauges(read: { peers: () => number; wanted: () => number; remote: () => number }): void {
    const p = 'sluice_gateway_live_';
    this.#metrics.collect(`${p}peers`, 'Other gateways with a channel to them', 'gauge', () => [[{}, read.peers()]]);
    this.#metrics.collect(`${p}routes`, 'Filters wanted here, and by other gateways', 'gauge', () => [
      [{ of: 'local' }, read.wanted()],
      [{ of: 'remote' }, read.remote()],
    ]);
  }
}
