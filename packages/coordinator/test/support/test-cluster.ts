import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import { type LevelRange, UNTOLD_LEVELS } from '@sluice/meta/feature-levels';
import type { NodeInfo, NodeRole } from '@sluice/meta/node-info';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';
import { openNodeStorage } from '@sluice/multiraft/disk/node-storage';
import { RaftHost } from '@sluice/multiraft/raft-host';
import type { Outcome, QueueSpec } from '@sluice/rpc/contract/queue-management';
import type { StoreAdminRequest, StoreAdminResponse } from '@sluice/rpc/contract/store-admin';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import { MetadataClient } from '@sluice/store-client/metadata/metadata-client';
import { TopologyWatcher } from '@sluice/store-client/metadata/topology-watcher';
import { QueueAdministration } from '../../src/administration/queue-administration.ts';
import { Coordinator, type Formation } from '../../src/coordinator.ts';

export const PARTITIONS = 4;

/**
 * Nodes in one process over a network that can be cut: coordinators over real entry logs, and on every node the watcher
 * and the clients. Stores are acted: their reports follow the places they are given.
 */
export class TestCluster {
  readonly network = new InprocNetwork({ codecs: true });
  readonly nodes = new Map<number, TestNode>();
  readonly #root: string;
  founders: readonly NodeInfo[] = [];
  replaceAfterMs = 60_000;

  private constructor(root: string) {
    this.#root = root;
  }

  static async create(): Promise<TestCluster> {
    return new TestCluster(await mkdtemp(join(tmpdir(), 'sluice-coordinator-')));
  }

  /** Founders 1, 2, ... with the given roles. */
  async found(roles: readonly (readonly NodeRole[])[]): Promise<void> {
    this.founders = roles.map((of, i) => nodeInfo(i + 1, of));
    for (const { nodeId } of this.founders) await this.boot(nodeId);
  }

  /** `levels`: what its build supports; undefined, as that of a build from before there were any. */
  async boot(nodeId: number, levels?: LevelRange): Promise<TestNode> {
    const node = new TestNode(this, nodeId, join(this.#root, String(nodeId)), levels);
    this.nodes.set(nodeId, node);
    await node.start();
    return node;
  }

  node(nodeId: number): TestNode {
    const node = this.nodes.get(nodeId);
    if (node === undefined) throw new Error(`no node ${nodeId}`);
    return node;
  }

  async leader(): Promise<TestNode> {
    let found: TestNode | undefined;
    await until(() => {
      found = [...this.nodes.values()].find(
        (node) => node.coordinator?.leads === true && node.coordinator.machine.clusterId !== '',
      );
      return found !== undefined;
    }, 'the metadata has a leader');
    return found as TestNode;
  }

  /** As a killed process. */
  async kill(nodeId: number): Promise<void> {
    const node = this.node(nodeId);
    this.nodes.delete(nodeId);
    this.network.stop(nodeId);
    await node.stop();
  }

  async remove(): Promise<void> {
    for (const nodeId of [...this.nodes.keys()]) await this.kill(nodeId);
    await rm(this.#root, { recursive: true, force: true });
  }
}

export class TestNode {
  readonly nodeId: number;
  readonly topology = new Topology();
  host: RaftHost | undefined;
  coordinator: Coordinator | undefined;
  watcher!: TopologyWatcher;
  metadata!: MetadataClient;
  queues!: QueueAdministration;
  /** False: as a node that is slow to act on what it hears. */
  acts = true;
  impaired: number[] = [];
  /** Replicas that this node has; follows the places it is given unless `held`. */
  replicas = new Set<number>();
  held = false;
  readonly levels: LevelRange | undefined;
  consumers: NodeReport['consumers'] = [];
  store: (request: StoreAdminRequest) => StoreAdminResponse = () => ({
    type: 'statistics',
    queues: [],
    elsewhere: [],
  });
  readonly #cluster: TestCluster;
  readonly #directory: string;

  constructor(cluster: TestCluster, nodeId: number, directory: string, levels: LevelRange | undefined) {
    this.levels = levels;
    this.#cluster = cluster;
    this.nodeId = nodeId;
    this.#directory = directory;
  }

  async start(): Promise<void> {
    const { founders, network } = this.#cluster;
    const { nodeId, topology } = this;
    const transport = network.node(nodeId);
    const coordinators = founders.filter(({ roles }) => roles.includes('coordinator')).map((node) => node.nodeId);
    const self = founders.find((node) => node.nodeId === nodeId);
    if (self === undefined || self.roles.includes('coordinator')) await this.#startCoordinator(coordinators);
    transport.serveCall<StoreAdminRequest, StoreAdminResponse>('store-admin', async (request) => this.store(request));
    this.watcher = new TopologyWatcher({
      topology,
      transport,
      coordinators,
      clock: systemClock,
      logger: silentLogger,
      acted: () => (this.acts ? undefined : new Promise(() => {})),
      report: () => this.#report(),
    });
    this.watcher.onChange(() => {
      if (!this.held) this.#follow();
    });
    this.metadata = new MetadataClient({
      transport,
      topology,
      coordinators,
      clock: systemClock,
      leading: () => this.watcher.coordinator,
    });
    this.queues = new QueueAdministration({
      metadata: this.metadata,
      topology,
      transport,
      clock: systemClock,
      lagObjectiveMs: 300_000,
    });
    this.watcher.start();
  }

  async stop(): Promise<void> {
    this.watcher.close();
    this.coordinator?.close();
    await this.host?.close();
  }

  async #startCoordinator(coordinators: readonly number[]): Promise<void> {
    const { nodeId } = this;
    const { founders, network } = this.#cluster;
    const isFounder = founders.some((node) => node.nodeId === nodeId);
    const transport = network.node(nodeId);
    const metrics = new PlainMetrics();
    const storage = await openNodeStorage({
      directory: this.#directory,
      logger: silentLogger,
      metrics,
      openEngine: async () => new MemoryEngine(),
      openEntryLog: (path, durableMark) =>
        openEntryLog({ directory: path, durableMark, logger: silentLogger, metrics, sync: false }),
    });
    this.host = new RaftHost(storage, {
      nodeId,
      clock: systemClock,
      logger: silentLogger,
      metrics,
      prng: new SeededPrng(nodeId * 7919),
      transport,
      snapshots: () => ({
        send: () => {
          throw new Error('the log reaches back to its beginning: no snapshot is needed');
        },
        accept: (channel) => channel.close(),
        install: () => Promise.reject(new Error('no snapshot was expected')),
        tick: () => {},
        logFloor: () => Number.POSITIVE_INFINITY,
        abandon: () => Promise.resolve(),
      }),
      liveEntries: async () => [],
    });
    const formation: Formation = {
      clusterId: 'test-cluster',
      partitionCount: PARTITIONS,
      replicationFactor: 3,
      queueCountMax: DEFAULT_QUEUE_SUBSYSTEM_CONFIG.queueCountMax,
      founders,
    };
    this.coordinator = new Coordinator({
      nodeId,
      host: this.host,
      bootstrapVoters: isFounder ? coordinators : undefined,
      formation: isFounder ? formation : undefined,
      clock: systemClock,
      logger: silentLogger,
      metrics,
      reachedTimeoutMs: 2_000,
      silenceMs: 1_500,
      levels: this.levels ?? UNTOLD_LEVELS,
      askMembers: () => this.metadata.members(),
      placement: { firstPatienceMs: 500, pairPatienceMs: 0, steadyMs: 0, replaceAfterMs: this.#cluster.replaceAfterMs },
    });
    this.coordinator.serve(transport);
    this.host.serve(transport);
    await this.coordinator.open();
    this.host.start();
    this.coordinator.start();
  }

  /** Has every replica that it shall have, and the preferred leader leads at once. */
  #follow(): void {
    this.replicas = new Set();
    for (let partition = 1; partition <= this.topology.partitionCount; partition++) {
      if (this.topology.replicasOf(partition).includes(this.nodeId)) this.replicas.add(partition);
    }
    this.watcher?.reportSoon();
  }

  #report(): NodeReport {
    const leads: NodeReport['leads'][number][] = [];
    for (const partition of this.replicas) {
      const place = this.topology.partition(partition);
      if (place?.preferredLeader !== this.nodeId) continue;
      leads.push({
        partition,
        term: this.topology.epoch,
        membershipIndex: this.topology.epoch,
        voters: place.replicas,
        learners: [],
        depth: 0,
      });
    }
    return {
      leads,
      impaired: [...this.impaired, ...(this.host?.impaired() ?? [])],
      replicas: [...this.replicas],
      consumers: this.consumers,
      levels: this.levels,
    };
  }
}

export function nodeInfo(nodeId: number, roles: readonly NodeRole[], over: Partial<NodeInfo> = {}): NodeInfo {
  return {
    nodeId,
    incarnation: `disk ${nodeId}`,
    name: `n${nodeId}`,
    address: `n${nodeId}:7000`,
    roles,
    rack: '',
    version: '1',
    mqttAddress: '',
    state: 'active',
    ...over,
  };
}

export function spec(name: string, over: Partial<QueueSpec> = {}): QueueSpec {
  const { limits, ...rest } = QUEUE_SETTING_DEFAULTS;
  return {
    ...rest,
    limits: { ...limits },
    keyExpression: null,
    name,
    topicFilter: `${name}/#`,
    isLastValue: false,
    partitionCount: 1,
    ...over,
  };
}

export function ok<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.message}`);
  return outcome.value;
}

export const codeOf = (outcome: Outcome<unknown>): string => (outcome.ok ? 'ok' : outcome.code);

export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not reached in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
