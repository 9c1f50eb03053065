import { setTimeout as delay } from 'node:timers/promises';
import { type Clock, systemClock } from '@sluice/common/clock';
import { type SluiceError, withHint } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import { SeededPrng } from '@sluice/common/prng';
import { AccessAdministration } from '@sluice/coordinator/access-administration';
import { BackupAdministration } from '@sluice/coordinator/backup-administration';
import { ClusterAdministration } from '@sluice/coordinator/cluster-administration';
import { ConnectionAdministration } from '@sluice/coordinator/connection-administration';
import type { Coordinator } from '@sluice/coordinator/coordinator';
import { QueueAdministration } from '@sluice/coordinator/queue-administration';
import type { NodeInfo, NodeRegistration } from '@sluice/meta/node-info';
import { Topology } from '@sluice/meta/topology';
import type { ExportService } from '@sluice/multiraft/export-service';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { ClusterRequest, ClusterResponse } from '@sluice/rpc/contract/cluster';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';
import { QueueMetrics } from '@sluice/store/metrics/queue-metrics';
import { Store } from '@sluice/store/store';
import { MetadataClient } from '@sluice/store-client/metadata-client';
import { RetainedAdministration } from '@sluice/store-client/retained-administration';
import { RouteTable } from '@sluice/store-client/route-table';
import { TopologyWatcher } from '@sluice/store-client/topology-watcher';
import { ProcessMetrics } from '@sluice/telemetry/process-metrics';
import type { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';
import { BUILD } from './build.ts';
import { formatAddress } from './config/address.ts';
import type { ServerConfig } from './config/config.ts';
import { type Ground, openGround } from './ground.ts';
import { HeapGrowth } from './heap-growth.ts';
import { confirmCluster } from './identity/confirm-cluster.ts';
import type { Member } from './identity/node-identity.ts';
import { nodeName } from './identity/node-name.ts';
import { answerHello, loneFounder, obtainMembership } from './identity/obtain-membership.ts';
import { GIVEN_UP, OwnPlace } from './identity/own-place.ts';
import { rememberCluster } from './identity/remembered-member.ts';
import { keptSecret } from './kept-secret.ts';
import { type ListenerCertificates, openListenerCertificates } from './listener-certificates.ts';
import { MetricsPages } from './metrics-pages.ts';
import { type NodeHealth, tell } from './node-health.ts';
import { type NodeLink, openNodeLink } from './node-link.ts';
import { ownView } from './own-view.ts';
import { openCoordinator } from './roles/coordinator-role.ts';
import { GatewayRole } from './roles/gateway-role.ts';
import { openRaft } from './roles/raft-role.ts';
import { leaderlessPartitions, servedPartitions } from './served-partitions.ts';

/**
 * One process of a cluster: the roles it hosts, composed on one transport over one storage. All-in-one is nothing but
 * all of them at once, and a node that is alone is a cluster of one.
 */
export class RunningNode {
  readonly health: NodeHealth;
  readonly metrics: MetricsPages;
  readonly topology: Topology;
  readonly queues: QueueAdministration;
  readonly retained: RetainedAdministration;
  readonly cluster: ClusterAdministration;
  readonly connections: ConnectionAdministration;
  readonly access: AccessAdministration;
  readonly backup: BackupAdministration;
  readonly name: string;
  readonly gateway: GatewayRole | undefined;
  readonly #parts: Parts;
  readonly #heapGrowth = new HeapGrowth();
  #timer: NodeJS.Timeout | undefined;

  static readonly HEALTH_INTERVAL_MS = 500;
  /** Of the drain time, at most: leaders are handed over within moments or not at all. */
  static readonly HAND_OVER_MS_MAX = 5_000;

  private constructor(parts: Parts) {
    const { health, metrics, queueMetrics, host, topology, queues, retained, cluster, access, backup, name, gateway } =
      parts;
    this.health = health;
    this.metrics = new MetricsPages(metrics, queueMetrics, host);
    this.topology = topology;
    this.queues = queues;
    this.retained = retained;
    this.cluster = cluster;
    this.connections = parts.connections;
    this.access = access;
    this.backup = backup;
    this.name = name;
    this.gateway = gateway;
    this.#parts = parts;
  }

  /** Everything is opened, and the node has its place in a cluster. It may be looked at and stopped; `begin` follows. */
  static async open(
    config: ServerConfig,
    { logger, metrics, health }: { logger: Logger; metrics: PrometheusMetrics; health: NodeHealth },
    stopping: () => boolean,
  ): Promise<RunningNode> {
    const clock = systemClock;
    // First: what clients would refuse ends the start before anything is opened.
    const certificates = await openListenerCertificates(config, { clock, logger, metrics });
    const ground = await openGround(config, logger, metrics);
    let link: NodeLink | undefined;
    let parts: Parts | undefined;
    try {
      link = await openNodeLink(config, { clock, logger, metrics });
      parts = await compose({ config, clock, logger, metrics, health, ground, link, certificates, stopping });
      return new RunningNode(parts);
    } catch (cause) {
      await (parts?.host === undefined ? ground.close() : parts.host.close());
      await link?.close();
      throw cause;
    }
  }

  /** Resolves when the node serves: its partitions have leaders, and its listeners are open. */
  async begin(config: ServerConfig, logger: Logger): Promise<void> {
    try {
      await begin(this.#parts, config, logger);
    } catch (cause) {
      await this.close();
      throw cause;
    }
    this.#look();
    this.#timer = setInterval(() => this.#look(), RunningNode.HEALTH_INTERVAL_MS);
  }

  /** Resolves when the cluster goes on without this node, which is to end then. */
  get lost(): Promise<SluiceError> {
    return this.#parts.place.lost;
  }

  get grpc(): NodeLink['grpc'] {
    return this.#parts.link.grpc;
  }

  /**
   * In an order in which nobody misses anything: the cluster is told to look elsewhere, partitions get other leaders,
   * clients are sent to other gateways, what was accepted is answered. `close` follows.
   */
  async drain(drainMs: number): Promise<void> {
    clearInterval(this.#timer);
    this.health.drain.fail('this node is stopping');
    const { store, gateway } = this.#parts;
    const hasPeers = this.topology
      .nodes()
      .some(({ nodeId }) => nodeId !== this.#parts.nodeId && this.topology.isAlive(nodeId));
    const startedMs = systemClock.monotonicMs();
    if (hasPeers) {
      await store?.handOver(Math.min(drainMs, RunningNode.HAND_OVER_MS_MAX));
      await gateway?.sendAway(Math.max(0, drainMs - (systemClock.monotonicMs() - startedMs)) / 2);
    }
    await gateway?.stop(Math.max(0, drainMs - (systemClock.monotonicMs() - startedMs)));
    await store?.drain();
    const { place, metadata, nodeId } = this.#parts;
    await place.leave(() => metadata.execute({ kind: 'set-node-state', nodeId, state: 'gone' }));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const { store, watcher, coordinator, gateway, host, exports, link, processMetrics, ground } = this.#parts;
    await gateway?.stop(0);
    watcher.close();
    coordinator?.close();
    await store?.close();
    exports?.close();
    await (host === undefined ? ground.close() : host.close());
    await link.close();
    processMetrics.close();
  }

  /** Tells the health page what is wrong, from memory. */
  #look(): void {
    this.#heapGrowth.look();
    const { host, store, watcher } = this.#parts;
    const problems = store?.problems() ?? [];
    if (host !== undefined) {
      if (host.failure !== undefined) problems.unshift(`the storage failed: ${withHint(host.failure)}`);
      for (const { groupId, cause } of host.stoppedGroups()) {
        problems.push(`group ${groupId} stopped: ${withHint(cause)}`);
      }
      if (host.diskFull) store?.diskFull();
    }
    tell(this.health.storage, problems);
    const leaderless = this.gateway === undefined ? [] : leaderlessPartitions(this.#parts);
    const missing = leaderless.length === 0 ? [] : [`nobody is known to lead partition ${leaderless.join(', ')}`];
    if (watcher.coordinator === 0) missing.push('no coordinator answers: nothing can be changed, the rest goes on');
    const { drain, cluster } = this.health;
    if (this.gateway?.isDrained === true) drain.fail('this node is drained: clients go to other gateways');
    else drain.pass();
    // Established publishing and consuming goes on without a coordinator, so that alone makes no node unready.
    tell(cluster, leaderless.length === 0 ? [] : missing);
  }
}

interface Parts {
  nodeId: number;
  name: string;
  registration: NodeRegistration;
  ground: Ground;
  place: OwnPlace;
  link: NodeLink;
  health: NodeHealth;
  metrics: PrometheusMetrics;
  processMetrics: ProcessMetrics;
  topology: Topology;
  routes: RouteTable;
  metadata: MetadataClient;
  watcher: TopologyWatcher;
  queues: QueueAdministration;
  retained: RetainedAdministration;
  cluster: ClusterAdministration;
  connections: ConnectionAdministration;
  access: AccessAdministration;
  backup: BackupAdministration;
  /** Stores and coordinators only. */
  host: RaftHost | undefined;
  exports: ExportService | undefined;
  coordinator: Coordinator | undefined;
  store: Store | undefined;
  queueMetrics: QueueMetrics | undefined;
  gateway: GatewayRole | undefined;
}

interface Around {
  config: ServerConfig;
  clock: Clock;
  logger: Logger;
  metrics: PrometheusMetrics;
  health: NodeHealth;
  ground: Ground;
  link: NodeLink;
  certificates: ListenerCertificates | undefined;
  stopping: () => boolean;
}

/** Everything of this node, opened and not yet begun. Waits until the node has its place in a cluster. */
async function compose(around: Around): Promise<Parts> {
  const { config, clock, logger, metrics, health, ground, link } = around;
  const { transport } = link;
  const registration = registrationOf(config, ground, link);
  let coordinator: Coordinator | undefined;
  transport.serveCall<ClusterRequest, ClusterResponse>('cluster', async (request) => {
    if (request.type === 'register')
      return (await coordinator?.register(request.node)) ?? { type: 'elsewhere', address: '' };
    return answerHello(ground.identity, link.advertised, [...new Set(config.node.join.map(formatAddress))].sort());
  });
  const member = await placeOf(around, registration);
  const { nodeId } = member;
  link.setIdentity(member);
  for (const other of member.coordinators) link.addresses.set(other.nodeId, other.address);
  for (const other of member.nodes ?? []) link.addresses.set(other.nodeId, other.address, other.name);

  const topology = new Topology();
  const routes = new RouteTable(topology);
  const prng = new SeededPrng(Math.floor(Math.random() * 0x1_0000_0000));
  let host: RaftHost | undefined;
  let exports: ExportService | undefined;
  let store: Store | undefined;
  let gateway: GatewayRole | undefined;
  const report = (): NodeReport => ({
    ...(store?.report() ?? { leads: [], replicas: [] }),
    // Of the metadata too.
    impaired: host?.impaired() ?? [],
    consumers: gateway?.report() ?? [],
    connections: gateway?.connections ?? 0,
  });
  const watcher = new TopologyWatcher({
    topology,
    transport,
    clock,
    logger,
    coordinators: member.coordinators.map((other) => other.nodeId),
    addresses: link.addresses,
    acted: () => store?.settled(),
    report,
  });
  const metadata = new MetadataClient({
    topology,
    transport,
    clock,
    coordinators: member.coordinators.map((other) => other.nodeId),
    leading: () => watcher.coordinator,
  });

  if (ground.storage !== undefined) {
    const { storage } = ground;
    ({ host, exports } = openRaft({ nodeId, storage, store: () => store, prng, transport, clock, logger, metrics }));
    if (config.node.roles.has('coordinator')) {
      const onLeads = (): void => watcher.coordinatorLeads(nodeId);
      coordinator = await openCoordinator({ config, member, host, metadata, transport, clock, logger, onLeads });
    }
    if (config.node.roles.has('store')) {
      store = new Store({
        nodeId,
        storage: ground.storage,
        host,
        topology,
        transport,
        clock,
        logger,
        metrics,
        prng,
        readCacheBytesMax: config.queues.readCacheBytes,
        retained: config.retained,
        streamLimits: config.sessions.streamLimits,
        lagObjectiveMs: config.queues.lagObjectiveMs,
        diskReserveBytes: undefined,
        isImageCurrent: () => watcher.coordinator !== 0,
      });
      await store.open();
      store.serve(transport);
      store.onMoved(() => watcher.reportSoon());
    }
  }
  if (config.node.roles.has('gateway')) {
    const { certificates } = around;
    const parts = {
      config,
      nodeId,
      name: registration.name,
      topology,
      routes,
      metadata,
      transport,
      clock,
      logger,
      metrics,
      certificates,
    };
    gateway = new GatewayRole(parts);
  }
  return {
    nodeId,
    name: registration.name,
    registration,
    ground,
    place: new OwnPlace({
      ...{ topology, nodeId, leavesOnStop: config.node.leavesOnStop, keepsData: ground.storage !== undefined },
      forget: () => ground.forget(),
    }),
    link,
    health,
    metrics,
    processMetrics: new ProcessMetrics(metrics, BUILD),
    topology,
    routes,
    metadata,
    watcher,
    queues: new QueueAdministration({
      metadata,
      topology,
      transport,
      clock,
      lagObjectiveMs: config.queues.lagObjectiveMs,
    }),
    backup: new BackupAdministration({ topology, transport, leading: () => watcher.coordinator }),
    access: new AccessAdministration({ metadata, topology, clock, hash: keptSecret }),
    retained: new RetainedAdministration({ topology, transport, clock, metrics }),
    cluster: new ClusterAdministration({
      topology,
      metadata,
      leading: () => watcher.coordinator,
      ownView: ownView({ nodeId, host, routes: gateway === undefined ? undefined : routes }),
    }),
    connections: new ConnectionAdministration({ topology, transport }),
    host,
    exports,
    coordinator,
    store,
    queueMetrics: store === undefined ? undefined : new QueueMetrics(store.figures, metrics),
    gateway,
  };
}

/** From here on the node takes part; resolves when it serves. */
async function begin(parts: Parts, config: ServerConfig, logger: Logger): Promise<void> {
  const { host, coordinator, store, watcher, gateway, topology, link, place } = parts;
  host?.start();
  coordinator?.start();
  let nodes: readonly NodeInfo[] = [];
  watcher.onChange((_topology, what) => {
    // The same list while no node changed: most news are of queues, and cost nothing here.
    const isOfNodes = topology.nodes() !== nodes;
    nodes = topology.nodes();
    followClusterId(parts);
    place.look();
    if (isOfNodes) {
      for (const { nodeId, address, name, state } of nodes) {
        if (address !== '') link.addresses.set(nodeId, address, name);
        if (state === 'gone') link.addresses.retire(nodeId);
      }
    }
    store?.topologyChanged();
    gateway?.topologyChanged();
    if (isOfNodes || what !== 'delta') void rememberCluster(parts, logger);
  });
  watcher.start();
  // A node that fails now would never serve, and the wait would have no end.
  const failing = host?.failing() ?? new Promise<never>(() => {});
  // Then it is known who leads: asked before, nobody would, and it is asked again only after a while.
  const registered = watcher.imaged().then(() => register(parts));
  const telling = setInterval(() => parts.health.waitsFor(takingPart(parts)), LOOK_AT_WAIT_MS);
  const foreign = foreignData(parts, config);
  await Promise.race([registered, failing, foreign]).finally(() => clearInterval(telling));
  await Promise.race([servedPartitions(parts, logger), failing]);
  await Promise.race([Promise.resolve(store?.settled()), failing]);
  await gateway?.listen();
  if (config.node.roles.has('store') && topology.replicationFactor > 1) {
    logger.info({ node: parts.name, nodeId: parts.nodeId, cluster: topology.clusterId }, 'this node is in its cluster');
  }
}

/**
 * Data from before nodes had identities has a cluster in its metadata already, whose id is known with the first image. Until
 * then the node goes by one of its own, under which nobody looks for it.
 */
function followClusterId({ ground, topology, link, nodeId }: Parts): void {
  if (!ground.wasAlone || topology.clusterId === ground.identity.member?.clusterId) return;
  link.setIdentity({ clusterId: topology.clusterId, nodeId });
}

/** The metadata knows where this node is now, and that it is back. Asked until somebody who leads has said so. */
async function register({ metadata, registration, nodeId, place }: Parts): Promise<void> {
  for (;;) {
    const outcome = await metadata.execute({ kind: 'register-node', node: registration, nodeId });
    const result = outcome?.reply.result;
    if (result === 'done' || result === 'unchanged') return;
    if (result !== undefined && result !== 'not-formed') {
      throw await place.refused(`the cluster refused this node, ${GIVEN_UP}: ${result}`);
    }
    await delay(REGISTER_AGAIN_MS);
  }
}

const REGISTER_AGAIN_MS = 100;
/** A start that takes no longer has nothing to say. */
const LOOK_AT_WAIT_MS = 1_000;

/** Rejects when the data is of another cluster than the nodes in the join list; nobody waits for those that are silent. */
function foreignData({ ground, link }: Parts, config: ServerConfig): Promise<never> {
  const { identity, directory, wasAlone } = ground;
  return new Promise((_, reject) => {
    // Of data that was taken over just now, the cluster is known with the first image.
    if (identity.member === undefined || wasAlone) return;
    const own = { address: link.advertised, incarnation: identity.incarnation };
    const join = config.node.join.map(formatAddress);
    confirmCluster({ clusterId: identity.member.clusterId, directory, own, join, ask: link.ask }).catch(reject);
  });
}

/** What a node that has its place waits for, in words. */
function takingPart({ watcher, ground, link }: Parts): string {
  const coordinators = ground.identity.member?.coordinators ?? [];
  const asked = coordinators.map(({ nodeId, address }) => link.addresses.addressOf(nodeId) ?? address).join(', ');
  const who =
    watcher.coordinator === 0 ? 'a coordinator that leads' : 'the coordinator that leads to take this node in';
  return `waiting for ${who}: asked ${asked}`;
}

function registrationOf(config: ServerConfig, ground: Ground, link: NodeLink): NodeRegistration {
  return {
    incarnation: ground.identity.incarnation,
    name: nodeName(config, link.advertised),
    address: link.advertised,
    roles: [...config.node.roles],
    rack: config.node.rack,
    version: BUILD.version,
    mqttAddress: config.node.advertiseMqtt === null ? '' : formatAddress(config.node.advertiseMqtt),
  };
}

/** The place of this node: the one it has, or the one it gets now. */
async function placeOf(around: Around, registration: NodeRegistration): Promise<Member> {
  const { ground, link, config, logger, health } = around;
  const { identity } = ground;
  if (identity.member !== undefined) return identity.member;
  const member = ground.wasAlone
    ? loneFounder(registration)
    : await obtainMembership({
        identity,
        registration,
        join: config.node.join.map(formatAddress),
        ask: link.ask,
        waitsFor: (reason) => health.waitsFor(reason),
        stopping: around.stopping,
      });
  await ground.become(member);
  logger.info({ nodeId: member.nodeId, cluster: member.clusterId }, 'this node has its place in a cluster');
  return member;
}
