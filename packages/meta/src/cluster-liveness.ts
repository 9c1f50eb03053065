import type { LevelRange } from './feature-levels.ts';

/**
 * What is only known for the moment: who leads each partition, which nodes are alive, what ails them. It has no epoch. A
 * leader is replaced only by one of a later term, because the coordinator's news and the stores' own announcements
 * overtake each other.
 */
export class ClusterLiveness {
  /** Copies that do not count yet, or no more, as the coordinator last said. */
  troubles: readonly ReplicaTrouble[] = [];
  /** Nodes that live and cannot do all they should. */
  nodeTroubles: readonly NodeTrouble[] = [];
  /** Of the nodes that the coordinator hears. */
  clocks: readonly NodeClockInfo[] = [];
  /** Partition 1 first. */
  readonly #leaders: Leader[] = [];
  #alive: ReadonlySet<number> = new Set();
  #levels: ReadonlyMap<number, LevelRange> = new Map();

  /**
   * The coordinator's newest knowledge. A partition it names no leader for keeps the one known, while that is alive. False
   * when nothing of it is news.
   */
  apply(
    { leaders, alive, troubles = [], nodeTroubles = [], levels = [], clocks = [] }: LivenessInfo,
    partitionCount: number,
  ): boolean {
    this.troubles = troubles;
    this.nodeTroubles = nodeTroubles;
    this.clocks = clocks;
    this.#levels = new Map(levels.map(({ nodeId, min, max }) => [nodeId, { min, max }]));
    let moved = alive.length !== this.#alive.size || !alive.every((nodeId) => this.#alive.has(nodeId));
    if (moved) this.#alive = new Set(alive);
    const named = new Set(leaders.map(({ partition }) => partition));
    for (const [i, leader] of this.#leaders.entries()) {
      if (leader.nodeId === 0 || named.has(i + 1) || this.#alive.has(leader.nodeId)) continue;
      leader.nodeId = 0;
      moved = true;
    }
    for (const leader of leaders) if (this.noteLeader(leader, partitionCount)) moved = true;
    return moved;
  }

  /** False when it is no news. */
  noteLeader({ partition, nodeId, term }: PartitionLeader, partitionCount: number): boolean {
    if (partition < 1 || partition > Math.max(partitionCount, this.#leaders.length)) return false;
    while (this.#leaders.length < partition) this.#leaders.push({ nodeId: 0, term: 0 });
    const known = this.#leaders[partition - 1] as Leader;
    if (term < known.term || (known.nodeId === nodeId && known.term === term)) return false;
    const moved = known.nodeId !== nodeId;
    known.nodeId = nodeId;
    known.term = term;
    return moved;
  }

  leaderOf(partition: number): number {
    return this.#leaders[partition - 1]?.nodeId ?? 0;
  }

  leaderTermOf(partition: number): number {
    return this.#leaders[partition - 1]?.term ?? 0;
  }

  isAlive(nodeId: number): boolean {
    return this.#alive.has(nodeId);
  }

  levelsOf(nodeId: number): LevelRange | undefined {
    return this.#levels.get(nodeId);
  }

  /** Another cluster: nothing of the former one holds. */
  forget(): void {
    this.troubles = [];
    this.nodeTroubles = [];
    this.clocks = [];
    this.#levels = new Map();
    this.#leaders.length = 0;
    this.#alive = new Set();
  }
}

interface Leader {
  nodeId: number;
  term: number;
}

export interface LivenessInfo {
  leaders: readonly PartitionLeader[];
  alive: readonly number[];
  troubles?: readonly ReplicaTrouble[];
  nodeTroubles?: readonly NodeTrouble[] | undefined;
  levels?: readonly NodeLevels[] | undefined;
  clocks?: readonly NodeClockInfo[] | undefined;
}

/** A copy that does not count yet, or no more, as reports say. */
export interface ReplicaTrouble {
  partition: number;
  nodeId: number;
  /**
   * `impaired`: it cannot be trusted and is made anew. `parted`: its node has no connection to the coordinator. `unheard`: its node
   * lives, and the partition's leader hears nothing of it.
   */
  kind: 'catching-up' | 'impaired' | 'parted' | 'unheard';
}

/** A node that lives and cannot do all it should. `parted`: it has no connection to the coordinator. */
export interface NodeTrouble {
  nodeId: number;
  kind: 'parted' | DiskTrouble;
}

/**
 * Why a node's disk takes no publishes. `disk-low`: less is free than is kept for settling, which goes on. `disk-full`: a write
 * waits for space. `disk-hangs`: a write has been under way for seconds. `disk-failed`: the node answers nothing more.
 * `files-exhausted`: it could not be asked, for want of a file descriptor.
 */
export type DiskTrouble = 'disk-low' | 'disk-full' | 'disk-hangs' | 'disk-failed' | 'files-exhausted';

export interface NodeClockInfo {
  nodeId: number;
  /** Of the time that most nodes have; undefined: most do not agree on any. */
  aheadMs?: number | undefined;
}

/** Which feature levels a node supports, as it says itself. */
export interface NodeLevels extends LevelRange {
  nodeId: number;
}

export interface PartitionLeader {
  partition: number;
  nodeId: number;
  term: number;
}
