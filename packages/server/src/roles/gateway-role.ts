import { randomBytes } from 'node:crypto';
import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { AccessAdministration } from '@sluice/coordinator/access-administration';
import { QueueAttachments } from '@sluice/gateway/deliver/queue-attachments';
import { Gateway } from '@sluice/gateway/gateway';
import { nodeKeyEnvironment } from '@sluice/gateway/publish/key-environment';
import { PublishRouter } from '@sluice/gateway/publish/publish-router';
import { QueueKeys } from '@sluice/gateway/publish/queue-keys';
import { StoredSessions } from '@sluice/gateway/session/stored-sessions';
import { StreamRoutes } from '@sluice/gateway/session/stream-routes';
import { streamsKnown } from '@sluice/gateway/session/streams-known';
import { banOf } from '@sluice/meta/access/access-keys';
import type { AccessRow } from '@sluice/meta/access/access-table';
import type { MetaCommand } from '@sluice/meta/meta-commands';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { Topology } from '@sluice/meta/topology';
import type { GatewayLoadRequest, GatewayLoadResponse } from '@sluice/rpc/contract/gateway-load';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';
import type { ServiceRegistry, Transport } from '@sluice/rpc/transport';
import { GroupProducer } from '@sluice/store-client/group-producer';
import type { MetadataClient } from '@sluice/store-client/metadata-client';
import { PartitionConsumer } from '@sluice/store-client/partition-consumer';
import { PartitionProducer } from '@sluice/store-client/partition-producer';
import { RetainedLookups } from '@sluice/store-client/retained-lookups';
import type { RouteTable } from '@sluice/store-client/route-table';
import { SessionClient } from '@sluice/store-client/session-client';
import { BUILD } from '../build.ts';
import type { Access } from '../config/access-files.ts';
import type { Address } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';
import { SETTING_BY_KEY } from '../config/settings.ts';
import type { ListenerCertificates } from '../listener-certificates.ts';
import { openFilesLimit, shareOpenFiles } from '../open-files.ts';
import { WatchedFiles } from '../watched-files.ts';
import { type Door, doorOf } from './door.ts';

/** How long a publisher waits for a leader before it is told that nobody knows. */
const APPEND_DEADLINE_MS = 15_000;

/** For the ends of the last connections to be stored. */
const SESSIONS_STOP_MS = 1_000;

/**
 * Of 53 bits: a partition that took two lives for one would take batches of the second for repeated ones. Small numbers
 * are those of partitions, which are producers as well (`store-client/group-producer`).
 */
function drawProducerId(): number {
  return Math.max(Number(randomBytes(8).readBigUInt64BE() >> 11n), 2 ** 32);
}

/** The MQTT tier of this node, and its way to the stores. */
export class GatewayRole {
  readonly gateway: Gateway;
  mqtt: Address | null = null;
  mqtts: Address | null = null;
  ws: Address | null = null;
  wss: Address | null = null;
  readonly #config: ServerConfig;
  readonly #nodeId: number;
  readonly #topology: Topology;
  readonly #clock: Clock;
  readonly #producer: PartitionProducer;
  readonly #consumers: PartitionConsumer;
  readonly #attachments: QueueAttachments;
  readonly #door: Door;
  /** Of users, rules and bans, as they were looked at last. */
  #accessVersion = 0;
  readonly #sessions: SessionClient;
  readonly #groups: GroupProducer;
  readonly #streams = new StreamRoutes();
  readonly #certificates: ListenerCertificates | undefined;
  readonly #accessFiles: WatchedFiles<Access>;
  readonly #retained: RetainedLookups;
  #isDrained = false;
  #isStopping = false;
  #stopped: Promise<void> | undefined;

  constructor(parts: {
    config: ServerConfig;
    nodeId: number;
    name: string;
    topology: Topology;
    routes: RouteTable;
    metadata: MetadataClient;
    transport: Transport & ServiceRegistry;
    clock: Clock;
    logger: Logger;
    metrics: Metrics;
    /** Of the TLS listeners. */
    certificates: ListenerCertificates | undefined;
  }) {
    const { config, nodeId, name, topology, routes, metadata, transport, clock, logger, metrics } = parts;
    this.#config = config;
    this.#nodeId = nodeId;
    this.#topology = topology;
    this.#clock = clock;
    this.#door = doorOf(config, topology.access, {
      clock,
      logger,
      ban: (clientId, reason, forMs) => {
        const untilMs = clock.nowMs() + forMs;
        logger.info({ client: clientId, reason, until: new Date(untilMs).toISOString() }, 'banned');
        void metadata.execute(banCommand(clientId, reason, clock.nowMs(), untilMs));
      },
    });
    this.#certificates = parts.certificates;
    this.#accessFiles = new WatchedFiles(config.auth.files, {
      logger,
      refused: metrics.gauge(
        'sluice_gateway_access_files_refused',
        '1 while the files of users, rules and token keys cannot be used as they are, and those of before stay in force.',
      ),
      subject: 'users and rules',
      count: ({ users, rules }) => ({ users: users.length, rules: rules.length }),
    });
    this.#producer = new PartitionProducer({
      topology,
      routes,
      transport,
      clock,
      logger,
      metrics,
      producerId: drawProducerId(),
      bufferBytesMax: config.queues.publishBufferBytes,
      deadlineMs: APPEND_DEADLINE_MS,
    });
    this.#consumers = new PartitionConsumer({ topology, routes, transport, clock });
    this.#attachments = new QueueAttachments({
      nodeId,
      topology,
      routes,
      consumers: this.#consumers,
      wanted: (name, topicFilter) => metadata.wanted(name, topicFilter),
    });
    this.#retained = new RetainedLookups({ topology, routes, transport, clock, metrics });
    this.#sessions = new SessionClient({ topology, routes, transport, clock, logger, streams: this.#streams });
    this.#groups = new GroupProducer({ routes, transport, clock });
    const publishing = {
      topology,
      keys: new QueueKeys(nodeKeyEnvironment),
      streams: this.#streams,
      clock,
      logger,
      metrics,
    };
    this.gateway = new Gateway({
      nodeId,
      transport,
      clock,
      logger,
      metrics,
      authenticator: this.#door.authenticator,
      enhanced: this.#door.enhanced,
      authorizer: this.#door.authorizer,
      durable: new PublishRouter({ ...publishing, producer: this.#producer }),
      wills: { durable: new PublishRouter({ ...publishing, producer: this.#groups }), groups: this.#groups },
      queues: this.#attachments,
      retained: this.#retained,
      system: { node: name, version: BUILD.version, nodes: () => this.#gateways().map((node) => node.name) },
      sessions: new StoredSessions({
        client: this.#sessions,
        topology,
        expiryWithoutPropertyS: config.sessions.expiryWithoutPropertyS,
      }),
      limits: {
        maximumPacketSizeBytes: config.mqtt.maximumPacketBytes,
        receiveMaximum: config.mqtt.receiveMaximum,
        topicAliasMaximum: config.mqtt.topicAliasMaximum,
        validatePayloadFormat: config.mqtt.validatePayloadFormat,
        systemIntervalMs: config.mqtt.systemIntervalMs,
        responseInformation: config.mqtt.responseInformation,
        keepAliveMaxS: Math.floor(config.mqtt.keepAliveMaxMs / 1000),
        connectTimeoutMs: config.mqtt.connectTimeoutMs,
        connectionsMax: connectionsMaxOf(config, logger),
        sendBufferBytesMax: config.mqtt.sendBufferBytesMax,
        liveQueueMax: config.mqtt.liveQueueMessagesMax,
        denyAction: config.authorization.denyAction,
        connectsPerSecond: config.mqtt.connectRate,
        rates: config.mqtt.rates,
        connectionsPerAddressMax: config.mqtt.connectionsPerAddress,
        retainedMessageBytesMax: config.retained.messageBytesMax,
      },
    });
    this.gateway.serve(transport);
    transport.serveCall<GatewayLoadRequest, GatewayLoadResponse>('gateway-load', async (request) =>
      this.#load(request),
    );
  }

  /** Lets clients in. */
  async listen(): Promise<void> {
    await streamsKnown(this.#streams, this.#topology, this.#clock);
    this.gateway.publishWills();
    const { listeners } = this.#config;
    const { proxyProtocol, readsInPlace } = this.#config.mqtt;
    const { mqtt, mqtts, ws, wss } = listeners;
    const tls = this.#certificates?.current;
    const of = (name: keyof typeof listeners) => ({ proxyProtocol: proxyProtocol.has(name), readsInPlace });
    this.mqtt = mqtt === null ? null : await this.gateway.listenTcp(mqtt, of('mqtt'));
    this.mqtts = mqtts === null ? null : await this.gateway.listenTcp(mqtts, { ...of('mqtts'), tls });
    this.ws = ws === null ? null : await this.gateway.listenWebSocket(ws, of('ws'));
    this.wss = wss === null ? null : await this.gateway.listenWebSocket(wss, { ...of('wss'), tls });
    this.#certificates?.watch((renewed) => this.gateway.renewTls(renewed));
    this.#accessFiles.watch((renewed) => this.#door.replace(renewed));
  }

  /** Somebody changed the files of users and rules, and is done. */
  readFilesAgain(): void {
    void this.#accessFiles.look({ isWritten: true });
  }

  topologyChanged(): void {
    this.gateway.setPeers(this.#gateways().map(({ nodeId }) => nodeId));
    this.#producer.topologyChanged();
    this.#consumers.topologyChanged();
    this.#sessions.topologyChanged();
    this.#attachments.topologyChanged();
    this.#followAccess();
    this.#followWish();
  }

  #followAccess(): void {
    const { version } = this.#topology.access;
    if (version === this.#accessVersion) return;
    this.#accessVersion = version;
    this.#door.authorizer.changed();
  }

  #gateways(): NodeInfo[] {
    return this.#topology.nodes().filter(({ roles, state }) => state !== 'gone' && roles.includes('gateway'));
  }

  /** Its clients were asked to use another gateway, by an operator. */
  get isDrained(): boolean {
    return this.#isDrained;
  }

  /** How many clients are here. */
  get connections(): number {
    return this.gateway.counts().sessions;
  }

  /**
   * A node that drains or leaves gives its clients to the other gateways, and gets them back into service again with
   * `active`. While there is no other, its clients stay: they would have nowhere to go.
   */
  #followWish(): void {
    const state = this.#topology.node(this.#nodeId)?.state;
    if (state === undefined) return;
    if (state === 'active') {
      if (this.#isDrained && !this.#isStopping) this.gateway.endDrain();
      this.#isDrained = false;
      return;
    }
    if (this.#isDrained || !this.#hasOtherGateway()) return;
    this.#isDrained = true;
    const drainMs = this.#config.node.drainTimeoutMs;
    void this.gateway.drain({ drainMs, serverReference: this.#otherGateways(), moved: state !== 'draining' });
  }

  /** What an operator asks who spreads connections over the gateways. */
  #load(request: GatewayLoadRequest): GatewayLoadResponse {
    if (request.type === 'keep') this.gateway.keep();
    if (request.type === 'shed' && this.#hasOtherGateway()) {
      const { target, perSecond } = request;
      this.gateway.shed({ target, perSecond, serverReference: this.#otherGateways() });
    }
    return { type: 'load', ...this.gateway.load() };
  }

  #hasOtherGateway(): boolean {
    return this.#topology
      .nodes()
      .some(
        ({ nodeId, roles, state }) =>
          nodeId !== this.#nodeId && state === 'active' && roles.includes('gateway') && this.#topology.isAlive(nodeId),
      );
  }

  report(): NodeReport['consumers'] {
    return this.#attachments.consumersReport();
  }

  /** Sends the clients to other gateways, a few at a time, while those that are here are served. */
  async sendAway(drainMs: number): Promise<void> {
    this.#isStopping = true;
    this.gateway.stopListening();
    await this.gateway.drain({ drainMs, serverReference: this.#otherGateways() });
  }

  /** Once: who asks again waits for the first. */
  stop(drainMs: number): Promise<void> {
    this.#isStopping = true;
    this.#stopped ??= this.#stop(drainMs);
    return this.#stopped;
  }

  async #stop(drainMs: number): Promise<void> {
    this.#certificates?.close();
    this.#accessFiles.close();
    this.#door.close();
    await this.gateway.close({ drainMs });
    this.#attachments.close();
    this.#retained.close();
    this.#producer.close();
    this.#groups.close();
    this.#consumers.close();
    await this.#sessions.stop(SESSIONS_STOP_MS);
  }

  #otherGateways(): string | undefined {
    const others = this.#topology
      .nodes()
      .filter(({ nodeId, mqttAddress, state }) => nodeId !== this.#nodeId && mqttAddress !== '' && state === 'active')
      .filter(({ nodeId }) => this.#topology.isAlive(nodeId))
      .map(({ mqttAddress }) => mqttAddress);
    return others.length === 0 ? undefined : others.join(' ');
  }
}

function banCommand(clientId: string, reason: string, atMs: number, untilMs: number): MetaCommand {
  const value = { by: 'flapping', reason, atMs, untilMs };
  const row: AccessRow = { table: 'ban', key: banOf('clientid', clientId), value };
  return { kind: 'put-access', row, expect: 'any', rowsMax: AccessAdministration.ROWS_MAX.ban };
}

function connectionsMaxOf(config: ServerConfig, logger: Logger): number {
  const filesMax = openFilesLimit();
  const { connectionsMax } = shareOpenFiles(filesMax, config.mqtt.connectionsMax);
  const asked = config.mqtt.connectionsMax;
  if (connectionsMax < asked) {
    // Who left the default asked for nothing.
    const isAsked = asked !== SETTING_BY_KEY.get('mqtt.connectionsMax')?.rule.default;
    logger[isAsked ? 'warn' : 'info'](
      { connectionsMax, asked, openFilesMax: filesMax },
      'fewer MQTT connections than mqtt.connectionsMax are accepted: raise the limit of open files',
    );
  }
  return connectionsMax;
}
