import type { Draw } from '../draw.ts';
import type { SimNetwork } from '../sim-network.ts';
import type { SimWorld } from '../sim-world.ts';
import type { LedgerGroup } from './ledger-group.ts';
import type { Fault, RaftKnobs } from './raft-knobs.ts';
import type { RaftNode } from './raft-node.ts';

/** Does to the nodes what the seed drew, and takes all of it back when it is told to. */
export class RaftNemesis {
  readonly #world: SimWorld;
  readonly #draw: Draw;
  readonly #knobs: RaftKnobs;
  readonly #nodes: Map<number, RaftNode>;
  readonly #groups: readonly LedgerGroup[];
  readonly #network: SimNetwork;
  readonly #newNode: () => RaftNode;
  /** Lost its disk and is still named somewhere: there is never more than one, or a majority might be lost. */
  #lost: RaftNode | undefined;
  #over = false;
  readonly counts = new Map<Fault, number>();

  constructor(options: {
    world: SimWorld;
    draw: Draw;
    knobs: RaftKnobs;
    nodes: Map<number, RaftNode>;
    groups: readonly LedgerGroup[];
    network: SimNetwork;
    newNode: () => RaftNode;
  }) {
    this.#world = options.world;
    this.#draw = options.draw;
    this.#knobs = options.knobs;
    this.#nodes = options.nodes;
    this.#groups = options.groups;
    this.#network = options.network;
    this.#newNode = options.newNode;
  }

  /** Spells of faults and spells of calm in turn: under faults alone nothing would get far enough to be lost. */
  begin(): void {
    if (this.#knobs.faults.length > 0) this.#rage(this.#world.nowMs + this.#draw.between(500, 6_000));
  }

  #rage(untilMs: number): void {
    const gapMs = this.#knobs.faultEveryMs * (0.5 + this.#draw.between(0, 100) / 100);
    this.#world.after(gapMs, this.#world.outside, () => {
      if (this.#over) return;
      if (this.#world.nowMs >= untilMs) {
        this.#calm();
        return;
      }
      const fault = this.#draw.oneOf(this.#knobs.faults);
      this.#world.trace.add(this.#world.nowMs, 'nemesis', fault);
      this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
      this.#do(fault);
      this.#rage(untilMs);
    });
  }

  #calm(): void {
    if (this.#draw.onceIn(3)) this.#heal();
    this.#world.after(this.#draw.between(500, 5_000), this.#world.outside, () => {
      if (!this.#over) this.#rage(this.#world.nowMs + this.#draw.between(500, 6_000));
    });
  }

  /** Everything heals; what lost its disk stays lost, and another has its place. */
  end(): void {
    this.#over = true;
    this.#heal();
  }

  #heal(): void {
    this.#world.trace.add(this.#world.nowMs, 'nemesis', 'everything heals');
    this.#network.mendAll();
    for (const node of this.#nodes.values()) {
      node.disk.extraMs = 0;
      node.disk.hang(0);
      node.disk.failNext = 'none';
      node.disk.capacityBytes = Number.POSITIVE_INFINITY;
      node.life.resume();
      node.start();
    }
  }

  #do(fault: Fault): void {
    const up = [...this.#nodes.values()].filter((node) => node.state !== 'down');
    const node = up.length === 0 ? undefined : this.#victim(up);
    switch (fault) {
      case 'kill':
      case 'power':
        if (node !== undefined) this.#crash(node, fault === 'kill' ? 'process' : 'power');
        return;
      case 'power-all':
        for (const each of up) this.#crash(each, 'power');
        return;
      case 'pause':
        if (node !== undefined) this.#pause(node);
        return;
      case 'isolate':
        if (node !== undefined) this.#split([node.nodeId], 'both');
        return;
      case 'cut-one-way':
        if (node !== undefined) this.#split([node.nodeId], this.#draw.oneOf(['in', 'out']));
        return;
      case 'halves': {
        const ids = this.#draw.shuffled([...this.#nodes.keys()]);
        this.#split(ids.slice(0, ids.length >>> 1), 'both');
        return;
      }
      case 'slow-link':
        if (node !== undefined) this.#slowLink(node);
        return;
      case 'slow-disk':
        if (node === undefined) return;
        node.disk.extraMs = this.#draw.oneOf([5, 20, 100]);
        this.#later(() => {
          node.disk.extraMs = 0;
        });
        return;
      case 'hung-disk':
        node?.disk.hang(this.#world.nowMs + this.#draw.between(100, 8_000));
        return;
      case 'sync-error':
        if (node !== undefined) node.disk.failNext = this.#draw.oneOf(['sync', 'write'] as const);
        return;
      case 'disk-full':
        if (node === undefined) return;
        node.disk.capacityBytes = node.disk.usedBytes + this.#draw.between(0, 4_000);
        this.#later(() => {
          node.disk.capacityBytes = Number.POSITIVE_INFINITY;
        });
        return;
      case 'transfer':
        this.#transfer();
        return;
      case 'membership':
        this.#moveGroup();
        return;
      case 'replace':
        this.#replace(node);
        return;
      case 'reset-channels':
        for (const channel of [...this.#network.channels]) {
          if (node === undefined || channel.nodeId === node.nodeId) channel.expire();
        }
        return;
    }
  }

  /** Leaders are the more interesting half. */
  #victim(up: readonly RaftNode[]): RaftNode {
    const group = this.#draw.oneOf(this.#groups);
    const leader = up.find((node) => node.host?.leads(group.groupId));
    return leader !== undefined && this.#draw.onceIn(2) ? leader : this.#draw.oneOf(up);
  }

  #later(act: () => void): void {
    this.#world.after(this.#draw.between(50, this.#knobs.faultMsMax), this.#world.outside, () => {
      if (!this.#over) act();
    });
  }

  #crash(node: RaftNode, how: 'process' | 'power'): void {
    node.kill(how);
    this.#world.after(this.#draw.between(0, this.#knobs.downMsMax), this.#world.outside, () => node.start());
  }

  #pause(node: RaftNode): void {
    const { life } = node;
    life.pause();
    node.trace('is stopped');
    this.#network.paused();
    this.#later(() => {
      node.trace('goes on');
      life.resume();
    });
  }

  #split(inside: readonly number[], direction: string): void {
    const outside = [...this.#nodes.keys()].filter((id) => !inside.includes(id));
    this.#world.trace.add(this.#world.nowMs, 'nemesis', `cuts ${inside} from ${outside} (${direction})`);
    const cuts: [number, number][] = [];
    for (const a of inside) {
      for (const b of outside) {
        if (direction !== 'in') cuts.push([a, b]);
        if (direction !== 'out') cuts.push([b, a]);
      }
    }
    for (const [from, to] of cuts) this.#network.cut(from, to);
    this.#later(() => {
      this.#world.trace.add(this.#world.nowMs, 'nemesis', `mends ${inside}`);
      for (const [from, to] of cuts) this.#network.mend(from, to);
    });
  }

  #slowLink(node: RaftNode): void {
    const moreMs = this.#draw.oneOf([20, 100, 600]);
    const others = [...this.#nodes.keys()];
    for (const id of others) {
      this.#network.slow(node.nodeId, id, moreMs);
      this.#network.slow(id, node.nodeId, moreMs);
    }
    this.#later(() => {
      for (const id of others) {
        this.#network.slow(node.nodeId, id, 0);
        this.#network.slow(id, node.nodeId, 0);
      }
    });
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

  /** A node loses its disk for good, and a new one takes its place. Never more than one may be gone at a time. */
  #replace(node: RaftNode | undefined): void {
    if (node === undefined || this.#nodes.size < 3) return;
    if (this.#oneIsLost()) return;
    if (
      !this.#groups.every(
        (group) => this.#isSettled(group) && !(group.target.has(node.nodeId) && group.target.size < 3),
      )
    )
      return;
    this.#lost = node;
    node.kill('power');
    node.disk.wipe();
    node.engineDisk.wipe();
    this.#nodes.delete(node.nodeId);
    const fresh = this.#newNode();
    this.#world.trace.add(this.#world.nowMs, 'nemesis', `${node.name} is lost, ${fresh.name} takes its place`);
    for (const group of this.#groups) {
      if (group.target.delete(node.nodeId)) group.target.add(fresh.nodeId);
    }
    fresh.start();
  }

  /** Still a member of something: until it is not, nobody else may be lost and no group may shrink. */
  #oneIsLost(): boolean {
    if (this.#lost !== undefined && !this.#isNamed(this.#lost.nodeId)) this.#lost = undefined;
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
