import type { FeatureLevel, LevelRange } from '@sluice/meta/feature-levels';
import type { Outcome } from './queue-management.ts';

/**
 * What an operator may ask of the cluster as a whole. Status is this node's image of it, so it can be read while no
 * coordinator answers; changes go to the leading coordinator and are answered when they are committed.
 */
export interface ClusterManagement {
  status(): Outcome<ClusterStatus>;
  /**
   * `draining`: leads nothing and gets no new clients, keeps its copies (before a restart). `leaving`: its copies are made
   * elsewhere too. `active` takes either back. NOT_FOUND; BAD_REQUEST when the stores that stay are too few for the copies.
   */
  setNodeState(name: string, state: NodeWish): Promise<Outcome<ClusterNode>>;
  /** Copies of every message; the partitions follow while traffic goes on. BAD_REQUEST when there are fewer stores. */
  setReplicationFactor(copies: number): Promise<Outcome<number>>;
  /** While the feature level is held it does not rise. BAD_REQUEST before every node knows of levels. */
  holdFeatureLevel(isHeld: boolean): Promise<Outcome<FeatureLevel>>;
}

export type NodeWish = 'active' | 'draining' | 'leaving';

export interface ClusterStatus {
  clusterId: string;
  /** Grows with every change of the metadata. */
  epoch: number;
  replicationFactor: number;
  featureLevel: FeatureLevel;
  /** Name of the coordinator that leads the metadata, as far as this node follows one; null while none answers it. */
  coordinator: string | null;
  nodes: readonly ClusterNode[];
  /** Partition 1 first. */
  partitions: readonly ClusterPartition[];
  /** What an operator should know, the worst first. */
  problems: readonly ClusterProblem[];
}

export interface ClusterProblem {
  /**
   * `failing`: something does not work now. `degraded`: everything works, and one failure more may change that.
   * `notice`: somebody wanted it so, or may not know.
   */
  severity: 'failing' | 'degraded' | 'notice';
  message: string;
  /** What to do, or that there is nothing to be done. */
  hint: string;
}

export interface ClusterNode {
  nodeId: number;
  name: string;
  address: string;
  roles: readonly string[];
  rack: string;
  version: string;
  /** Which feature levels it supports; null while the leading coordinator does not hear from it. */
  featureLevels: LevelRange | null;
  state: NodeWish;
  /** Whether the leading coordinator hears from it. */
  alive: boolean;
  /** Partitions it leads, and partitions it shall have a copy of. */
  leads: number;
  replicas: number;
}

export interface ClusterPartition {
  partition: number;
  /** Name of the node; null while nobody is known to lead. */
  leader: string | null;
  /** Names of the nodes that shall have a copy. */
  replicas: readonly string[];
}
