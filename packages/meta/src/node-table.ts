import type { NodeInfo, NodeRegistration } from './node-info.ts';

/**
 * The nodes of a cluster and the rules by which they get their ids, as part of the metadata machine. An id stands for
 * what a replica has promised under it, so it belongs to one data directory for ever: the incarnation. The same name on
 * another disk is another node, which takes the place of the former one.
 */
export class NodeTable {
  readonly #nodes = new Map<number, NodeInfo>();
  nextNodeId = 1;

  /** Nodes that are gone and still known by their incarnation; the oldest are forgotten, their ids never given again. */
  static readonly GONE_MAX = 256;

  all(): Iterable<NodeInfo> {
    return this.#nodes.values();
  }

  get(nodeId: number): NodeInfo | undefined {
    return this.#nodes.get(nodeId);
  }

  put(node: NodeInfo): void {
    this.#nodes.set(node.nodeId, node);
    this.nextNodeId = Math.max(this.nextNodeId, node.nodeId + 1);
  }

  /** Nothing is changed here: the caller puts what comes back. */
  register(registration: NodeRegistration, nodeId: number): Registered {
    const known = this.#byIncarnation(registration.incarnation) ?? this.#unnamed(nodeId);
    const namesake = this.#liveByName(registration.name);
    if (known !== undefined) {
      if (known.state === 'gone') return { result: 'node-gone', nodeId: known.nodeId, changed: [] };
      if (namesake !== undefined && namesake.nodeId !== known.nodeId) {
        return { result: 'name-taken', nodeId: namesake.nodeId, changed: [] };
      }
      const state = known.state === 'draining' ? 'active' : known.state;
      const updated: NodeInfo = { ...pickRegistration(registration), nodeId: known.nodeId, state };
      const changed = isSame(known, updated) ? [] : [updated];
      return { result: 'done', nodeId: known.nodeId, changed };
    }
    // Somebody who claims an id that nobody gave it has the disk of another cluster.
    if (nodeId !== 0) return { result: 'node-unknown', nodeId: 0, changed: [] };
    const added: NodeInfo = { ...pickRegistration(registration), nodeId: this.nextNodeId, state: 'active' };
    const changed = namesake === undefined ? [added] : [{ ...namesake, state: 'gone' as const }, added];
    return { result: 'done', nodeId: added.nodeId, changed };
  }

  /** The oldest of those that are gone, beyond the bound and named nowhere. */
  forgettable(isNamed: (nodeId: number) => boolean): NodeInfo[] {
    const gone = [...this.#nodes.values()].filter((node) => node.state === 'gone');
    if (gone.length <= NodeTable.GONE_MAX) return [];
    gone.sort((a, b) => a.nodeId - b.nodeId);
    return gone.slice(0, gone.length - NodeTable.GONE_MAX).filter((node) => !isNamed(node.nodeId));
  }

  delete(nodeId: number): void {
    this.#nodes.delete(nodeId);
  }

  #byIncarnation(incarnation: string): NodeInfo | undefined {
    if (incarnation === '') return undefined;
    for (const node of this.#nodes.values()) if (node.incarnation === incarnation) return node;
    return undefined;
  }

  #unnamed(nodeId: number): NodeInfo | undefined {
    const node = this.#nodes.get(nodeId);
    return node?.incarnation === '' ? node : undefined;
  }

  #liveByName(name: string): NodeInfo | undefined {
    if (name === '') return undefined;
    for (const node of this.#nodes.values()) if (node.name === name && node.state !== 'gone') return node;
    return undefined;
  }
}

export interface Registered {
  result: 'done' | 'node-gone' | 'name-taken' | 'node-unknown';
  nodeId: number;
  changed: readonly NodeInfo[];
}

/** Who took the place of a node that is gone: the node that lives under its name. */
export function successorOf(gone: NodeInfo, nodes: Iterable<NodeInfo>): NodeInfo | undefined {
  if (gone.name === '') return undefined;
  for (const node of nodes) if (node.state !== 'gone' && node.name === gone.name) return node;
  return undefined;
}

/** Field by field, so that what a newer build adds does not get into the image of this one. */
function pickRegistration(node: NodeRegistration): NodeRegistration {
  const { incarnation, name, address, roles, rack, version, mqttAddress } = node;
  return { incarnation, name, address, roles: [...roles], rack, version, mqttAddress };
}

function isSame(a: NodeInfo, b: NodeInfo): boolean {
  return (
    a.incarnation === b.incarnation &&
    a.name === b.name &&
    a.address === b.address &&
    a.roles.join() === b.roles.join() &&
    a.rack === b.rack &&
    a.version === b.version &&
    a.mqttAddress === b.mqttAddress &&
    a.state === b.state
  );
}
