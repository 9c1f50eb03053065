import type { GroupListener } from '@sluice/multiraft/group-machine';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import { ConsensusCheck, ProposalCheck, ReadCheck } from '../check/consensus-check.ts';
import type { SimWorld } from '../sim-world.ts';
import { LedgerMachine, type LedgerReply, STATE_RANGE } from './ledger-machine.ts';
import type { RaftNode } from './raft-node.ts';

/** One group over all nodes: who holds it, what was asked of it, and what is known of its history. */
export class LedgerGroup {
  readonly groupId: number;
  readonly #world: SimWorld;
  readonly initialVoters: readonly number[];
  readonly consensus: ConsensusCheck;
  readonly proposals = new ProposalCheck();
  readonly reads = new ReadCheck();
  /** Who shall vote; the membership follows. */
  target: Set<number>;
  /** Who has a replica, or shall have one. */
  readonly hosts: Set<number>;
  /** Whose replica is just being added: one that waits for its disk must be there before it is removed. */
  readonly coming = new Set<number>();
  /** Whose replica is just being removed: it must be gone before it is added again. */
  readonly leaving = new Set<number>();
  /** Their replica was removed once: they must not found the group again. */
  readonly forgotten = new Set<number>();
  readonly machines = new Map<number, LedgerMachine>();
  readonly appliedIndex = new Map<number, number>();
  /** Booked, acknowledged and not retired. */
  readonly live: number[] = [];
  snapshots = 0;
  impaired = new Set<number>();

  constructor(world: SimWorld, groupId: number, initialVoters: readonly number[]) {
    this.#world = world;
    this.groupId = groupId;
    this.initialVoters = initialVoters;
    this.consensus = new ConsensusCheck(groupId);
    this.target = new Set(initialVoters);
    this.hosts = new Set(initialVoters);
  }

  /** Adds this group's replica to a host; it may have one of a former life. */
  async addTo(node: RaftNode, host: RaftHost): Promise<void> {
    const { groupId } = this;
    const { nodeId } = node;
    const founds = this.initialVoters.includes(nodeId) && !this.forgotten.has(nodeId);
    const { life } = node;
    const onApplied = (index: number, commandHash: number, stateHash: number): void => {
      if (life.ended) throw new Error('a dead node applies');
      this.appliedIndex.set(nodeId, index);
      this.#check(() => this.consensus.applied(life.name, index, commandHash, stateHash));
    };
    const machine = await host.addGroup<LedgerMachine, LedgerReply, number>({
      groupId,
      bootstrapVoters: founds ? this.initialVoters : undefined,
      residentRanges: [STATE_RANGE],
      restore: (rows) => new LedgerMachine(rows, onApplied),
      listener: this.#listener(node, host),
    });
    this.machines.set(nodeId, machine);
  }

  #listener(node: RaftNode, host: RaftHost): GroupListener<LedgerReply, number, LedgerMachine> {
    const { groupId } = this;
    const { nodeId } = node;
    return {
      applied: (_index, reply, token) => {
        if (token === undefined) return;
        this.#world.trace.count(token as number);
        this.#world.trace.count(reply.index);
        this.#check(() => this.proposals.acknowledged(token as number, reply.index));
        this.reads.acknowledged(reply.index);
        this.live.push(token as number);
      },
      dropped: (token, reason) => {
        this.#world.trace.count(-(token as number));
        if (reason === 'not-leader') this.proposals.refused(token as number);
      },
      effects: (effects) => host.noteDeadBytes(effects.length * 1_000),
      stopped: (cause) => {
        node.trace(`group ${groupId} stopped: ${cause.message}`);
        this.impaired.add(nodeId);
        if (!node.mayBeDamaged) this.#world.fail(cause);
      },
      leadership: (leads) => {
        const term = host.termOf(groupId);
        node.trace(`group ${groupId}: ${leads ? 'leads' : 'leads no more'} in term ${term}`);
        if (leads) this.#check(() => this.consensus.leads(term, nodeId));
      },
      leaderMoved: (leader, term) => node.trace(`group ${groupId}: ${leader} leads in term ${term}`),
      membershipMoved: (membership, index) => {
        const { voters, votersOutgoing, learners } = membership;
        const said = `${voters.join()}/${votersOutgoing.join()}/${learners.join()}`;
        node.trace(`group ${groupId}: membership ${said} at ${index}`);
        this.#check(() => this.consensus.membership(node.life.name, index, said));
      },
      restored: (machine) => {
        node.trace(`group ${groupId}: restored from a snapshot, ${machine.count} applied`);
        this.machines.set(nodeId, machine);
        this.snapshots++;
      },
    };
  }

  /** A listener must not throw, so what a checker finds goes to the world. */
  #check(act: () => void): void {
    try {
      act();
    } catch (cause) {
      this.#world.fail(cause);
    }
  }
}
