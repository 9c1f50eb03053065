import type { Prng } from '@sluice/common/prng';
import { isVoter, members } from '@sluice/raft/conf-change';
import type { Replica } from '../replica/replica.ts';

/**
 * What the groups of this node do when another node goes or comes. A group by itself finds out by its election timeout, one
 * to two seconds; a broken connection tells within a millisecond, and silence tells for all groups at once.
 *
 * Were every follower to campaign at once, they would split the votes. So each has a place: the voters take their turns
 * `TURN_MS` apart, in an order that differs from group to group, which also spreads the leaders of a lost node over the others.
 */
export class PeerWatch {
  readonly #nodeId: number;
  readonly #prng: Prng;
  readonly #replicas: ReadonlyMap<number, Replica>;
  readonly #settle: (replica: Replica) => void;
  readonly #hasten: () => void;
  readonly #timers = new Map<Replica, NodeJS.Timeout>();

  /** Long enough for a vote to be written, asked for, written and answered, also on busy disks. */
  static readonly TURN_MS = 150;
  /** Before the first turn: who asks before the others have noticed is refused. */
  static readonly NOTICE_MS = 30;
  /** Two nodes that lose sight of a third at the same moment must not go on in step. */
  static readonly JITTER_MS = 20;

  constructor(options: {
    nodeId: number;
    prng: Prng;
    replicas: ReadonlyMap<number, Replica>;
    settle: (replica: Replica) => void;
    /** What needs no disk leaves although a write is in flight. */
    hasten: () => void;
  }) {
    this.#nodeId = options.nodeId;
    this.#prng = options.prng;
    this.#replicas = options.replicas;
    this.#settle = options.settle;
    this.#hasten = options.hasten;
  }

  /** What was under way to that node is lost. */
  broken(peer: number): void {
    for (const { raft } of this.#replicas.values()) if (raft.role === 'leader') raft.reportUnreachable(peer);
  }

  lost(peer: number): void {
    // The same for all groups: what stands together is written together.
    const startMs = PeerWatch.NOTICE_MS + this.#prng.below(PeerWatch.JITTER_MS);
    for (const replica of this.#replicas.values()) {
      const { raft } = replica;
      if (raft.leader === peer && raft.forgetLeader()) this.#takeTurn(replica, peer, startMs);
      else if (members(raft.membership).has(peer)) raft.wake();
      else continue;
      this.#settle(replica);
    }
  }

  /** It may have missed that this node leads, or a sleeping group may have to start over with it. */
  found(peer: number): void {
    for (const replica of this.#replicas.values()) {
      const { raft } = replica;
      if (raft.role !== 'leader' || !raft.quiesced || !members(raft.membership).has(peer)) continue;
      raft.wake();
      this.#settle(replica);
    }
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #takeTurn(replica: Replica, gone: number, startMs: number): void {
    const { raft, groupId } = replica;
    if (!isVoter(raft.membership, this.#nodeId)) return;
    // Of both halves while they change: who is to vote no more may be the only one who can win.
    const { voters: incoming, votersOutgoing } = raft.membership;
    const voters = [...new Set([...incoming, ...votersOutgoing])].filter((voter) => voter !== gone);
    voters.sort((a, b) => a - b);
    const place = (voters.indexOf(this.#nodeId) + groupId) % voters.length;
    const delayMs = startMs + place * PeerWatch.TURN_MS;
    const { term } = raft;
    clearTimeout(this.#timers.get(replica));
    const timer = setTimeout(() => {
      this.#timers.delete(replica);
      const isOut = replica.removed || replica.stopped !== undefined || !replica.mayVote();
      // A new term: somebody else stands already.
      if (isOut || raft.leader !== 0 || raft.role !== 'follower' || raft.term !== term) return;
      raft.campaign();
      this.#settle(replica);
      this.#hasten();
    }, delayMs);
    this.#timers.set(replica, timer);
  }
}
