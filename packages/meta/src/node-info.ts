import type { LevelRange } from './feature-levels.ts';

/** What a node says of itself when it registers, each time it starts. */
export interface NodeRegistration {
  /** Made once by its data directory: identifies the node until it has an id. */
  incarnation: string;
  /** For people: unique in a cluster; a new incarnation under the name of an old one replaces it. */
  name: string;
  /** Where its gRPC is reached by others, `host:port`. */
  address: string;
  roles: readonly NodeRole[];
  /** Failure domain: replicas of a partition are spread over as many of them as there are. Empty: none given. */
  rack: string;
  version: string;
  /** Where MQTT clients reach it, for MQTT 5's Server Reference; empty when it has no listener or nobody said. */
  mqttAddress: string;
  /**
   * Under which feature levels it can take part. Said and not kept: a replica of a build from before there were levels
   * would keep something else. Undefined when such a build says it.
   */
  levels?: LevelRange | undefined;
}

export type NodeRole = 'gateway' | 'store' | 'coordinator';

/** One node as the metadata knows it. Ids are never given out twice: a node that lost its disk comes back as another. */
export interface NodeInfo extends NodeRegistration {
  nodeId: number;
  /**
   * `draining`: leads nothing and takes no new clients, keeps its replicas (before a restart). `leaving`: its replicas
   * are moved away too. `gone`: was replaced or has left; kept so that its id and its incarnation are known.
   */
  state: 'active' | 'draining' | 'leaving' | 'gone';
}

/**
 * The node of a cluster that was formed before clusters had nodes. Without an incarnation nobody can be mistaken for it;
 * it is told its own when it registers under its id.
 */
export const LONE_FOUNDER: NodeInfo = {
  nodeId: 1,
  incarnation: '',
  name: '',
  address: '',
  roles: ['gateway', 'store', 'coordinator'],
  rack: '',
  version: '',
  mqttAddress: '',
  state: 'active',
};

export function hasRole(node: NodeInfo, role: NodeRole): boolean {
  return node.roles.includes(role);
}
