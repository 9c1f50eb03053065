import { rotDisk } from '../disk-rot.ts';
import type { Draw } from '../draw.ts';
import type { SimMachine } from '../sim-machine.ts';
import type { SimWorld } from '../sim-world.ts';
import type { LedgerGroup } from './ledger-group.ts';
import type { RaftNode } from './raft-node.ts';

/** What may happen to groups besides what happens to machines. */
export class GroupMoves {
  readonly #world: SimWorld;
  readonly #draw: Draw;
  readonly #nodes: Map<number, RaftNode>;
  readonly #groups: readonly LedgerGroup[];
  readonly #newNode: () => RaftNode;
  /** Lost its disk and is still named somewhere: there is never more than one, or a majority might be lost. */
  #lost: RaftNode | undefined;

  constructor(options: {
    world: SimWorld;
    draw: Draw;
    nodes: Map<number, RaftNode>;
    groups: readonly LedgerGroup[];
    newNode: () => RaftNode;
  }) {
    this.#world = options.world;
    this.#draw = options.draw;
    this.#nodes = options.nodes;
    this.#groups = options.groups;
    this.#newNode = options.newNode;
  }

  do(fault: GroupFault, victim: SimMachine | undefined): void {
    if (fault === 'transfer') this.#transfer();
    else if (fault === 'membership') this.#moveGroup();
    else {
      const node = victim === undefined ? undefined : this.#nodes.get(victim.nodeId);
      if (node === undefined || !this.#mayLose(node)) return;
      this.#lost = node;
      if (fault === 'replace') this.#replace(node);
      else this.#rot(node);
    }
  }

  /** Leaders are the more interesting half. */
  victim(up: readonly SimMachine[]): SimMachine {
    const group = this.#draw.oneOf(this.#groups);
    const leader = up.find((node) => node.host?.leads(group.groupId));
    return leader !== undefined && this.#draw.onceIn(2) ? leader : this.#draw.oneOf(up);
  }

  #transfer(): void {
    const { groupId, target } = this.#draw.oneOf(this.#groups);
    const leader = [...this.#nodes.values()].find((node) => node.host?.leads(groupId) && !node.life.paused);
    const heir = this.#draw.oneOf([...target]);
    const host = leader?.host;
    if (leader === undefined || host === undefined) return;
    this.#world.after(0, leader.life, () => void host.transferLeadership(groupId, heir));
  }

  #moveGroup(): void {
    const group = this.#draw.oneOf(this.#groups);
    const ids = [...this.#nodes.values()].filter((node) => node.broken === undefined);
    const size = Math.min(ids.length, this.#draw.oneOf([1, 2, 3, 3, 5]));
    // A group must not shrink to where a lost disk would be a majority.
    if (this.#oneIsLost() || size === 0) return;
    group.target = new Set(
      this.#draw
        .shuffled(ids)
        .slice(0, size)
        .map((node) => node.nodeId),
    );
    this.#world.trace.add(this.#world.nowMs, 'nemesis', `group ${group.groupId} shall be on ${[...group.target]}`);
  }

  /** What was acknowledged is also elsewhere, and nobody else is lost. */
  #mayLose(node: RaftNode): boolean {
    if (this.#nodes.size < 3 || this.#oneIsLost()) return false;
    const isEnough = (group: LedgerGroup): boolean => !group.target.has(node.nodeId) || group.target.size >= 3;
    return this.#groups.every((group) => isEnough(group) && this.#isSettled(group));
  }

  /**
   * Bits of its disk flip while it runs; it may start once more on what is left, and is then replaced. Until it is, it
   * counts as lost: its peers hold what it may not be able to give.
   */
  #rot(node: RaftNode): void {
    for (const code of DAMAGE) node.expected.add(code);
    rotDisk(node, this.#draw, this.#draw.between(1, 4));
    const { outside } = this.#world;
    if (this.#draw.onceIn(2)) {
      this.#world.after(this.#draw.between(0, 1_000), outside, () => {
        node.kill(this.#draw.oneOf(['process', 'power']));
        node.start();
      });
    }
    this.#world.after(this.#draw.between(500, 6_000), outside, () => this.#replace(node));
  }

  /** A node is gone with its disk, and a new one takes its place. */
  #replace(node: RaftNode): void {
    node.retire();
    this.#nodes.delete(node.nodeId);
    const fresh = this.#newNode();
    this.#world.trace.add(this.#world.nowMs, 'nemesis', `${node.name} is lost, ${fresh.name} takes its place`);
    for (const group of this.#groups) {
      if (group.target.delete(node.nodeId)) group.target.add(fresh.nodeId);
    }
    fresh.start();
  }

  /**
   * Going to be replaced, or still a member of something: until it is neither, nobody else may be lost and no group may
   * move. One that rots and has no group yet would be given one, and take it along.
   */
  #oneIsLost(): boolean {
    const lost = this.#lost;
    if (lost !== undefined && !this.#nodes.has(lost.nodeId) && !this.#isNamed(lost.nodeId)) this.#lost = undefined;
    return this.#lost !== undefined;
  }

  #isNamed(nodeId: number): boolean {
    return this.#groups.some((group) => group.hosts.has(nodeId));
  }

  /** Committed: the target votes, and nobody else. */
  #isSettled({ groupId, target, consensus }: LedgerGroup): boolean {
    for (const { host } of this.#nodes.values()) {
      if (host?.leads(groupId) !== true) continue;
      const status = host.status(groupId);
      // A leader that was deposed and does not know it knows nothing of the membership either.
      if (status === undefined || status.membershipIndex > status.commit || status.term < consensus.highestTerm)
        continue;
      const { voters, votersOutgoing } = status.membership;
      if (votersOutgoing.length === 0 && voters.length === target.size && voters.every((id) => target.has(id)))
        return true;
    }
    return false;
  }
}

/** What a node may say, and not start, when its disk rots. */
const DAMAGE = ['ENTRY_LOG_DAMAGED', 'IMAGE_DAMAGED', 'STATE_UNRECOVERABLE'];

export const GROUP_FAULTS = ['transfer', 'membership', 'replace', 'rot'] as const;
export type GroupFault = (typeof GROUP_FAULTS)[number];
