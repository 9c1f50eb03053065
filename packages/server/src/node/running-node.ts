import { systemClock } from '@sluice/common/clock';
import type { SluiceError } from '@sluice/common/errors';
import { withHint } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { AccessAdministration } from '@sluice/coordinator/administration/access-administration';
import type { BackupAdministration } from '@sluice/coordinator/administration/backup-administration';
import type { ClusterAdministration } from '@sluice/coordinator/administration/cluster-administration';
import type { ConnectionAdministration } from '@sluice/coordinator/administration/connection-administration';
import type { QueueAdministration } from '@sluice/coordinator/administration/queue-administration';
import type { Topology } from '@sluice/meta/topology';
import type { RetainedAdministration } from '@sluice/store-client/retained/retained-administration';
import type { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';
import { openListenerCertificates } from '../certificates/listener-certificates.ts';
import type { ServerConfig } from '../config/config.ts';
import type { GatewayRole } from '../roles/gateway-role.ts';
import { closeRoles } from './close-roles.ts';
import { composeNode, type NodeParts } from './compose-node.ts';
import { openGround } from './ground.ts';
import { HeapGrowth } from './heap-growth.ts';
import { MetricsPages } from './metrics-pages.ts';
import { type NodeHealth, tell } from './node-health.ts';
import { type NodeLink, openNodeLink } from './node-link.ts';
import { leaderlessPartitions } from './served-partitions.ts';
import { takePart } from './take-part.ts';

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
  readonly #parts: NodeParts;
  readonly #heapGrowth = new HeapGrowth();
  #timer: NodeJS.Timeout | undefined;
  #isStopping = false;

  static readonly HEALTH_INTERVAL_MS = 500;
  /** Of the drain time, at most: leaders are handed over within moments or not at all. */
  static readonly HAND_OVER_MS_MAX = 5_000;

  private constructor(parts: NodeParts) {
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
    let link: NodeLink;
    try {
      link = await openNodeLink(config, { clock, logger, metrics });
    } catch (cause) {
      await ground.close();
      throw cause;
    }
    const around = { config, clock, logger, metrics, health, ground, link, certificates, stopping };
    try {
      return new RunningNode(await composeNode(around));
    } catch (cause) {
      await link.close();
      throw cause;
    }
  }

  /** Resolves when the node serves: its partitions have leaders, and its listeners are open. */
  async begin(config: ServerConfig, logger: Logger): Promise<void> {
    try {
      await takePart(this.#parts, config, logger);
    } catch (cause) {
      await this.close();
      throw cause;
    }
    // Who was told to stop meanwhile is not ready, whatever its parts say.
    if (this.#isStopping) return;
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
    this.#isStopping = true;
    clearInterval(this.#timer);
    this.health.drain.fail('this node is stopping');
    const { store, gateway } = this.#parts;
    gateway?.beginStop();
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
    this.#isStopping = true;
    clearInterval(this.#timer);
    const { watcher, gateway, link, processMetrics, ground } = this.#parts;
    await gateway?.stop(0);
    watcher.close();
    await closeRoles(this.#parts, ground);
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
