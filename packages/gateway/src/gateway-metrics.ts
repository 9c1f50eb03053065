import { type Counter, type Gauge, type Histogram, type Metrics, SYNC_SECONDS_BOUNDS } from '@sluice/common/metrics';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { ProtocolName } from '@sluice/mqtt/protocol/connection-state';
import type { DropReason } from '@sluice/mqtt/protocol/effects';
import type { Transport } from './connection/byte-channel.ts';
import type { HandshakeRefusal } from './listener/handshake.ts';
import type { EntranceRefusal } from './listener/socket-entrance.ts';

/** Every handle of the gateway, looked up once; labels are small closed sets, never a client's text. */
export class GatewayMetrics {
  readonly #metrics: Metrics;
  readonly connectionsLimit: Gauge;
  readonly connectionsRefused: Counter;
  readonly sessions: Gauge;
  readonly #plainSubscriptions: Gauge;
  readonly #sharedSubscriptions: Gauge;
  readonly #queueSubscriptions: Gauge;
  readonly bytesIn: Counter;
  readonly bytesOut: Counter;
  /** By packet type number. */
  readonly packetsIn: readonly Counter[];
  readonly packetsOut: readonly Counter[];
  readonly publishAckQos1: Histogram;
  readonly publishAckQos2: Histogram;
  readonly authSeconds: Histogram;
  readonly backpressureSeconds: Counter;
  readonly pacedSeconds: Counter;
  readonly draining: Gauge;
  readonly #dropped: Record<DropReason | 'no_member', Counter>;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    const p = 'sluice_gateway_';
    this.connectionsLimit = metrics.gauge(`${p}connections_limit`, 'Connections that may be open at once');
    this.connectionsRefused = metrics.counter(
      `${p}connections_refused_total`,
      'Connections closed without a CONNACK, at the limit of connections or in a drain',
    );
    this.sessions = metrics.gauge(`${p}sessions`, 'Sessions', { state: 'connected' });
    const subscriptions = (kind: string): Gauge =>
      metrics.gauge(`${p}subscriptions`, 'Subscriptions held by this gateway', { kind });
    this.#plainSubscriptions = subscriptions('plain');
    this.#sharedSubscriptions = subscriptions('shared');
    this.#queueSubscriptions = subscriptions('queue');
    this.bytesIn = metrics.counter(`${p}bytes_total`, 'Bytes on MQTT connections', { direction: 'in' });
    this.bytesOut = metrics.counter(`${p}bytes_total`, 'Bytes on MQTT connections', { direction: 'out' });
    this.packetsIn = this.#packets('in');
    this.packetsOut = this.#packets('out');
    const ack = (qos: string): Histogram =>
      metrics.histogram(`${p}publish_ack_seconds`, 'From PUBLISH to PUBACK or PUBREC', SYNC_SECONDS_BOUNDS, { qos });
    this.publishAckQos1 = ack('1');
    this.publishAckQos2 = ack('2');
    this.authSeconds = metrics.histogram(`${p}auth_seconds`, 'Time to authenticate', SYNC_SECONDS_BOUNDS);
    this.backpressureSeconds = metrics.counter(
      `${p}backpressure_seconds_total`,
      'Time that connections were not read because something behind them was full',
    );
    this.pacedSeconds = metrics.counter(
      `${p}paced_seconds_total`,
      'Time that connections were not read because they were over their rate',
    );
    this.draining = metrics.gauge(`${p}draining`, 'Whether the gateway is shutting down');
    const dropped = (reason: DropReason | 'no_member'): Counter =>
      metrics.counter(`${p}delivery_dropped_total`, 'Deliveries that did not happen', { reason });
    this.#dropped = {
      slow_qos0: dropped('slow_qos0'),
      queue_full: dropped('queue_full'),
      expired: dropped('expired'),
      too_large: dropped('too_large'),
      // The last member of a shared group went away with it.
      no_member: dropped('no_member'),
    };
  }

  dropped(reason: DropReason | 'no_member'): void {
    this.#dropped[reason].add();
  }

  /** Whatever the reason. */
  get droppedTotal(): number {
    let total = 0;
    for (const counter of Object.values(this.#dropped)) total += counter.value;
    return total;
  }

  subscriptionGauge(kind: 'plain' | 'shared' | 'queue'): Gauge {
    if (kind === 'plain') return this.#plainSubscriptions;
    return kind === 'shared' ? this.#sharedSubscriptions : this.#queueSubscriptions;
  }

  connections(protocol: ProtocolName, transport: Transport): Gauge {
    return this.#metrics.gauge('sluice_gateway_connections', 'Open MQTT connections', { protocol, transport });
  }

  connects(reasonCode: number): Counter {
    const result = reasonName(reasonCode);
    return this.#metrics.counter('sluice_gateway_connects_total', 'CONNECT packets by their answer', { result });
  }

  /** `reason`: a reason code's name, `closed`, `client_disconnect`. */
  disconnects(reason: string): Counter {
    return this.#metrics.counter('sluice_gateway_disconnects_total', 'Connections ended after CONNACK', { reason });
  }

  protocolErrors(reasonCode: number): Counter {
    const kind = reasonName(reasonCode);
    return this.#metrics.counter('sluice_gateway_protocol_errors_total', 'Connections failed by the server', { kind });
  }

  handshakesRefused(reason: HandshakeRefusal | EntranceRefusal): Counter {
    return this.#metrics.counter(
      'sluice_gateway_handshakes_refused_total',
      'Connections, TLS and WebSocket handshakes refused before MQTT was spoken',
      { reason },
    );
  }

  auth(method: string, admitted: boolean): Counter {
    const result = admitted ? 'admitted' : 'refused';
    return this.#metrics.counter('sluice_gateway_auth_total', 'Authentications', { method, result });
  }

  /** What permissions refused. `will`: when it was left, or when it was due. `subscription`: one that had been allowed. */
  denied(action: DeniedAction): Counter {
    return this.#metrics.counter('sluice_gateway_denied_total', 'What clients may not do', { action });
  }

  /** `read` at scrape time. */
  sendBuffer(read: () => number): void {
    this.#metrics.collect('sluice_gateway_send_buffer_bytes', 'Bytes not yet taken by sockets', 'gauge', () => [
      [{}, read()],
    ]);
  }

  #packets(direction: 'in' | 'out'): Counter[] {
    const counters: Counter[] = [];
    for (const [type, number] of Object.entries(PacketType)) {
      counters[number] = this.#metrics.counter('sluice_gateway_packets_total', 'MQTT packets', {
        type: type.toLowerCase(),
        direction,
      });
    }
    return counters;
  }
}

export type DeniedAction = 'publish' | 'subscribe' | 'consume' | 'will' | 'subscription';

const REASON_NAMES = new Map<number, string>(
  Object.entries(ReasonCode).map(([name, code]) => [code, name.toLowerCase()] as const),
);

/** `quota_exceeded`; codes without a name share one, so that labels stay few. */
export function reasonName(reasonCode: number): string {
  return REASON_NAMES.get(reasonCode) ?? 'other';
}
