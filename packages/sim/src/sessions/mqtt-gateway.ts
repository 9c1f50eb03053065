import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { stableHashOfText } from '@sluice/common/stable-hash';
import { anonymousAuthenticator } from '@sluice/gateway/auth/authenticator';
import type { QueueAttachments } from '@sluice/gateway/deliver/queue-attachments';
import { Gateway } from '@sluice/gateway/gateway';
import type { DurablePublish } from '@sluice/gateway/publish/durable-publish';
import { NodeKeyEnvironment } from '@sluice/gateway/publish/key-environment';
import { PublishRouter } from '@sluice/gateway/publish/publish-router';
import { QueueKeys } from '@sluice/gateway/publish/queue-keys';
import { StoredSessions } from '@sluice/gateway/session/stored-sessions';
import { StreamRoutes } from '@sluice/gateway/session/stream-routes';
import { streamsKnown } from '@sluice/gateway/session/streams-known';
import type { Topology } from '@sluice/meta/topology';
import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { GroupProducer } from '@sluice/store-client/publish/group-producer';
import type { PartitionProducer } from '@sluice/store-client/publish/partition-producer';
import { RetainedLookups } from '@sluice/store-client/retained/retained-lookups';
import type { RouteTable } from '@sluice/store-client/route/route-table';
import { SessionClient } from '@sluice/store-client/session/session-client';
import type { SimHost } from '../sim-network.ts';
import type { SimWorld } from '../sim-world.ts';
import { SimSocket, type SocketClient } from './sim-socket.ts';
import { type SessionWatch, watchedTransport } from './watched-sessions.ts';

/** The MQTT tier of one gateway process, composed as the server composes it, with simulated sockets. */
export class MqttGateway {
  readonly #world: SimWorld;
  readonly #host: SimHost;
  readonly #topology: Topology;
  readonly #clock: Clock;
  readonly #gateway: Gateway;
  readonly #sessions: SessionClient;
  readonly #streams = new StreamRoutes();
  readonly #sockets = new Set<SimSocket>();
  #isListening = false;

  /** Where clients are, as the network counts nodes. */
  static readonly CLIENTS = 60_000;
  static readonly EXPIRY_WITHOUT_PROPERTY_S = 8;

  constructor(parts: MqttGatewayParts) {
    const { world, host, topology, routes, clock, logger, metrics, watch } = parts;
    this.#world = world;
    this.#host = host;
    this.#topology = topology;
    this.#clock = clock;
    const transport = watchedTransport(host, watch);
    this.#sessions = new SessionClient({ topology, routes, transport, clock, logger, streams: this.#streams });
    const groups = new GroupProducer({ routes, transport, clock });
    const publishing = {
      topology,
      keys: new QueueKeys(new NodeKeyEnvironment(clock, {})),
      streams: this.#streams,
      clock,
      logger,
      metrics,
    };
    const process = host.life.name;
    const durable = new WatchedPublishes(new PublishRouter({ ...publishing, producer: parts.producer }), (packet) =>
      watch.routed(packet, this.#known(packet, watch)),
    );
    const willsDurable = new WatchedPublishes(new PublishRouter({ ...publishing, producer: groups }), (packet) =>
      watch.wills.publishes(packet, this.#known(packet, watch), process),
    );
    this.#gateway = new Gateway({
      nodeId: host.nodeId,
      transport,
      clock,
      logger,
      metrics,
      authenticator: anonymousAuthenticator,
      durable,
      wills: { durable: willsDurable, groups },
      queues: parts.attachments,
      retained: new RetainedLookups({ topology, routes, transport, clock, metrics }),
      sessions: new StoredSessions({
        client: this.#sessions,
        topology,
        expiryWithoutPropertyS: MqttGateway.EXPIRY_WITHOUT_PROPERTY_S,
        // Of the process, and of one length: how long a frame is decides when it comes.
        randomBelow: (bound) => Math.floor(bound / 2) + stableHashOfText(host.life.name),
      }),
      limits: { systemIntervalMs: 0 },
    });
    this.#gateway.serve(host);
  }

  /** The streams that a publish is kept in, as far as this gateway knows, without those that are over. */
  #known({ topic }: PublishPacket, { streams }: SessionWatch): ReadonlySet<string> {
    const matching = this.#streams.match(topic).filter((route) => streams.isNewest(route));
    return new Set(matching.map(({ partition, filter }) => `${partition} ${filter}`));
  }

  async listen(): Promise<void> {
    await streamsKnown(this.#streams, this.#topology, this.#clock);
    this.#gateway.publishWills();
    this.#isListening = true;
  }

  topologyChanged(): void {
    const gateways = this.#topology.nodes().filter(({ state, roles }) => state !== 'gone' && roles.includes('gateway'));
    this.#gateway.setPeers(gateways.map(({ nodeId }) => nodeId));
    this.#sessions.topologyChanged();
  }

  /** Undefined: nobody listens yet. */
  connect(name: string, client: SocketClient): SimSocket | undefined {
    if (!this.#isListening) return undefined;
    const { network, nodeId, life } = this.#host;
    const socket = new SimSocket({
      world: this.#world,
      gateway: life,
      name,
      latencyMs: () => network.latencyMs(nodeId, MqttGateway.CLIENTS),
      client,
      accept: (channel) => this.#gateway.accept(channel),
    });
    this.#sockets.add(socket);
    return socket;
  }

  /** Its process or its machine is gone. */
  died(how: 'process' | 'power'): void {
    for (const socket of this.#sockets) socket.gatewayDied(how);
  }
}

/** Sees each publish in the moment in which it is decided where it is kept. */
class WatchedPublishes implements DurablePublish {
  readonly #router: PublishRouter;
  readonly #routed: (packet: PublishPacket) => void;

  constructor(router: PublishRouter, routed: (packet: PublishPacket) => void) {
    this.#router = router;
    this.#routed = routed;
  }

  publish(...publish: Parameters<DurablePublish['publish']>): boolean {
    this.#routed(publish[0]);
    return this.#router.publish(...publish);
  }

  get congested(): boolean {
    return this.#router.congested;
  }

  onRelief(listener: () => void): void {
    this.#router.onRelief(listener);
  }
}

export interface MqttWatch extends SessionWatch {
  /** `streams`: those that are not over, each as its partition and its filter. */
  routed(packet: PublishPacket, streams: ReadonlySet<string>): void;
}

export interface MqttGatewayParts {
  world: SimWorld;
  host: SimHost;
  topology: Topology;
  routes: RouteTable;
  producer: PartitionProducer;
  attachments: QueueAttachments;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  watch: MqttWatch;
}
