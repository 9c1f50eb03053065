import { isVoter, members } from './conf-change.ts';
import type { ResolvedConfig } from './config.ts';
import type { Entry, HardState, Membership } from './entry.ts';
import { EntryKind } from './entry.ts';
import type { MembershipHistory } from './membership-history.ts';
import type { Message } from './message.ts';
import { Progress } from './progress.ts';
import type { RaftLog } from './raft-log.ts';
import { ReadIndexQueue } from './read-index.ts';
import type { ReadState } from './ready.ts';

/**
 * Everything a group remembers, shared by the files that decide: `election`, `replication`, the three `step-*` files
 * and the face `raft`. It decides nothing itself. What it holds beyond the log is either in the hard state, so that it
 * survives, or belongs to one role and is cleared by whoever changes the role.
 */
/** Up to four times the usual timeout is waited for the answers to a candidacy. */
const PATIENCE_DOUBLINGS_MAX = 2;

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

export class GroupState {
  readonly config: ResolvedConfig;
  readonly log: RaftLog;
  readonly memberships: MembershipHistory;
  /** See `Restored`. */
  readonly followsWiped: boolean;
  role: Role = 'follower';
  term: number;
  vote: number;
  /** 0 while unknown. */
  leader = 0;

  /** Ticks since the leader was heard, or, at the leader, since the last quorum check. */
  electionElapsed = 0;
  /** An election starts at this many ticks; drawn anew for each. */
  electionTimeout = 0;
  /** Elections left that start after a part of the timeout, because the host saw the leader's node go. */
  hurriedElections = 0;
  #hurriedTimeout = false;
  /** Candidacies in a row that were neither won nor refused by anybody: answers take longer than was waited. */
  unansweredCandidacies = 0;
  heartbeatElapsed = 0;
  quiesced = false;

  /** Answers to the running (pre-)election. */
  readonly votes = new Map<number, boolean>();

  /** Leader: one for every peer that must get the log, itself included. */
  readonly progress = new Map<number, Progress>();
  /** Number of the newest progress; 0 is none. A leader of a term lives once, so with the term it is unique. */
  #stint = 0;
  readonly reads: ReadIndexQueue;
  transferee = 0;
  transferElapsed = 0;
  uncommittedBytes = 0;
  /** A sole voter leads before its own vote is durable: until this index is, nothing of its term may leave the node. */
  silentUntil = 0;
  /** Something changed that may let an append go out; settled in `ready`. */
  appendsWanted = false;

  messages: Message[] = [];
  messagesAfterPersist: Message[] = [];
  readStates: ReadState[] = [];
  /** The hard state last handed out. */
  saved: HardState;

  constructor(
    config: ResolvedConfig,
    log: RaftLog,
    memberships: MembershipHistory,
    hardState: HardState,
    followsWiped = false,
  ) {
    this.followsWiped = followsWiped;
    this.config = config;
    this.log = log;
    this.memberships = memberships;
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.reads = new ReadIndexQueue(config.readsPendingMax);
    this.saved = { term: hardState.term, vote: hardState.vote, commit: log.commit };
    this.drawElectionTimeout();
  }

  get self(): number {
    return this.config.peerId;
  }
  get membership(): Membership {
    return this.memberships.latest;
  }

  drawElectionTimeout(): void {
    const { electionTicks, prng } = this.config;
    this.electionElapsed = 0;
    this.#hurriedTimeout = this.hurriedElections > 0;
    // Short, but spread as widely: votes that were split must not be split again.
    const least = this.#hurriedTimeout ? Math.ceil(0.3 * electionTicks) : electionTicks;
    this.electionTimeout = least + prng.below(this.#hurriedTimeout ? 2 * least : least);
  }

  /**
   * For a candidate, and for who votes for one: two writes and two ways lie between the request and the last answer, and a
   * next election would void it. So the hurry is over, and each candidacy that brought no answer doubles the wait.
   */
  drawPatientTimeout(): void {
    const { electionTicks, prng } = this.config;
    this.electionElapsed = 0;
    this.#hurriedTimeout = false;
    const least = electionTicks << Math.min(this.unansweredCandidacies, PATIENCE_DOUBLINGS_MAX);
    this.electionTimeout = least + prng.below(least);
  }

  /** A leader is known again: it gets the whole timeout. */
  endHurry(): void {
    this.hurriedElections = 0;
    if (this.#hurriedTimeout) this.drawElectionTimeout();
  }

  /** The only voter of both halves: it needs nobody's answer. */
  isSoleVoter(): boolean {
    const { voters, votersOutgoing } = this.membership;
    return voters.length === 1 && voters[0] === this.self && votersOutgoing.every((peer) => peer === this.self);
  }

  /**
   * May this peer start an election? A voter that the newest membership removes still may while that membership is not
   * committed: it can be the only one whose log is long enough to win (thesis 4.2.2).
   */
  mayCampaign(): boolean {
    if (this.log.unstable.snapshot !== undefined) return false;
    for (const membership of this.memberships.since(this.log.commit)) {
      if (isVoter(membership, this.self)) return true;
    }
    return false;
  }

  reached = (peer: number): number => this.progress.get(peer)?.match ?? 0;
  readReached = (peer: number): number =>
    peer === this.self ? Number.POSITIVE_INFINITY : (this.progress.get(peer)?.readRound ?? 0);

  /** The peers to send the log to: also those that an uncommitted membership removes, until they know. */
  syncProgress(): void {
    const wanted = new Set<number>();
    for (const membership of this.memberships.since(this.log.commit)) {
      for (const peer of members(membership)) wanted.add(peer);
    }
    for (const peer of this.progress.keys()) if (!wanted.has(peer)) this.progress.delete(peer);
    for (const peer of wanted) {
      if (this.progress.has(peer)) continue;
      const progress = this.beginStint();
      // A newcomer is not silent yet: give it a whole period before it counts as lost.
      progress.recentlyActive = true;
      this.progress.set(peer, progress);
    }
    this.appendsWanted = true;
  }

  beginStint(): Progress {
    return new Progress(++this.#stint, this.log.lastIndex + 1, this.config);
  }

  /** The leader's own entries and a follower's accepted ones both enter the log here. */
  appendToLog(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    this.memberships.truncateFrom(first.index);
    this.log.append(entries);
    for (const entry of entries) if (entry.kind === EntryKind.MEMBERSHIP) this.memberships.append(entry);
  }
}
