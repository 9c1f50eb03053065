import type { NodeRegistration } from '@sluice/meta/node-info';

/**
 * How a node gets its identity, before it has one: asked by address, hence without a cluster id.
 *
 * Founders are the nodes whose addresses every one of them was given. They found a cluster only when ALL of them have
 * answered that they are blank, each with the same list: a node that lost its disk finds the others to be members and
 * cannot found, nor vote under its former id. Everybody else, and everybody later, registers with the coordinators.
 */
export type ClusterRequest =
  | { type: 'hello'; address: string; incarnation: string; founders: readonly string[] }
  | { type: 'register'; node: NodeRegistration };

export type ClusterResponse =
  /** No identity yet. `founders` is the list this node was given, sorted; empty when it will only join. */
  | { type: 'blank'; address: string; incarnation: string; founders: readonly string[] }
  | {
      type: 'member';
      clusterId: string;
      nodeId: number;
      /** Whom it founded the cluster with; empty when it joined. */
      foundedWith: readonly Founder[];
      coordinators: readonly { nodeId: number; address: string }[];
    }
  | {
      type: 'registered';
      clusterId: string;
      nodeId: number;
      coordinators: readonly { nodeId: number; address: string }[];
    }
  /** Ask there; an empty address when it is not known who leads. */
  | { type: 'elsewhere'; address: string }
  | { type: 'refused'; code: string; message: string; hint: string };

/** Founders get the ids 1, 2, ... in the order of their addresses. */
export interface Founder {
  nodeId: number;
  address: string;
  /** A random text made once by a data directory: another one under the same address is another disk. */
  incarnation: string;
}
