import { type Clock, systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import type { ServiceRegistry, Transport } from '@sluice/rpc/transport';
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt';
import { type Authenticator, anonymousAuthenticator } from '../../src/auth/authenticator.ts';
import type { Authorizer } from '../../src/auth/authorizer.ts';
import type { EnhancedMethod } from '../../src/auth/enhanced-method.ts';
import { Gateway } from '../../src/gateway.ts';
import type { GatewayLimits } from '../../src/gateway-limits.ts';
import type { StoredSessions } from '../../src/session/stored-sessions.ts';
import { MemoryDurable } from './memory-durable.ts';
import { MemoryQueues } from './memory-queues.ts';
import { MemoryRetained } from './memory-retained.ts';
import { RawClient } from './raw-client.ts';

/** Wall and monotonic time that a test may push forward; it runs with real time otherwise, unless it is told to stand. */
class ShiftedClock implements Clock {
  shiftMs = 0;
  #standing: { wallMs: number; monotonicMs: number } | undefined;
  nowMs(): number {
    return (this.#standing?.wallMs ?? systemClock.nowMs()) + this.shiftMs;
  }
  monotonicMs(): number {
    return (this.#standing?.monotonicMs ?? systemClock.monotonicMs()) + this.shiftMs;
  }
  /** From now on it goes only where it is pushed. */
  stand(): void {
    this.#standing = { wallMs: systemClock.nowMs(), monotonicMs: Math.round(systemClock.monotonicMs()) };
  }
}

export interface Received {
  topic: string;
  payload: string;
  packet: IPublishPacket;
}

/** Where a gateway stands among others. */
export interface Place {
  nodeId: number;
  transport: Transport & ServiceRegistry;
  retained?: MemoryRetained;
}

/** A gateway on real sockets with in-memory durable sides, and the clients of one test. */
export class TestGateway {
  readonly retained: MemoryRetained;
  readonly durable: MemoryDurable;
  readonly queues = new MemoryQueues();
  readonly metrics = new PlainMetrics();
  readonly clock = new ShiftedClock();
  readonly warnings: string[] = [];
  /** What the log has at `debug`. */
  readonly details: Record<string, unknown>[] = [];
  readonly gateway: Gateway;
  port = 0;
  wsPort = 0;
  readonly #clients: MqttClient[] = [];
  readonly #raw: RawClient[] = [];

  constructor(
    limits: Partial<GatewayLimits> = {},
    authenticator: Authenticator = anonymousAuthenticator,
    { nodeId, transport, retained = new MemoryRetained() }: Place = {
      nodeId: 1,
      transport: new InprocNetwork({ codecs: true }).node(1),
    },
    authorizer?: Authorizer,
    sessions?: StoredSessions,
    enhanced: readonly EnhancedMethod[] = [],
  ) {
    this.retained = retained;
    this.retained.nowMs = () => this.clock.nowMs();
    this.durable = new MemoryDurable(retained);
    this.gateway = new Gateway({
      nodeId,
      transport,
      clock: this.clock,
      logger: {
        ...silentLogger,
        debug: (fields, message) => this.details.push({ ...fields, message }),
        warn: (_, message) => this.warnings.push(message),
      },
      metrics: this.metrics,
      authenticator,
      ...(authorizer === undefined ? {} : { authorizer }),
      ...(sessions === undefined ? {} : { sessions }),
      enhanced,
      durable: this.durable,
      queues: this.queues,
      retained,
      limits: { tickMs: 20, ...limits },
    });
    this.gateway.serve(transport);
  }

  static async start(
    limits: Partial<GatewayLimits> = {},
    authenticator?: Authenticator,
    place?: Place,
    authorizer?: Authorizer,
    sessions?: StoredSessions,
    enhanced?: readonly EnhancedMethod[],
  ): Promise<TestGateway> {
    const test = new TestGateway(limits, authenticator, place, authorizer, sessions, enhanced);
    test.port = (await test.gateway.listenTcp({ host: '127.0.0.1', port: 0 })).port;
    test.wsPort = (await test.gateway.listenWebSocket({ host: '127.0.0.1', port: 0 })).port;
    return test;
  }

  async connect(options: IClientOptions & { ws?: boolean } = {}): Promise<MqttClient> {
    const url = options.ws === true ? `ws://127.0.0.1:${this.wsPort}/mqtt` : `mqtt://127.0.0.1:${this.port}`;
    const client = await mqtt.connectAsync(url, { reconnectPeriod: 0, protocolVersion: 5, ...options });
    client.on('error', () => {});
    this.#clients.push(client);
    return client;
  }

  /** Bytes by hand. */
  async raw(): Promise<RawClient> {
    const raw = await RawClient.connect(this.port);
    this.#raw.push(raw);
    return raw;
  }

  gauge(name: string, labels?: Record<string, string>): number {
    return this.metrics.gauge(`sluice_gateway_${name}`, '', labels).value;
  }

  counter(name: string, labels?: Record<string, string>): number {
    return this.metrics.counter(`sluice_gateway_${name}`, '', labels).value;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.end(true);
    for (const raw of this.#raw) raw.destroy();
    await this.gateway.close({ drainMs: 0 });
  }
}

export function collect(client: MqttClient): Received[] {
  const received: Received[] = [];
  client.on('message', (topic, payload, packet) => {
    received.push({ topic, payload: payload.toString(), packet });
  });
  return received;
}

/** Waits on state; fails by the test's own timeout with what it saw last. */
export async function until<T>(read: () => T, wanted: (value: T) => boolean = Boolean, withinMs = 5000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = read();
    if (wanted(value)) return value;
    if (Date.now() > deadline) throw new Error(`never came true: ${read.toString()}; last value ${String(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
