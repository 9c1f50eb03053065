import type { NodeTrouble, ReplicaTrouble } from '@sluice/meta/cluster-liveness';
import { allows, type FeatureLevel } from '@sluice/meta/feature-levels';
import type { MetaCommand } from '@sluice/meta/meta-commands';
import type { NodeInfo, NodeRole } from '@sluice/meta/node-info';
import type { Topology } from '@sluice/meta/topology';
import type {
  ClusterManagement,
  ClusterNode,
  ClusterPartition,
  ClusterStatus,
  NodeWish,
} from '@sluice/rpc/contract/cluster-management';
import { type Outcome, type Refusal, refuse } from '@sluice/rpc/contract/queue-management';
import { clusterProblems } from '../problems/cluster-problems.ts';
import { type MetadataExecutor, refuseUnlessReady, UNKNOWN_OUTCOME } from './metadata-change.ts';

/**
 * The cluster as an operator handles it, from any node. What would make messages lose a copy for good, or the metadata its last one, is refused
 * here with words: the metadata would accept it, and wait for a store or a coordinator that never comes.
 */
export class ClusterAdministration implements ClusterManagement {
  readonly #topology: Topology;
  readonly #metadata: MetadataExecutor;
  readonly #leading: () => number;
  readonly #ownView: OwnView | undefined;

  /** `leading`: the node id of the coordinator that this node follows, 0 while it follows none. */
  constructor(options: {
    topology: Topology;
    metadata: MetadataExecutor;
    leading: () => number;
    ownView?: OwnView | undefined;
  }) {
    this.#topology = options.topology;
    this.#metadata = options.metadata;
    this.#leading = options.leading;
    this.#ownView = options.ownView;
  }

  status(): Outcome<ClusterStatus> {
    const topology = this.#topology;
    const notReady = refuseUnlessReady(topology);
    if (notReady !== undefined) return notReady;
    const partitions: ClusterPartition[] = [];
    const leads = new Map<number, number>();
    const replicas = new Map<number, number>();
    for (let partition = 1; partition <= topology.partitionCount; partition++) {
      const leader = this.#leaderOf(partition);
      if (leader !== 0) leads.set(leader, (leads.get(leader) ?? 0) + 1);
      const holders = topology.replicasOf(partition);
      for (const nodeId of holders) replicas.set(nodeId, (replicas.get(nodeId) ?? 0) + 1);
      partitions.push({
        partition,
        leader: leader === 0 ? null : this.#nameOf(leader),
        replicas: holders.map((nodeId) => this.#nameOf(nodeId)),
      });
    }
    const nodes = topology
      .nodes()
      .filter(({ state }) => state !== 'gone')
      .map((node) => this.#view(node, leads.get(node.nodeId) ?? 0, replicas.get(node.nodeId) ?? 0));
    const { clusterId, epoch, replicationFactor, featureLevel } = topology;
    const leading = this.#leading();
    const coordinator = leading === 0 ? null : this.#nameOf(leading);
    const status = { clusterId, epoch, replicationFactor, featureLevel, coordinator, nodes, partitions };
    const named = <T extends { nodeId: number }>({ nodeId, ...rest }: T) => ({ ...rest, node: this.#nameOf(nodeId) });
    const { copies, ofNodes } = this.#troubles(leading);
    // What was said of clocks is over when nobody hears them.
    const clocks = leading === 0 ? [] : topology.clocks.map(named);
    const problems = clusterProblems(status, copies.map(named), ofNodes.map(named), clocks);
    return { ok: true, value: { ...status, problems } };
  }

  /** Of what a coordinator said last, what it knew by its own connections is over when none answers. */
  #troubles(leading: number): { copies: readonly ReplicaTrouble[]; ofNodes: readonly NodeTrouble[] } {
    const { troubles: copies, nodeTroubles: ofNodes } = this.#topology;
    if (leading !== 0) return { copies, ofNodes };
    const isKnown = ({ nodeId, kind }: ReplicaTrouble) => kind !== 'parted' && this.#isAlive(nodeId);
    return { copies: copies.filter(isKnown), ofNodes: this.#ownView?.troubles() ?? [] };
  }

  async setNodeState(name: string, state: NodeWish): Promise<Outcome<ClusterNode>> {
    const notReady = refuseUnlessReady(this.#topology);
    if (notReady !== undefined) return notReady;
    const node = this.#topology.nodes().find((one) => one.name === name && one.state !== 'gone');
    if (node === undefined) {
      return refuse('NOT_FOUND', 'Node not found', 'sluice cluster status lists the nodes (GET /api/v5/cluster)');
    }
    if (state === 'leaving') {
      const refusal = this.#refuseLeaving(node);
      if (refusal !== undefined) return refusal;
    }
    const refusal = await this.#change({ kind: 'set-node-state', nodeId: node.nodeId, state });
    if (refusal !== undefined) return refusal;
    const status = this.status();
    if (!status.ok) return status;
    const changed = status.value.nodes.find(({ nodeId }) => nodeId === node.nodeId);
    return changed === undefined ? UNKNOWN_OUTCOME : { ok: true, value: { ...changed, state } };
  }

  async setReplicationFactor(copies: number): Promise<Outcome<number>> {
    const notReady = refuseUnlessReady(this.#topology);
    if (notReady !== undefined) return notReady;
    const stores = this.#whoStays('store', 0).length;
    if (copies > stores) {
      return refuse(
        'BAD_REQUEST',
        `${copies} copies need as many stores, there are ${stores}`,
        'start more nodes with the store role first',
      );
    }
    const refusal = await this.#change({ kind: 'set-replication-factor', replicationFactor: copies });
    return refusal ?? { ok: true, value: copies };
  }

  async holdFeatureLevel(isHeld: boolean): Promise<Outcome<FeatureLevel>> {
    const notReady = refuseUnlessReady(this.#topology);
    if (notReady !== undefined) return notReady;
    const { featureLevel } = this.#topology;
    // A coordinator that does not know the command would write down what stops all of them.
    if (!allows(featureLevel, 'hold-feature-level')) {
      return refuse(
        'BAD_REQUEST',
        `The feature level cannot be held at ${featureLevel.level}: there are nodes that do not know of holding it`,
        'it stays where it is for as long as one node is not upgraded',
      );
    }
    const refusal = await this.#change({ kind: 'hold-feature-level', isHeld });
    return refusal ?? { ok: true, value: { ...this.#topology.featureLevel, isHeld } };
  }

  #refuseLeaving({ nodeId, roles }: NodeInfo): Refusal | undefined {
    if (roles.includes('coordinator') && this.#whoStays('coordinator', nodeId).length === 0) {
      return refuse(
        'BAD_REQUEST',
        'This is the last coordinator: the metadata of the cluster would be gone with it',
        'start another node with the coordinator role first',
      );
    }
    if (!roles.includes('store')) return undefined;
    const stay = this.#whoStays('store', nodeId).length;
    const { replicationFactor } = this.#topology;
    if (stay >= replicationFactor) return undefined;
    return refuse(
      'BAD_REQUEST',
      `${replicationFactor} copies of every message need as many stores, and ${stay} would stay`,
      'start another store first, or keep fewer copies: sluice cluster replicas N (PUT /api/v5/cluster)',
    );
  }

  #whoStays(role: NodeRole, without: number): NodeInfo[] {
    return this.#topology
      .nodes()
      .filter(({ nodeId, roles, state }) => nodeId !== without && roles.includes(role) && isStaying(state));
  }

  async #change(command: MetaCommand): Promise<Refusal | undefined> {
    const outcome = await this.#metadata.execute(command);
    if (outcome === undefined) return UNKNOWN_OUTCOME;
    if (outcome.reply.result === 'done' || outcome.reply.result === 'unchanged') return undefined;
    if (outcome.reply.result === 'not-found') return refuse('NOT_FOUND', 'Node not found');
    return refuse('BAD_REQUEST', `The cluster refused the change: ${outcome.reply.result}`);
  }

  #leaderOf(partition: number): number {
    const known = this.#leading() === 0 ? this.#ownView?.leaderOf(partition) : undefined;
    return known ?? this.#topology.leaderOf(partition);
  }

  #isAlive(nodeId: number): boolean {
    const heard = this.#leading() === 0 ? this.#ownView?.hears(nodeId) : undefined;
    return heard ?? this.#topology.isAlive(nodeId);
  }

  #nameOf(nodeId: number): string {
    return this.#topology.node(nodeId)?.name ?? String(nodeId);
  }

  #view(node: NodeInfo, leads: number, replicas: number): ClusterNode {
    const { nodeId, name, address, roles, rack, version, state } = node;
    const alive = this.#isAlive(nodeId);
    const featureLevels = this.#topology.levelsOf(nodeId) ?? null;
    return { nodeId, name, address, roles, rack, version, featureLevels, state: wishOf(state), alive, leads, replicas };
  }
}

/**
 * What this node sees by itself, for as long as no coordinator tells it anything: what one said last would have all be well
 * until the end of time. Undefined: it cannot know.
 */
export interface OwnView {
  /** 0: nobody. */
  leaderOf(partition: number): number | undefined;
  hears(nodeId: number): boolean | undefined;
  /** Of nodes; other than its own it knows none. */
  troubles(): readonly NodeTrouble[];
}

function isStaying(state: NodeInfo['state']): boolean {
  return state === 'active' || state === 'draining';
}

function wishOf(state: NodeInfo['state']): NodeWish {
  return state === 'draining' || state === 'leaving' ? state : 'active';
}
