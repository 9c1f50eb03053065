import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { SeededPrng } from '@sluice/common/prng';
import { AccessAdministration } from '@sluice/coordinator/access-administration';
import { BackupAdministration } from '@sluice/coordinator/backup-administration';
import { ClusterAdministration } from '@sluice/coordinator/cluster-administration';
import { ConnectionAdministration } from '@sluice/coordinator/connection-administration';
import type { Coordinator } from '@sluice/coordinator/coordinator';
import { QueueAdministration } from '@sluice/coordinator/queue-administration';
import type { NodeRegistration } from '@sluice/meta/node-info';
import { Topology } from '@sluice/meta/topology';
import type { ExportService } from '@sluice/multiraft/export-service';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { ClusterRequest, ClusterResponse } from '@sluice/rpc/contract/cluster';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';
import { QueueMetrics } from '@sluice/store/metrics/queue-metrics';
import type { Store } from '@sluice/store/store';
import { MetadataClient } from '@sluice/store-client/metadata-client';
import { RetainedAdministration } from '@sluice/store-client/retained-administration';
import { RouteTable } from '@sluice/store-client/route-table';
import { TopologyWatcher } from '@sluice/store-client/topology-watcher';
import { ProcessMetrics } from '@sluice/telemetry/process-metrics';
import type { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';
import { BUILD } from './build.ts';
import { formatAddress } from './config/address.ts';
import type { ServerConfig } from './config/config.ts';
import type { Ground } from './ground.ts';
import type { Member } from './identity/node-identity.ts';
import { nodeName } from './identity/node-name.ts';
import { answerHello, loneFounder, obtainMembership } from './identity/obtain-membership.ts';
import { OwnPlace } from './identity/own-place.ts';
import { keptSecret } from './kept-secret.ts';
import type { ListenerCertificates } from './listener-certificates.ts';
import type { NodeHealth } from './node-health.ts';
import type { NodeLink } from './node-link.ts';
import { ownView } from './own-view.ts';
import { openCoordinator } from './roles/coordinator-role.ts';
import { GatewayRole } from './roles/gateway-role.ts';
import { openRaft } from './roles/raft-role.ts';
import { makeStore } from './roles/store-role.ts';

/**
 * Everything of this node, opened and not yet begun. Waits until the node has its place in a cluster.
 *
 * Roles need each other both ways: the report goes to the coordinator by the watcher and is of the store, which is made
 * with what the watcher hears. Whoever is made first asks for the later ones when it needs them, which is after
 * `take-part`; nothing that is made here acts on its own before.
 */
export async function composeNode(around: Around): Promise<NodeParts> {
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
      const ports = { transport, clock, logger, metrics, prng };
      store = makeStore({ ...ports, config, nodeId, storage, host, topology, watcher });
      await store.open();
      store.serve(transport);
      store.onMoved(() => watcher.reportSoon());
    }
  }
  if (config.node.roles.has('gateway')) {
    const { name } = registration;
    gateway = new GatewayRole({ ...around, transport, nodeId, name, topology, routes, metadata });
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

/** What a node is made of. */
export interface NodeParts {
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
