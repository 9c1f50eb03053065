import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { PartitionInfo } from '@sluice/meta/partition-info';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { Topology, type TopologyDelta, type TopologyImageInfo } from '@sluice/meta/topology';
import { openNodeStorage } from '@sluice/multiraft/disk/node-storage';
import { RaftHost } from '@sluice/multiraft/raft-host';
import { SnapshotExchange } from '@sluice/multiraft/snapshot/snapshot-exchange';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import type { Transport } from '@sluice/rpc/transport';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { Store } from '../../src/store.ts';
import { GatedEngine } from './gated-engine.ts';
import { imageOf, NO_CHANGE, until } from './test-store.ts';

/**
 * Stores of several nodes in one process, each on a Raft host and a log of its own, over a network that can be cut. The
 * coordinator is the test: it places partitions and defines queues in every image at once.
 */
export class StoreCluster {
  readonly network = new InprocNetwork({ codecs: true });
  readonly nodes = new Map<number, StoreNode>();
  readonly #root: string;
  #epoch = 1;
  #partitions: PartitionInfo[] = [];
  #queues: QueueDefinition[] = [];

  private constructor(root: string) {
    this.#root = root;
  }

  /** Nodes 1 to `nodes`; all partitions on `replicas`, which begin their logs together. */
  static async start(nodes: number, partitions: number, replicas: readonly number[]): Promise<StoreCluster> {
    const cluster = new StoreCluster(await mkdtemp(join(tmpdir(), 'sluice-stores-')));
    for (let partition = 1; partition <= partitions; partition++) {
      cluster.#partitions.push({ partition, replicas, preferredLeader: replicas[0] as number, bootstrap: true });
    }
    await Promise.all(Array.from({ length: nodes }, (_, i) => cluster.boot(i + 1)));
    for (let partition = 1; partition <= partitions; partition++) await cluster.leader(partition);
    cluster.#partitions = cluster.#partitions.map((place) => ({ ...place, bootstrap: false }));
    cluster.#push({ partitions: cluster.#partitions });
    return cluster;
  }

  /** The same, sooner: the first replica leads at once, for want of others, and then takes them in. */
  static async grow(nodes: number, partitions: number, replicas: readonly number[]): Promise<StoreCluster> {
    const cluster = await StoreCluster.start(nodes, partitions, [replicas[0] as number]);
    const wanted = [...replicas].sort().join();
    for (let partition = 1; partition <= partitions; partition++) {
      cluster.place(partition, replicas, replicas[0]);
      await until(() => cluster.voters(partition).join() === wanted, `all vote in partition ${partition}`);
    }
    return cluster;
  }

  /** As a gateway has it. */
  image(): TopologyImageInfo {
    const nodes = [...this.nodes.keys()].map((nodeId) => infoOf(nodeId, 'store'));
    return { ...imageOf(this.#partitions, this.#queues), nodes };
  }

  transportOf(nodeId: number): Transport {
    return this.network.node(nodeId);
  }

  /** The coordinator says that these gateways live. */
  gatewaysAlive(...nodeIds: number[]): void {
    this.#push({ nodes: nodeIds.map((nodeId) => infoOf(nodeId, 'gateway')) });
    for (const { topology } of this.nodes.values()) topology.applyLiveness({ leaders: [], alive: nodeIds });
  }

  async boot(nodeId: number): Promise<StoreNode> {
    const node = new StoreNode(this.network, nodeId, join(this.#root, String(nodeId)));
    node.topology.reset({ ...imageOf(this.#partitions, this.#queues), epoch: this.#epoch });
    await node.start();
    this.nodes.set(nodeId, node);
    return node;
  }

  node(nodeId: number): StoreNode {
    const node = this.nodes.get(nodeId);
    if (node === undefined) throw new Error(`node ${nodeId} does not run`);
    return node;
  }

  /** As a killed process: its connections break, nothing under way is finished for anybody. */
  async kill(nodeId: number): Promise<void> {
    const node = this.node(nodeId);
    this.nodes.delete(nodeId);
    this.network.stop(nodeId);
    await node.stop();
  }

  isolate(nodeId: number): void {
    for (const other of this.nodes.keys()) {
      this.network.cut(nodeId, other);
      this.network.cut(other, nodeId);
    }
  }

  rejoin(nodeId: number): void {
    for (const other of this.nodes.keys()) {
      this.network.heal(nodeId, other);
      this.network.heal(other, nodeId);
    }
  }

  async define(
    over: Partial<QueueDefinition> & Pick<QueueDefinition, 'queueId'>,
    base: QueueDefinition,
  ): Promise<void> {
    const definition = { ...base, name: `q${over.queueId}`, ...over, version: this.#epoch + 1 };
    this.#queues = [...this.#queues.filter(({ queueId }) => queueId !== definition.queueId), definition];
    this.#push({ changed: [definition] });
    await Promise.all([...this.nodes.values()].map(({ store }) => store.settled()));
  }

  async undefine(queueId: number): Promise<void> {
    this.#queues = this.#queues.filter((queue) => queue.queueId !== queueId);
    this.#push({ removed: [queueId] });
    await Promise.all([...this.nodes.values()].map(({ store }) => store.settled()));
  }

  place(partition: number, replicas: readonly number[], preferredLeader = 0): void {
    const place = { partition, replicas, preferredLeader, bootstrap: false };
    this.#partitions = this.#partitions.map((earlier) => (earlier.partition === partition ? place : earlier));
    this.#push({ partitions: [place] });
  }

  /** Who leads and takes publishes, among those that run. */
  leaderNow(partition: number): number {
    for (const { nodeId, host, store } of this.nodes.values()) {
      if (host.leads(partition) && store.report().leads.some((led) => led.partition === partition)) return nodeId;
    }
    return 0;
  }

  async leader(partition: number, among?: readonly number[]): Promise<StoreNode> {
    const leads = (): boolean => {
      const leader = this.leaderNow(partition);
      return leader !== 0 && (among === undefined || among.includes(leader));
    };
    await until(leads, `partition ${partition} has a leader${among === undefined ? '' : ` among ${among}`}`, 10_000);
    return this.node(this.leaderNow(partition));
  }

  /** The committed voters as the leader reports them; none while those of before are needed, too. */
  voters(partition: number): readonly number[] {
    const leader = this.nodes.get(this.leaderNow(partition));
    if (leader?.host.status(partition)?.committedMembership.votersOutgoing.length !== 0) return [];
    return leader?.store.report().leads.find((led) => led.partition === partition)?.voters ?? [];
  }

  async remove(): Promise<void> {
    for (const nodeId of [...this.nodes.keys()]) await this.kill(nodeId);
    await rm(this.#root, { recursive: true, force: true });
  }

  #push(change: Partial<TopologyDelta>): void {
    this.#epoch++;
    for (const { topology, store } of this.nodes.values()) {
      topology.applyDelta({ ...NO_CHANGE, ...change, epoch: this.#epoch });
      store.topologyChanged();
    }
  }
}

function infoOf(nodeId: number, role: 'store' | 'gateway'): NodeInfo {
  return {
    nodeId,
    incarnation: `i${nodeId}`,
    name: `n${nodeId}`,
    address: `n${nodeId}:1`,
    roles: [role],
    rack: '',
    version: '',
    mqttAddress: '',
    state: 'active',
  };
}

class StoreNode {
  readonly nodeId: number;
  readonly topology = new Topology();
  store!: Store;
  host!: RaftHost;
  readonly engine = new GatedEngine();
  /** The host says that the disk is full. */
  isFull = false;
  readonly #network: InprocNetwork;
  readonly #directory: string;

  constructor(network: InprocNetwork, nodeId: number, directory: string) {
    this.#network = network;
    this.nodeId = nodeId;
    this.#directory = directory;
  }

  async start(): Promise<void> {
    const { nodeId, topology } = this;
    const metrics = new PlainMetrics();
    const transport = this.#network.node(nodeId);
    const prng = new SeededPrng(nodeId * 7919);
    const storage = await openNodeStorage({
      directory: this.#directory,
      logger: silentLogger,
      metrics,
      openEngine: async () => this.engine,
      openEntryLog: (directory, durableMark) =>
        openEntryLog({ directory, durableMark, logger: silentLogger, metrics, sync: false }),
    });
    this.host = new RaftHost(storage, {
      nodeId,
      clock: systemClock,
      logger: silentLogger,
      metrics,
      prng,
      transport,
      snapshots: (parts) => new SnapshotExchange(parts),
      liveEntries: (groupId, first, last, limit) => this.store.liveEntries(groupId, first, last, limit),
    });
    Object.defineProperty(this.host, 'diskFull', { get: () => this.isFull });
    this.store = new Store({
      nodeId,
      storage,
      host: this.host,
      topology,
      transport,
      clock: systemClock,
      logger: silentLogger,
      metrics,
      prng,
      readCacheBytesMax: 1024 * 1024,
      retained: { countMax: 1_000_000, bytesMax: 1024 * 1024 * 1024 },
      diskReserveBytes: 0,
    });
    await this.store.open();
    this.host.serve(transport);
    this.store.serve(transport);
    this.host.start();
    this.store.topologyChanged();
  }

  async stop(): Promise<void> {
    this.engine.release();
    await this.store.close();
    await this.host.close();
  }
}
