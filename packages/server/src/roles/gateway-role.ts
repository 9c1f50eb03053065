import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { AccessAdministration } from '@sluice/coordinator/administration/access-administration';
import { Gateway } from '@sluice/gateway/gateway';
import { banOf } from '@sluice/meta/access/access-keys';
import type { AccessRow } from '@sluice/meta/access/access-table';
import type { MetaCommand } from '@sluice/meta/meta-commands';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { Topology } from '@sluice/meta/topology';
import type { GatewayLoadRequest, GatewayLoadResponse } from '@sluice/rpc/contract/gateway-load';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';
import type { ServiceRegistry, Transport } from '@sluice/rpc/transport';
import type { MetadataClient } from '@sluice/store-client/metadata/metadata-client';
import type { RouteTable } from '@sluice/store-client/route/route-table';
import { BUILD } from '../build.ts';
import type { ListenerCertificates } from '../certificates/listener-certificates.ts';
import { WatchedFiles } from '../certificates/watched-files.ts';
import type { Access } from '../config/access-files.ts';
import type { Address } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';
import { type Door, doorOf } from './door.ts';
import { gatewayLimitsOf } from './gateway-limits.ts';
import { GatewayStores } from './gateway-stores.ts';
import { OtherGateways } from './other-gateways.ts';

/**
 * The gateway of this node: composed of who may come in (`door`), its way to the stores (`gateway-stores`) and the settings,
 * and made to follow what the cluster says of this node: users and rules, and whether its clients are to go elsewhere.
 */
export class GatewayRole {
  readonly gateway: Gateway;
  mqtt: Address | null = null;
  mqtts: Address | null = null;
  ws: Address | null = null;
  wss: Address | null = null;
  readonly #config: ServerConfig;
  readonly #nodeId: number;
  readonly #topology: Topology;
  readonly #others: OtherGateways;
  readonly #stores: GatewayStores;
  readonly #door: Door;
  /** Of users, rules and bans, as they were looked at last. */
  #accessVersion = 0;
  readonly #certificates: ListenerCertificates | undefined;
  readonly #accessFiles: WatchedFiles<Access>;
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
    const { config, nodeId, name, topology, metadata, transport, clock, logger, metrics } = parts;
    this.#config = config;
    this.#nodeId = nodeId;
    this.#topology = topology;
    this.#others = new OtherGateways(topology, nodeId);
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
    this.#stores = new GatewayStores(parts);
    const { authenticator, enhanced, authorizer } = this.#door;
    const { durable, wills, queues, retained, sessions } = this.#stores;
    this.gateway = new Gateway({
      ...{ nodeId, transport, clock, logger, metrics },
      ...{ authenticator, enhanced, authorizer },
      ...{ durable, wills, queues, retained, sessions },
      system: { node: name, version: BUILD.version, nodes: () => this.#gateways().map((node) => node.name) },
      limits: gatewayLimitsOf(config, logger),
    });
    this.gateway.serve(transport);
    transport.serveCall<GatewayLoadRequest, GatewayLoadResponse>('gateway-load', async (request) =>
      this.#load(request),
    );
  }

  /** Lets clients in, unless this node was told to stop meanwhile. `isLost`: a partition that nobody can lead. */
  async listen(isLost: (partition: number) => boolean): Promise<void> {
    await this.#stores.ready(isLost);
    if (this.#isStopping) return;
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
    if (this.#isStopping) return;
    this.#certificates?.watch((renewed) => this.gateway.renewTls(renewed));
    this.#accessFiles.watch((renewed) => this.#door.replace(renewed));
  }

  /** Somebody changed the files of users and rules, and is done. */
  readFilesAgain(): void {
    void this.#accessFiles.look({ isWritten: true });
  }

  topologyChanged(): void {
    this.gateway.setPeers(this.#gateways().map(({ nodeId }) => nodeId));
    this.#stores.topologyChanged();
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
    if (this.#isDrained || !this.#others.any) return;
    this.#isDrained = true;
    const drainMs = this.#config.node.drainTimeoutMs;
    void this.gateway.drain({ drainMs, serverReference: this.#others.serverReference(), moved: state !== 'draining' });
  }

  /** What an operator asks who spreads connections over the gateways. */
  #load(request: GatewayLoadRequest): GatewayLoadResponse {
    if (request.type === 'keep') this.gateway.keep();
    if (request.type === 'shed' && this.#others.any) {
      const { target, perSecond } = request;
      this.gateway.shed({ target, perSecond, serverReference: this.#others.serverReference() });
    }
    return { type: 'load', ...this.gateway.load() };
  }

  report(): NodeReport['consumers'] {
    return this.#stores.queues.consumersReport();
  }

  /** This node is to stop: what is not open yet stays closed. Clients that are here are served until `sendAway` or `stop`. */
  beginStop(): void {
    this.#isStopping = true;
  }

  /** Sends the clients to other gateways, a few at a time, while those that are here are served. */
  async sendAway(drainMs: number): Promise<void> {
    this.#isStopping = true;
    this.gateway.stopListening();
    await this.gateway.drain({ drainMs, serverReference: this.#others.serverReference() });
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
    await this.#stores.close();
  }
}

function banCommand(clientId: string, reason: string, atMs: number, untilMs: number): MetaCommand {
  const value = { by: 'flapping', reason, atMs, untilMs };
  const row: AccessRow = { table: 'ban', key: banOf('clientid', clientId), value };
  return { kind: 'put-access', row, expect: 'any', rowsMax: AccessAdministration.ROWS_MAX.ban };
}
