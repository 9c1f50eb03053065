import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { ServiceRegistry } from '@sluice/rpc/transport';
import { anonymousAuthenticator } from './auth/authenticator.ts';
import { composeServices, type GatewayOptions, willPublisherOf } from './compose-services.ts';
import { AccessReview } from './connection/access-review.ts';
import type { ByteChannel } from './connection/byte-channel.ts';
import { Connection } from './connection/connection.ts';
import type { ConnectionSummary } from './connection/connection-summary.ts';
import type { DrainOptions } from './gateway-drain.ts';
import type { GatewayServices } from './gateway-services.ts';
import { GatewayShedding, type SheddingWish } from './gateway-shedding.ts';
import { ConnectionsPerAddress } from './listener/connections-per-address.ts';
import type { Address } from './listener/listener.ts';
import { IngressPacer } from './listener/paced-channel.ts';
import type { Entrance } from './listener/socket-entrance.ts';
import { listenTcp } from './listener/tcp-listener.ts';
import type { TlsMaterial } from './listener/tls-material.ts';
import { TooManyLog } from './listener/too-many-log.ts';
import { listenWebSocket, type WebSocketOptions } from './listener/websocket-listener.ts';
import type { WillPublisher } from './session/will-publisher.ts';

export interface ListenOptions {
  /** Undefined: nothing is encrypted. */
  tls?: TlsMaterial | undefined;
  /** A balancer in front says whose connections it passes on. */
  proxyProtocol?: boolean;
  /** Large packets are read to where they belong, by internals of Node.js. Over plain TCP only. */
  readsInPlace?: boolean;
}

/**
 * The MQTT tier of one process: its listeners, its connections, and the state that ends with them. What must outlive
 * it goes through the durable ports. It knows nothing of partitions and leaders.
 */
export class Gateway {
  readonly #services: GatewayServices;
  readonly #listeners: Entrance[] = [];
  #letsIn = true;
  readonly #perAddress: ConnectionsPerAddress;
  readonly #tooMany: TooManyLog;
  readonly #pacer: IngressPacer;
  readonly #ticker: NodeJS.Timeout;
  readonly #wills: WillPublisher | undefined;
  readonly #shedding: GatewayShedding;
  /** Connections to be: TLS and WebSocket come first. */
  #handshakes = 0;
  /** That it is full was said, and it had no room since. */
  #saidFull = false;
  #closing: Promise<void> | undefined;

  constructor(options: GatewayOptions) {
    const services = composeServices(options);
    const { limits, table, metrics, clock, authorizer } = services;
    this.#services = services;
    this.#shedding = new GatewayShedding({ table, clock, logger: options.logger, drain: services.drain });
    this.#wills = options.wills && willPublisherOf(options.wills, services);
    const review = new AccessReview(table);
    authorizer.onChange(() => review.begin());
    metrics.connectionsLimit.set(limits.connectionsMax);
    metrics.sendBuffer(() => {
      let bytes = 0;
      for (const connection of this.#services.table.connections()) bytes += connection.channel.bufferedBytes;
      return bytes;
    });
    this.#pacer = new IngressPacer({
      rates: limits.rates,
      nowMs: () => clock.monotonicMs(),
      paused: (pausedMs) => metrics.pacedSeconds.add(pausedMs / 1000),
    });
    this.#perAddress = new ConnectionsPerAddress(limits.connectionsPerAddressMax);
    this.#tooMany = new TooManyLog(this.#services.logger);
    this.#ticker = setInterval(() => this.#tick(), limits.tickMs);
    this.#ticker.unref();
  }

  async listenTcp(address: Address, options: ListenOptions = {}): Promise<Address> {
    const { readsInPlace = true } = options;
    return this.#listening(await listenTcp(address, { ...this.#entrance(options), readsInPlace }));
  }

  /** Path `/mqtt`. */
  async listenWebSocket(address: Address, options: ListenOptions = {}): Promise<Address> {
    const { limits, authenticator } = this.#services;
    return this.#listening(
      await listenWebSocket(address, {
        ...this.#entrance(options),
        frameBytesMax: limits.maximumPacketSizeBytes,
        anonymous: authenticator.method === anonymousAuthenticator.method,
      }),
    );
  }

  /** New connections of the TLS listeners are served with it; those that are open keep what they have. */
  renewTls(tls: TlsMaterial): void {
    for (const listener of this.#listeners) listener.renew(tls);
  }

  #entrance({ tls, proxyProtocol = false }: ListenOptions): Omit<WebSocketOptions, 'frameBytesMax' | 'anonymous'> {
    const { limits, metrics, clock, logger } = this.#services;
    const paced = this.#pacer.forListener();
    return {
      tls,
      proxyProtocol,
      connectsPerSecond: limits.connectsPerSecond,
      perAddress: this.#perAddress,
      nowMs: () => clock.monotonicMs(),
      handshakeMs: limits.connectTimeoutMs,
      isFull: () => this.#isFull(),
      waiting: (change) => {
        this.#handshakes += change;
      },
      accept: (channel) => this.accept(paced === undefined ? channel : paced(channel)),
      refused: (reason, of) => {
        metrics.handshakesRefused(reason).add();
        if (reason === 'rate' || reason === 'address') this.#tooMany.note(reason, of?.peer ?? '', clock.monotonicMs());
        else if (of !== undefined) logger.debug({ reason, ...of }, 'a connection was refused before MQTT');
      },
    };
  }

  /** A connection from any transport. */
  accept(channel: ByteChannel): void {
    new Connection(this.#services, channel);
  }

  /** From now on it publishes the wills it is asked for: it knows who subscribes to what, and who may publish. */
  publishWills(): void {
    if (this.#wills !== undefined) this.#services.sessions?.client.onWills(this.#wills);
  }

  /** Lets other gateways reach this one. */
  serve(registry: ServiceRegistry): void {
    this.#services.mesh.serve(registry);
  }

  /** The nodes with a gateway, this one included or not: call it with every change of the topology. */
  setPeers(nodeIds: Iterable<number>): void {
    this.#services.mesh.setPeers(nodeIds);
  }

  *connections(): IterableIterator<ConnectionSummary> {
    for (const connection of this.#services.table.connections()) {
      if (connection.isOpen) yield connection.summary();
    }
  }

  /** For status pages. */
  counts(): {
    connections: number;
    sessions: number;
    liveSubscriptions: number;
    peers: number;
    remoteRoutes: number;
  } {
    const { table, live, mesh } = this.#services;
    return {
      connections: table.size,
      sessions: table.sessions,
      liveSubscriptions: live.subscriptions,
      peers: mesh.peersReached,
      remoteRoutes: mesh.remoteRoutes,
    };
  }

  /**
   * Sends the clients elsewhere, a few at a time over `drainMs`, while this gateway goes on serving the others. Resolves
   * when all are gone or the time is over; `close` or `endDrain` follows. Who comes now is hung up on.
   */
  drain(options: DrainOptions): Promise<void> {
    return this.#services.drain.start(options);
  }

  /**
   * For good, before the drain of a node that stops: a load balancer that is refused tries the next gateway at once, and a
   * client that was sent away does not come back here while the others go.
   */
  stopListening(): void {
    this.#letsIn = false;
    for (const listener of this.#listeners) listener.stop();
  }

  /** Sends the oldest connections elsewhere until no more than the target are left; serves and lets in all the while. */
  shed(wish: SheddingWish): void {
    if (this.#closing === undefined) this.#shedding.start(wish);
  }

  /** Ends that. */
  keep(): void {
    this.#shedding.stop();
  }

  load(): { connections: number; isShedding: boolean; target: number; sent: number } {
    const { active, target, sent } = this.#shedding;
    return { connections: this.#services.table.size, isShedding: active, target, sent };
  }

  /** Lets clients in again: this node is back in service. */
  endDrain(): void {
    if (this.#closing === undefined) this.#services.drain.end();
  }

  /**
   * Stops listening and reading, waits for publishes under way to be acknowledged, tells everybody to go elsewhere, and
   * lets the last bytes out. Whatever is left after `drainMs` is cut. Wills are due: the sessions end.
   */
  close(options: { drainMs: number }): Promise<void> {
    this.#closing ??= this.#drain(options.drainMs);
    return this.#closing;
  }

  async #drain(drainMs: number): Promise<void> {
    const { table, clock, metrics, logger } = this.#services;
    metrics.draining.set(1);
    this.#shedding.stop();
    this.stopListening();
    const untilMs = clock.monotonicMs() + drainMs;
    for (const connection of table.connections()) connection.drain();
    await this.#until(untilMs, () => this.#acknowledged());
    for (const connection of [...table.connections()]) connection.state.disconnect(ReasonCode.SERVER_SHUTTING_DOWN);
    await this.#until(Math.max(untilMs, clock.monotonicMs() + FAREWELL_MS), () => table.size === 0);
    const cut = table.size;
    for (const connection of [...table.connections()]) connection.channel.destroy();
    await this.#until(clock.monotonicMs() + FAREWELL_MS, () => table.size === 0);
    clearInterval(this.#ticker);
    this.#wills?.close();
    this.#services.leftRoutes.close();
    // Behind the last connection: its will goes to the other gateways, too.
    this.#services.mesh.close();
    if (cut > 0) logger.warn({ connections: cut }, 'connections were cut at the end of the drain');
  }

  #acknowledged(): boolean {
    for (const connection of this.#services.table.connections()) if (connection.state.acks.count > 0) return false;
    return true;
  }

  /** Polled: shutdown happens once, and nothing on the hot path has to remember that somebody may wait. */
  async #until(deadlineMs: number, done: () => boolean): Promise<void> {
    while (!done() && this.#services.clock.monotonicMs() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  #isFull(): boolean {
    const { table, drain, logger } = this.#services;
    const { connectionsMax } = table;
    const isOpen = this.#closing === undefined && !drain.active;
    const connections = table.size + this.#handshakes;
    if (connections < connectionsMax * ROOM_SHARE) this.#saidFull = false;
    if (isOpen && connections < connectionsMax) return false;
    this.#services.metrics.connectionsRefused.add();
    if (isOpen && !this.#saidFull) {
      this.#saidFull = true;
      logger.warn(
        { connectionsMax, hint: FULL_HINT },
        'this gateway has as many MQTT connections as it may: new ones are closed without a CONNACK, and clients come again',
      );
    }
    return true;
  }

  #listening(listener: Entrance): Address {
    this.#listeners.push(listener);
    // It was being opened when all were closed for good.
    if (!this.#letsIn) listener.stop();
    return listener.address;
  }

  #tick(): void {
    const nowMs = this.#services.clock.monotonicMs();
    this.#services.wheel.advance(nowMs);
    this.#services.mesh.tick();
    this.#services.system.tick(nowMs, this.#services.clock.nowMs());
    this.#services.admissionEnds.advance(this.#services.clock.nowMs());
  }
}

/** With less than that of the most, it counts as having had room: at the edge clients come and go, and a line each would be many. */
const ROOM_SHARE = 0.95;
const FULL_HINT =
  'raise mqtt.connectionsMax, and the limit of open files with it, or add a gateway and spread clients (sluice cluster rebalance); sluice_gateway_connections_refused_total counts them';

const POLL_MS = 10;
/** Even a drain of 0 lets the DISCONNECT out. */
const FAREWELL_MS = 250;
