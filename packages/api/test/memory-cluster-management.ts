import type { FeatureLevel } from '@sluice/meta/feature-levels';
import type {
  ClusterManagement,
  ClusterNode,
  ClusterProblem,
  ClusterStatus,
  NodeWish,
} from '@sluice/rpc/contract/cluster-management';
import { type Outcome, refuse } from '@sluice/rpc/contract/queue-management';

/** A cluster of three nodes in memory. */
export class MemoryClusterManagement implements ClusterManagement {
  nodes: ClusterNode[] = ['n1', 'n2', 'n3'].map((name, i) => ({
    nodeId: i + 1,
    name,
    address: `10.0.0.${i + 1}:5370`,
    roles: ['gateway', 'store', 'coordinator'],
    rack: '',
    version: '1.2.3',
    featureLevels: { min: 1, max: 2 },
    state: 'active',
    alive: true,
    leads: i === 0 ? 1 : 0,
    replicas: 1,
  }));
  replicationFactor = 3;
  featureLevel: FeatureLevel = { level: 2, isHeld: false };
  coordinator: string | null = 'n1';
  ready = true;
  problems: ClusterProblem[] = [];

  status(): Outcome<ClusterStatus> {
    if (!this.ready) return refuse('NOT_READY', 'Not ready');
    const { nodes, replicationFactor, featureLevel, coordinator, problems } = this;
    const partitions = [{ partition: 1, leader: 'n1', replicas: ['n1', 'n2', 'n3'] }];
    const cluster = { clusterId: 'c', epoch: 7, replicationFactor, featureLevel, coordinator };
    return { ok: true, value: { ...cluster, nodes, partitions, problems } };
  }

  async setNodeState(name: string, state: NodeWish): Promise<Outcome<ClusterNode>> {
    const at = this.nodes.findIndex((node) => node.name === name);
    if (at === -1) return refuse('NOT_FOUND', 'Node not found');
    const node = { ...(this.nodes[at] as ClusterNode), state };
    this.nodes[at] = node;
    return { ok: true, value: node };
  }

  async setReplicationFactor(copies: number): Promise<Outcome<number>> {
    if (copies > this.nodes.length) return refuse('BAD_REQUEST', `${copies} copies need as many stores`);
    this.replicationFactor = copies;
    return { ok: true, value: copies };
  }

  async holdFeatureLevel(isHeld: boolean): Promise<Outcome<FeatureLevel>> {
    this.featureLevel = { ...this.featureLevel, isHeld };
    return { ok: true, value: this.featureLevel };
  }
}
