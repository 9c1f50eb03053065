import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import type { Coordinator } from '@sluice/coordinator/coordinator';
import { SUPPORTED_LEVELS } from '@sluice/meta/feature-levels';
import type { NodeRegistration } from '@sluice/meta/node-info';
import { Topology } from '@sluice/meta/topology';
import type { ExportService } from '@sluice/multiraft/backup/export-service';
import type { NodeStorage } from '@sluice/multiraft/disk/node-storage';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { ClusterRequest, ClusterResponse } from '@sluice/rpc/contract/cluster';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';
import { QueueMetrics } from '@sluice/store/metrics/queue-metrics';
import type { Store } from '@sluice/store/store';
import { ClusterClock } from '@sluice/store-client/metadata/cluster-clock';
import { MetadataClient } from '@sluice/store-client/metadata/metadata-client';
import { TopologyWatcher } from '@sluice/store-client/metadata/topology-watcher';
import { RouteTable } from '@sluice/store-client/route/route-table';
import { ProcessMetrics } from '@sluice/telemetry/process-metrics';
import type { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';
import { BUILD } from '../build.ts';
import type { ListenerCertificates } from '../certificates/listener-certificates.ts';
import { formatAddress } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';
import type { Member } from '../identity/node-identity.ts';
import { nodeName } from '../identity/node-name.ts';
import { answerHello, loneFounder, obtainMembership } from '../identity/obtain-membership.ts';
import { OwnPlace } from '../identity/own-place.ts';
import { openCoordinator } from '../roles/coordinator-role.ts';
import { GatewayRole } from '../roles/gateway-role.ts';
import { openRaft } from '../roles/raft-role.ts';
import { makeStore } from '../roles/store-role.ts';
import { type Administrations, administrationsOf } from './administrations.ts';
import { closeRoles } from './close-roles.ts';
import type { Ground } from './ground.ts';
import type { NodeHealth } from './node-health.ts';
import type { NodeLink } from './node-link.ts';

/**
 * Everything of this node, opened and not yet begun. Waits until the node has its place in a cluster. When it cannot be
 * made as a whole, what was made of it is closed, the ground as well.
 *
 * Roles need each other both ways: the report goes to the coordinator by the watcher and is of the store, which is made
 * with what the watcher hears. Whoever is made first asks for the later ones when it needs them, which is after
 * `take-part`; nothing that is made here acts on its own before.
 */
export async function composeNode(around: Around): Promise<NodeParts> {
  const roles: Roles = {
    host: undefined,
    exports: undefined,
    coordinator: undefined,
    store: undefined,
    gateway: undefined,
  };
  try {
    return await compose(around, roles);
  } catch (cause) {
    await closeRoles(roles, around.ground);
    throw cause;
  }
}

async function compose(around: Around, roles: Roles): Promise<NodeParts> {
  const { config, logger, metrics, health, ground, link } = around;
  const { transport } = link;
  const registration = registrationOf(config, ground, link);
  serveCluster(around, roles);
  const member = await placeOf(around, registration);
  const { nodeId } = member;
  introduce(link, member);

  const clock = new ClusterClock({ clock: around.clock, logger });
  describeClock(metrics, clock);
  const topology = new Topology();
  describeLevels(metrics, topology);
  const routes = new RouteTable(topology);
  const coordinators = member.coordinators.map((other) => other.nodeId);
  const watcher = new TopologyWatcher({
    ...{ topology, transport, clock, logger, coordinators },
    addresses: link.addresses,
    acted: () => roles.store?.settled(),
    report: () => ({ ...reportOf(roles), clock: clock.reading() }),
    onClocks: (clocks) => clock.heard(clocks, nodeId),
  });
  const leading = (): number => watcher.coordinator;
  const metadata = new MetadataClient({ topology, transport, clock, coordinators, leading });
  const { name } = registration;
  if (ground.storage !== undefined) {
    await openGroups(roles, ground.storage, { ...around, clock, member, topology, metadata, watcher });
  }
  if (config.node.roles.has('gateway')) {
    roles.gateway = new GatewayRole({ ...around, clock, transport, nodeId, name, topology, routes, metadata });
  }
  const { host, store, gateway } = roles;
  return {
    ...{ nodeId, name, registration, ground, link, health, metrics, topology, routes, metadata, watcher },
    ...roles,
    ...administrationsOf({
      ...{ config, nodeId, topology, metadata, leading, host, transport, clock, metrics },
      routes: gateway === undefined ? undefined : routes,
      disk: () => roles.store?.diskTrouble ?? host?.diskTrouble,
    }),
    place: new OwnPlace({
      supported: SUPPORTED_LEVELS,
      ...{ topology, nodeId, leavesOnStop: config.node.leavesOnStop, keepsData: ground.storage !== undefined },
      forget: () => ground.forget(),
    }),
    processMetrics: new ProcessMetrics(metrics, BUILD),
    queueMetrics: store === undefined ? undefined : new QueueMetrics(store.figures, metrics),
  };
}

function describeLevels(metrics: Metrics, topology: Topology): void {
  metrics.collect(
    'sluice_cluster_feature_level',
    'Feature level of the cluster as this node knows it: what all nodes can read may be written.',
    'gauge',
    () => [[{}, topology.featureLevel.level]],
  );
  metrics
    .gauge('sluice_node_feature_level_max', 'The highest feature level that the build of this node supports.')
    .set(SUPPORTED_LEVELS.max);
}

function describeClock(metrics: Metrics, clock: ClusterClock): void {
  metrics.collect(
    'sluice_node_clock_ahead_seconds',
    'How far the clock of this machine is ahead of the time that most nodes have; absent while most do not agree. Beyond ten seconds the node goes by their time.',
    'gauge',
    () => (clock.aheadMs === undefined ? [] : [[{}, clock.aheadMs / 1000]]),
  );
}

/** What other nodes ask of the cluster: from the first moment, for a node that waits for its place is asked, too. */
function serveCluster({ config, ground, link }: Around, roles: Roles): void {
  link.transport.serveCall<ClusterRequest, ClusterResponse>('cluster', async (request) => {
    if (request.type === 'register')
      return (await roles.coordinator?.register(request.node)) ?? { type: 'elsewhere', address: '' };
    return answerHello(ground.identity, link.advertised, [...new Set(config.node.join.map(formatAddress))].sort());
  });
}

/** To the other nodes it says who it is; where they are it knows from before, until the topology says it. */
function introduce(link: NodeLink, member: Member): void {
  link.setIdentity(member);
  for (const other of member.coordinators) link.addresses.set(other.nodeId, other.address);
  for (const other of member.nodes ?? []) link.addresses.set(other.nodeId, other.address, other.name);
}

/** What is replicated here: the groups, and of them the metadata and the partitions. */
async function openGroups(
  roles: Roles,
  storage: NodeStorage,
  parts: Around & {
    clock: ClusterClock;
    member: Member;
    topology: Topology;
    metadata: MetadataClient;
    watcher: TopologyWatcher;
  },
): Promise<void> {
  const { config, link, member, topology, metadata, watcher, clock, logger, metrics } = parts;
  const { transport } = link;
  const { nodeId } = member;
  const prng = new SeededPrng(Math.floor(Math.random() * 0x1_0000_0000));
  const ports = { transport, clock, logger, metrics, prng };
  const { host, exports } = openRaft({ ...ports, nodeId, storage, store: () => roles.store });
  roles.host = host;
  roles.exports = exports;
  if (config.node.roles.has('coordinator')) {
    const onLeads = (): void => watcher.coordinatorLeads(nodeId);
    roles.coordinator = await openCoordinator({
      config,
      member,
      host,
      metadata,
      transport,
      clock,
      logger,
      metrics,
      onLeads,
    });
  }
  if (config.node.roles.has('store')) {
    roles.store = makeStore({ ...ports, config, nodeId, storage, host, topology, watcher });
    await roles.store.open();
    roles.store.serve(transport);
    roles.store.onMoved(() => watcher.reportSoon());
  }
}

function reportOf({ host, store, gateway }: Roles): NodeReport {
  return {
    ...(store?.report() ?? { leads: [], replicas: [], disk: host?.diskTrouble }),
    // Of the metadata too.
    impaired: host?.impaired() ?? [],
    consumers: gateway?.report() ?? [],
    connections: gateway?.connections ?? 0,
    levels: SUPPORTED_LEVELS,
  };
}

function registrationOf(config: ServerConfig, ground: Ground, link: NodeLink): NodeRegistration {
  return {
    incarnation: ground.identity.incarnation,
    name: nodeName(config, link.advertised),
    address: link.advertised,
    roles: [...config.node.roles],
    rack: config.node.rack,
    version: BUILD.version,
    levels: SUPPORTED_LEVELS,
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

/** What a node is made of. */
export interface NodeParts extends Administrations, Roles {
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
  queueMetrics: QueueMetrics | undefined;
}

/** Those of this node, as soon as each is made. */
export interface Roles {
  /** Stores and coordinators only. */
  host: RaftHost | undefined;
  exports: ExportService | undefined;
  coordinator: Coordinator | undefined;
  store: Store | undefined;
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
