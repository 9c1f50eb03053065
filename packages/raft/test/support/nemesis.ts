import { assert } from '@sluice/common/assert';
import { crc32c } from '@sluice/common/bytes/crc32c';
import { SeededPrng } from '@sluice/common/prng';
import { members } from '../../src/conf-change.ts';
import type { QuiesceNotice } from '../../src/quiesce.ts';
import { Cluster, NOBODY } from './cluster.ts';
import type { Peer } from './peer.ts';

/**
 * One seed, one life of a group under everything that may go wrong: loss, repetition, reordering, partitions, crashes
 * that lose unsynced writes, slow disks, compaction, transfers, membership changes and sleep. The safety of Raft is
 * checked after every step; at the end everything is healed and the group has to come back to work.
 */
interface Action {
  weight: number;
  run: (nemesis: Nemesis) => void;
}

const NEWCOMERS = 2;

export class Nemesis {
  readonly prng: SeededPrng;
  readonly cluster: Cluster;
  readonly #size: number;
  /** How many packets of a hundred vanish, and are repeated. */
  readonly lossPercent: number;
  readonly repeatPercent: number;
  #proposals = 0;
  #reads = 0;
  /** By read context: the highest index committed anywhere when the read was asked. */
  readonly #readFloors: number[] = [];
  #notice: QuiesceNotice | undefined;
  /** Folds in what every peer believes after every step: equal seeds must give equal traces. */
  trace = 0;

  constructor(seed: number) {
    this.prng = new SeededPrng(seed);
    this.#size = this.chance(50) ? 3 : 5;
    const config = {
      electionTicks: this.chance(50) ? 5 : 2,
      preVote: this.chance(70),
      checkQuorum: this.chance(70),
      appendBytesMax: 1 + this.prng.below(12),
      inflightAppendsMax: 1 + this.prng.below(4),
    };
    this.lossPercent = this.prng.below(20);
    this.repeatPercent = this.prng.below(10);
    this.cluster = new Cluster(this.#size, config, (id) => new SeededPrng(seed * 64 + id));
    for (let i = 1; i <= NEWCOMERS; i++) this.cluster.addPeer(this.#size + i, NOBODY);
    for (const peer of this.cluster.peers.values()) this.cluster.holdDisk(peer.id, true);
  }

  chance(percent: number): boolean {
    return this.prng.below(100) < percent;
  }
  pick<T>(from: readonly T[]): T | undefined {
    return from.length === 0 ? undefined : from[this.prng.below(from.length)];
  }
  anyPeer(): Peer {
    return this.pick([...this.cluster.peers.values()]) as Peer;
  }
  leader(): Peer | undefined {
    return this.pick(this.cluster.live.filter((peer) => peer.group.role === 'leader'));
  }

  /** One line a peer, for the message of a failing seed. */
  describe(): string {
    const lines = [...this.cluster.peers.values()].map((peer) => JSON.stringify(peer.group.status()));
    return lines.join('\n');
  }

  step(): void {
    let draw = this.prng.below(TOTAL_WEIGHT);
    for (const { weight, run } of ACTIONS) {
      if (draw < weight) {
        run(this);
        break;
      }
      draw -= weight;
    }
    this.#checkReads();
    const beliefs = [...this.cluster.peers.values()].map((peer) => {
      const { role, term, commit, lastIndex } = peer.group;
      return `${peer.id}${role}${term}.${commit}.${lastIndex}`;
    });
    this.trace = crc32c(Buffer.from(beliefs.join()), this.trace);
  }

  propose(peer: Peer): void {
    const data = Array.from({ length: 1 + this.prng.below(3) }, () => Buffer.from(`v${this.#proposals++}`));
    peer.group.propose(data);
    this.cluster.settle(peer);
  }

  read(peer: Peer): void {
    const context = this.#reads++;
    this.#readFloors.push(this.cluster.safety.highestCommit);
    peer.group.requestRead(context);
    this.cluster.settle(peer);
  }

  #checkReads(): void {
    for (const peer of this.cluster.peers.values()) {
      for (const { context, index } of peer.reads) {
        const floor = this.#readFloors[context] as number;
        assert(
          index >= floor,
          `read ${context} at ${peer.id} is served at ${index}, but ${floor} was committed before`,
        );
      }
      peer.reads.length = 0;
    }
  }

  changeMembership(peer: Peer): void {
    const target = 1 + this.prng.below(this.#size + NEWCOMERS);
    const change = this.pick([{ addLearners: [target] }, { addVoters: [target] }, { remove: [target] }]) ?? {};
    // A peer that was removed may come back only with an empty disk and another id; here it just stays away.
    const known = peer.group.status().membership;
    const isNew = target > this.#size || known.voters.includes(target) || known.learners.includes(target);
    if (isNew && !('remove' in change && known.voters.length <= 2)) peer.group.proposeMembership(change);
    this.cluster.settle(peer);
  }

  quiesce(peer: Peer): void {
    this.#notice = peer.group.quiesce() ?? this.#notice;
    if (this.#notice === undefined) return;
    for (const other of this.cluster.live) if (this.chance(80)) other.group.followQuiesce(this.#notice);
  }

  /** No more failures: the group must elect, commit and agree within a bounded number of ticks. */
  recover(): void {
    const { cluster } = this;
    cluster.heal();
    for (const peer of cluster.peers.values()) {
      cluster.holdDisk(peer.id, false);
      if (!peer.alive) peer.restart();
      peer.group.wake();
    }
    cluster.stabilize();
    for (let round = 0; round < 200; round++) {
      this.#stopRemoved();
      for (const peer of cluster.live) peer.group.tick();
      cluster.stabilize();
      this.#checkReads();
    }
    const leaders = cluster.live.filter((peer) => peer.group.role === 'leader');
    const leader = leaders.reduce((a, b) => (a.group.term > b.group.term ? a : b), leaders[0] as Peer);
    assert(leader !== undefined, 'after the healing somebody leads');
    const answer = leader.group.propose([Buffer.from('end')]);
    assert(!('refused' in answer), 'after the healing a proposal is taken');
    for (let round = 0; round < 5; round++) {
      cluster.stabilize();
      leader.group.tick();
    }
    cluster.stabilize();
    this.#checkAgreement(leader);
  }

  /** A host takes a removed peer down; one that does not know of its removal could disturb a group without pre-vote. */
  #stopRemoved(): void {
    // A newcomer that has the log but not yet the entry that adds it knows of nobody.
    const informed = this.cluster.live.filter((peer) => peer.group.status().membership.voters.length > 0);
    const ahead = informed.reduce((a, b) => (b.group.commit > a.group.commit ? b : a));
    const kept = members(ahead.group.status().membership);
    for (const peer of this.cluster.peers.values()) {
      if (!kept.has(peer.id) && peer.group.role !== 'leader') peer.crash();
      else if (!peer.alive) peer.restart();
    }
  }

  #checkAgreement(leader: Peer): void {
    const { membership, commit } = leader.group.status();
    assert(leader.machine[leader.machine.length - 1] === 'end', 'the last proposal was applied');
    assert(membership.votersOutgoing.length === 0, 'a joint membership is left by itself');
    for (const id of [...membership.voters, ...membership.learners]) {
      const peer = this.cluster.peer(id);
      assert(peer.appliedIndex === commit, `peer ${id} applied ${peer.appliedIndex} of ${commit}`);
      assert(peer.machine.join() === leader.machine.join(), `peer ${id} agrees with the leader`);
    }
  }
}

const ACTIONS: readonly Action[] = [
  { weight: 500, run: deliverOne },
  { weight: 260, run: writeOne },
  { weight: 160, run: tickOne },
  { weight: 60, run: (nemesis) => withLeader(nemesis, (peer) => nemesis.propose(peer)) },
  { weight: 20, run: (nemesis) => withLeader(nemesis, (peer) => nemesis.read(peer)) },
  { weight: 12, run: crashOne },
  { weight: 24, run: restartOne },
  { weight: 16, run: bounceOne },
  { weight: 6, run: partition },
  { weight: 8, run: (nemesis) => nemesis.cluster.heal() },
  { weight: 10, run: compactOne },
  { weight: 6, run: (nemesis) => withLeader(nemesis, (peer) => transfer(nemesis, peer)) },
  { weight: 10, run: (nemesis) => withLeader(nemesis, (peer) => nemesis.changeMembership(peer)) },
  { weight: 4, run: (nemesis) => withLeader(nemesis, (peer) => nemesis.quiesce(peer)) },
  { weight: 4, run: wakeOne },
];
const TOTAL_WEIGHT = ACTIONS.reduce((sum, { weight }) => sum + weight, 0);

function withLeader(nemesis: Nemesis, run: (peer: Peer) => void): void {
  const leader = nemesis.leader();
  if (leader !== undefined) run(leader);
}

function deliverOne(nemesis: Nemesis): void {
  const { cluster } = nemesis;
  const { packets } = cluster;
  if (packets.length === 0) return;
  // Mostly in order, as a stream would; sometimes not.
  const at = nemesis.chance(80) ? 0 : nemesis.prng.below(packets.length);
  const [packet] = nemesis.chance(nemesis.repeatPercent) ? [packets[at]] : packets.splice(at, 1);
  if (packet === undefined) return;
  if (nemesis.chance(nemesis.lossPercent)) cluster.lose(packet);
  else cluster.deliver(packet);
}

function writeOne(nemesis: Nemesis): void {
  const peer = nemesis.anyPeer();
  if (peer.finishWrite()) nemesis.cluster.settle(peer);
}

function tickOne(nemesis: Nemesis): void {
  const peer = nemesis.anyPeer();
  if (!peer.alive) return;
  peer.group.tick();
  nemesis.cluster.settle(peer);
}

function crashOne(nemesis: Nemesis): void {
  nemesis.anyPeer().crash();
}

/** A restart so quick that everybody else is still in the same term. */
function bounceOne(nemesis: Nemesis): void {
  const peer = nemesis.anyPeer();
  peer.crash();
  peer.restart();
  nemesis.cluster.settle(peer);
}

function restartOne(nemesis: Nemesis): void {
  const dead = nemesis.pick([...nemesis.cluster.peers.values()].filter((peer) => !peer.alive));
  if (dead === undefined) return;
  dead.restart();
  nemesis.cluster.settle(dead);
}

function partition(nemesis: Nemesis): void {
  const island = [...nemesis.cluster.peers.keys()].filter(() => nemesis.chance(50));
  nemesis.cluster.partition([new Set(island)]);
}

function compactOne(nemesis: Nemesis): void {
  const peer = nemesis.anyPeer();
  if (peer.alive && peer.group.status().persistedIndex > 0) peer.compact();
}

function transfer(nemesis: Nemesis, peer: Peer): void {
  peer.group.transferLeadership(nemesis.anyPeer().id);
  nemesis.cluster.settle(peer);
}

function wakeOne(nemesis: Nemesis): void {
  const peer = nemesis.anyPeer();
  if (!peer.alive) return;
  peer.group.wake();
  nemesis.cluster.settle(peer);
}
