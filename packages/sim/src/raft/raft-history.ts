import type { RaftHost } from '@sluice/multiraft/raft-host';
import { Draw } from '../draw.ts';
import { Nemesis } from '../nemesis.ts';
import { SimNetwork } from '../sim-network.ts';
import type { SimWorld } from '../sim-world.ts';
import { type SimulationOptions, simulate, type Verdict, Violation } from '../simulation.ts';
import { type GroupFault, GroupMoves } from './group-moves.ts';
import { LedgerGroup } from './ledger-group.ts';
import { encodeCommand } from './ledger-machine.ts';
import { driveMembership, dropStrayReplicas } from './membership-driver.ts';
import { drawKnobs, type RaftKnobs } from './raft-knobs.ts';
import { RaftNode } from './raft-node.ts';
import { checkReplicas } from './replica-check.ts';

export interface RaftSimulationOptions extends SimulationOptions {
  /** Virtual, of the time in which anything may fail. */
  safetyMs?: number;
  /** For tests: something in place of what the seed drew. */
  adjust?(knobs: RaftKnobs): RaftKnobs;
  /** For tests of the checkers: called when the cluster stands. */
  sabotage?(history: RaftHistory): void;
}

/** Raft hosts with real entry logs under every fault there is, with the smallest machine. */
export function simulateRaft(seed: number, options: RaftSimulationOptions = {}): Promise<Verdict> {
  return simulate('raft', seed, options, (world) => new RaftHistory(world, options).run());
}

export class RaftHistory {
  readonly world: SimWorld;
  readonly #draw: Draw;
  readonly knobs: RaftKnobs;
  readonly network: SimNetwork;
  readonly nodes = new Map<number, RaftNode>();
  readonly groups: LedgerGroup[] = [];
  readonly #options: RaftSimulationOptions;
  #nextNodeId = 1;
  #nextProposal = 1;
  #proposing = true;
  #reads = 0;

  /** From the moment everything heals: each group accepts again. */
  static readonly RESUME_MS_MAX = 30_000;
  /** And from then on, without proposals: all replicas are one. */
  static readonly CONVERGE_MS_MAX = 60_000;
  static readonly SAMPLE_MS = 50;
  static readonly DRIVE_MS = 300;

  constructor(world: SimWorld, options: RaftSimulationOptions) {
    this.world = world;
    this.#options = options;
    this.#draw = new Draw(world.prng);
    const drawn = drawKnobs(this.#draw, options.safetyMs ?? 20_000);
    this.knobs = options.adjust?.(drawn) ?? drawn;
    this.network = new SimNetwork(world, this.knobs.network);
  }

  async run(): Promise<string> {
    const { knobs, world } = this;
    const ids = Array.from({ length: knobs.nodes }, () => this.#newNode().nodeId);
    for (let groupId = 1; groupId <= knobs.groups; groupId++) {
      const size = Math.min(ids.length, this.#draw.oneOf([1, 3, 3, 5]));
      this.groups.push(new LedgerGroup(world, groupId, this.#draw.shuffled(ids).slice(0, size).sort()));
    }
    for (const node of this.nodes.values()) node.start();
    const { nodes, groups, network } = this;
    const moves = new GroupMoves({ world, draw: this.#draw, nodes, groups, newNode: () => this.#newNode() });
    const nemesis = new Nemesis<GroupFault>({
      world,
      draw: this.#draw,
      knobs,
      machines: nodes,
      network,
      special: (fault, victim) => moves.do(fault, victim),
      victim: (up) => moves.victim(up),
    });
    this.#options.sabotage?.(this);
    nemesis.begin();
    this.#sample();
    this.#drive();
    for (const group of this.groups) {
      this.#propose(group);
      this.#ask(group);
    }
    await world.run(world.nowMs + knobs.safetyMs);
    nemesis.end();
    await this.#resumes();
    this.#proposing = false;
    await this.#converges();
    await checkReplicas(world, this.groups, this.nodes);
    const acknowledged = this.groups.reduce((sum, group) => sum + group.proposals.acknowledgements, 0);
    const terms = this.groups.reduce((sum, group) => sum + group.consensus.terms, 0);
    const snapshots = this.groups.reduce((sum, group) => sum + group.snapshots, 0);
    const faults = [...nemesis.counts].map(([fault, count]) => `${fault} ${count}`).join(', ');
    return `${knobs.nodes} nodes, ${knobs.groups} groups, ${acknowledged} acknowledged, ${terms} terms with a leader, ${snapshots} snapshots, ${this.#reads} reads; ${faults}`;
  }

  #newNode(): RaftNode {
    const node = new RaftNode({
      world: this.world,
      network: this.network,
      nodeId: this.#nextNodeId++,
      diskKnobs: this.knobs.disk,
      segmentBytes: this.knobs.segmentBytes,
      addGroups: async (booting, host) => {
        for (const group of this.groups) if (group.hosts.has(booting.nodeId)) await group.addTo(booting, host);
      },
    });
    this.nodes.set(node.nodeId, node);
    return node;
  }

  /** Leaders are seen also when nobody tells. */
  #sample(): void {
    this.#every(RaftHistory.SAMPLE_MS, () => {
      for (const node of this.nodes.values()) {
        if (node.host === undefined || node.state !== 'up') continue;
        for (const group of this.groups) {
          const status = node.host.status(group.groupId);
          if (status?.role === 'leader') group.consensus.leads(status.term, node.nodeId);
          else if (node.host.leads(group.groupId)) {
            throw new Violation('leadership ended', `${node.name} serves group ${group.groupId} and leads it no more`);
          }
        }
      }
    });
  }

  #drive(): void {
    this.#every(RaftHistory.DRIVE_MS, () => {
      for (const group of this.groups) {
        driveMembership(group, this.nodes);
        dropStrayReplicas(group, this.nodes);
      }
    });
  }

  #every(ms: number, act: () => void): void {
    this.world.after(ms, this.world.outside, () => {
      try {
        act();
      } catch (cause) {
        this.world.fail(cause);
      }
      this.#every(ms, act);
    });
  }

  #propose(group: LedgerGroup): void {
    const { knobs, world } = this;
    this.world.after(knobs.proposalEveryMs * (0.5 + this.#draw.between(0, 100) / 100), world.outside, () => {
      if (!this.#proposing) return;
      this.#propose(group);
      const { groupId } = group;
      const node = this.#someNode((each) => this.#draw.onceIn(10) || each.host?.leads(groupId) === true);
      const host = node?.host;
      if (node === undefined || host === undefined) return;
      world.after(0, node.life, () => {
        const { live } = group;
        for (let i = 0; i < knobs.batch; i++) {
          if (live.length > 0 && this.#draw.onceIn(knobs.retireOneIn)) {
            const [id] = live.splice(this.#draw.between(0, live.length - 1), 1);
            host.propose(groupId, encodeCommand({ kind: 'retire', id: id as number }, 0), undefined);
          }
          this.#book(group, host);
        }
      });
    });
  }

  #book(group: LedgerGroup, host: RaftHost): void {
    const id = this.#nextProposal++;
    group.proposals.attempted(id);
    const command = encodeCommand({ kind: 'book', id }, this.knobs.fillBytes);
    const outcome = host.propose(group.groupId, command, id);
    if (outcome !== 'proposed') group.proposals.refused(id);
  }

  /** Linearizable reads, of any node that thinks it may answer. */
  #ask(group: LedgerGroup): void {
    this.world.after(this.#draw.between(20, 400), this.world.outside, () => {
      if (!this.#proposing) return;
      this.#ask(group);
      const node = this.#someNode(() => true);
      const host = node?.host;
      if (node === undefined || host === undefined) return;
      const { life } = node;
      const askedAt = group.reads.asked();
      this.world.after(0, life, () => {
        host.readBarrier(group.groupId).then(
          (holds) => {
            if (!holds || life.ended) return;
            this.#reads++;
            try {
              const applied = host.status(group.groupId)?.applied ?? 0;
              group.reads.answered(life.name, askedAt, Math.max(applied, group.appliedIndex.get(node.nodeId) ?? 0));
            } catch (cause) {
              this.world.fail(cause);
            }
          },
          () => {},
        );
      });
    });
  }

  #someNode(wanted: (node: RaftNode) => boolean): RaftNode | undefined {
    const up = [...this.nodes.values()].filter((node) => node.state === 'up' && !node.life.paused && wanted(node));
    return up.length === 0 ? undefined : this.#draw.oneOf(up);
  }

  async #resumes(): Promise<void> {
    const before = this.groups.map((group) => group.proposals.acknowledgements);
    const since = this.world.nowMs;
    const resumed = await this.world.runUntil(since + RaftHistory.RESUME_MS_MAX, RaftHistory.SAMPLE_MS, () =>
      this.groups.every((group, at) => group.proposals.acknowledgements > (before[at] as number)),
    );
    if (resumed) return;
    const stuck = this.groups.filter((group, at) => group.proposals.acknowledgements === before[at]);
    throw new Violation('liveness', `${stuck.map((group) => this.#describe(group)).join('; ')} accepts nothing`);
  }

  async #converges(): Promise<void> {
    const since = this.world.nowMs;
    const converged = await this.world.runUntil(since + RaftHistory.CONVERGE_MS_MAX, RaftHistory.SAMPLE_MS, () =>
      this.groups.every((group) => this.#isOne(group)),
    );
    if (converged) return;
    const apart = this.groups.filter((group) => !this.#isOne(group));
    throw new Violation('liveness', `${apart.map((group) => this.#describe(group)).join('; ')}: not one in the end`);
  }

  #isOne(group: LedgerGroup): boolean {
    const indexes = new Set<number>();
    for (const id of group.target) {
      const status = this.nodes.get(id)?.host?.status(group.groupId);
      const node = this.nodes.get(id);
      // One whose disk rots is replaced first.
      if (status === undefined || node?.state !== 'up' || node.mayBeDamaged) return false;
      const { voters, votersOutgoing } = status.membership;
      if (votersOutgoing.length > 0 || voters.length !== group.target.size) return false;
      if (!voters.every((voter) => group.target.has(voter))) return false;
      if (status.applied !== status.lastIndex) return false;
      indexes.add(status.applied);
    }
    return indexes.size === 1;
  }

  #describe(group: LedgerGroup): string {
    const each = [...this.nodes.values()].map((node) => {
      const status = node.host?.status(group.groupId);
      if (status === undefined) return `${node.name} ${node.state}`;
      const { role, term, leader, commit, applied, lastIndex, membership } = status;
      const { voters, votersOutgoing, learners } = membership;
      return `${node.name} ${role} term ${term} leader ${leader} commit ${commit} applied ${applied} last ${lastIndex} voters ${voters}/${votersOutgoing} learners ${learners}`;
    });
    return `group ${group.groupId} for ${[...group.target]} [${each.join(' | ')}]`;
  }
}
