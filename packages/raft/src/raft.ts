import { assert } from '@sluice/common/assert';
import { maybeCommit } from './commitment.ts';
import type { MembershipChange } from './conf-change.ts';
import { copyMembership, encodeMembership, enterChange, isJoint, isVoter } from './conf-change.ts';
import type { RaftConfig } from './config.ts';
import { resolveConfig } from './config.ts';
import { campaign, forgetLeader, hurry, stepDown } from './election.ts';
import type { Entry, HardState, Membership } from './entry.ts';
import { EntryKind } from './entry.ts';
import { GroupState } from './group-state.ts';
import type { LogReader } from './log-reader.ts';
import { MembershipHistory } from './membership-history.ts';
import type { Message } from './message.ts';
import type { QuiesceNotice } from './quiesce.ts';
import { quiesceFollower, quiesceLeader, wake } from './quiesce.ts';
import { RaftLog } from './raft-log.ts';
import type { Ready } from './ready.ts';
import { appendMembership, appendOwn, sendAppends, sendHeartbeats } from './replication.ts';
import type { Status } from './status.ts';
import { statusOf } from './status.ts';
import { step } from './step.ts';
import { confirmReads, maybeHandOver } from './step-leader.ts';
import { tick } from './tick.ts';

/**
 * One peer of one Raft group as a value: ticks, messages and proposals go in, a `Ready` comes out, and nothing else
 * happens. It reads no clock, draws chance only from the given source, and holds no payload longer than it takes to
 * hand it to the disk; so a test can drive five of them through a year of failures in a second.
 *
 * |               | election timeout    | majority grants       | majority refuses | leader of the term | higher term |
 * |---------------|---------------------|-----------------------|------------------|--------------------|-------------|
 * | follower      | pre-candidate       |                       |                  | follower           | follower    |
 * | pre-candidate | pre-candidate again | candidate, term + 1   | follower         | follower           | follower    |
 * | candidate     | pre-candidate       | leader                | follower         | follower           | follower    |
 * | leader        | no majority heard: follower | -             | -                | impossible         | follower    |
 *
 * Besides: `timeout-now` makes a voter a candidate at once; a sole voter is leader at its first tick; a leader whose
 * removal has committed becomes a follower; without pre-vote the timeout leads to candidate.
 */
export interface Restored {
  hardState: HardState;
  /** As of `appliedIndex`; for a newcomer that waits to be added, empty. */
  membership: Membership;
  /** The membership entries of the log after `appliedIndex`, in order: they are in force though not applied. Others are skipped. */
  membershipEntries?: readonly Entry[];
  /** What the log starts after; zeros for a log that starts at index 1. */
  snapshot: { index: number; term: number };
  appliedIndex: number;
  /**
   * A replica of the group was wiped here since this process began, and this one starts without a log: a heartbeat to the
   * former may still arrive, and speak of a log that is gone.
   */
  followsWiped?: boolean;
}

export type Refusal =
  | 'not-leader'
  | 'transferring'
  | 'too-many-uncommitted'
  /** The last change has not committed, or nothing of the leader's term has. */
  | 'membership-pending'
  /** Changes nothing, leaves no voter, or names a bad peer. */
  | 'membership-invalid'
  /** A peer to promote is no learner, or too far behind. */
  | 'learner-behind';

/** `leader` is where to turn to, 0 while unknown. */
export interface Refused {
  refused: Refusal;
  leader: number;
}

const NOTHING_SAVED: HardState = { term: 0, vote: 0, commit: 0 };

export class RaftGroup {
  readonly #group: GroupState;

  constructor(config: RaftConfig, reader: LogReader, restored: Restored) {
    const { hardState = NOTHING_SAVED, membership, membershipEntries = [], snapshot, appliedIndex } = restored;
    const log = new RaftLog(reader, hardState.commit, snapshot, appliedIndex);
    const later = membershipEntries.filter((entry) => entry.index > appliedIndex);
    const memberships = new MembershipHistory(appliedIndex, copyMembership(membership), later);
    this.#group = new GroupState(resolveConfig(config), log, memberships, hardState, restored.followsWiped);
  }

  get role(): GroupState['role'] {
    return this.#group.role;
  }
  get term(): number {
    return this.#group.term;
  }
  /** 0 while unknown. */
  get leader(): number {
    return this.#group.leader;
  }
  get commit(): number {
    return this.#group.log.commit;
  }
  get lastIndex(): number {
    return this.#group.log.lastIndex;
  }

  /** The last entry that is durable here and was not replaced since. */
  get persistedIndex(): number {
    return this.#group.log.persistedIndex;
  }
  /** The last entry that the host has said to be applied. */
  get appliedIndex(): number {
    return this.#group.log.applied;
  }
  get lastTerm(): number {
    return this.#group.log.lastTerm();
  }

  /** Asleep: it neither ticks nor sends. */
  get quiesced(): boolean {
    return this.#group.quiesced;
  }
  /** In force, committed or not; a view that the next change replaces. */
  get membership(): Readonly<Membership> {
    return this.#group.membership;
  }

  tick(): void {
    tick(this.#group);
  }

  /** Raises a `SluiceError` for bytes that no peer would send and for a log that lost what it acknowledged. */
  step(message: Message): void {
    const answer = message.type === 'append-response' || message.type === 'heartbeat-response';
    if (!answer || this.#group.role !== 'leader') wake(this.#group);
    step(this.#group, message);
  }

  /** Appends one entry for each element, all or none. They are committed once `Ready.committed` names them. */
  propose(data: readonly Uint8Array[]): { term: number; firstIndex: number } | Refused {
    const group = this.#group;
    const refused = this.#refuseProposal();
    if (refused !== undefined) return refused;
    assert(data.length > 0, 'a proposal holds at least one entry');
    let sizeBytes = 0;
    for (let i = 0; i < data.length; i++) sizeBytes += (data[i] as Uint8Array).length;
    if (group.uncommittedBytes > 0 && group.uncommittedBytes + sizeBytes > group.config.uncommittedBytesMax) {
      return { refused: 'too-many-uncommitted', leader: group.self };
    }
    wake(group);
    return { term: group.term, firstIndex: appendOwn(group, EntryKind.NORMAL, data) };
  }

  /** In force at once; a change of voters leaves its joint half by itself. One at a time. */
  proposeMembership(change: MembershipChange): { term: number; index: number } | Refused {
    const group = this.#group;
    const refused = this.#refuseProposal() ?? this.#refuseMembership(change);
    if (refused !== undefined) return refused;
    const next = enterChange(group.membership, change);
    if (next === undefined) return { refused: 'membership-invalid', leader: group.self };
    wake(group);
    return { term: group.term, index: appendMembership(group, encodeMembership(next)) };
  }

  #refuseProposal(): Refused | undefined {
    const { role, leader, transferee } = this.#group;
    if (role !== 'leader') return { refused: 'not-leader', leader };
    return transferee === 0 ? undefined : { refused: 'transferring', leader };
  }

  #refuseMembership(change: MembershipChange): Refused | undefined {
    const { log, memberships, membership, progress, config, self } = this.#group;
    if (log.commit < memberships.latestIndex || isJoint(membership) || !this.#committedInOwnTerm()) {
      return { refused: 'membership-pending', leader: self };
    }
    for (const peer of change.addVoters ?? []) {
      if (isVoter(membership, peer)) continue;
      const learner = progress.get(peer);
      // Its match is what it has on disk, whatever its state; one that broke off and answers again may have nothing to
      // get, and then stays in `probe` for as long as nothing is proposed.
      const answers = learner !== undefined && learner.state !== 'snapshot' && learner.recentlyActive;
      const caughtUp = answers && learner.match > 0 && log.lastIndex - learner.match <= config.promotionLagMax;
      if (!membership.learners.includes(peer) || !caughtUp) return { refused: 'learner-behind', leader: self };
    }
    return undefined;
  }

  #committedInOwnTerm(): boolean {
    const { log, term } = this.#group;
    return log.term(log.commit) === term;
  }

  /**
   * Asks for a linearizable read: `Ready.readStates` names `context` once leadership is confirmed. False: not leading,
   * nothing committed in this term yet, or too many waiting; ask again. A read that was accepted and gets no state
   * before the role or the term changes has failed.
   */
  requestRead(context: number): boolean {
    const group = this.#group;
    if (group.role !== 'leader' || !this.#committedInOwnTerm()) return false;
    if (!group.reads.add(context, group.log.commit)) return false;
    wake(group);
    confirmReads(group);
    return true;
  }

  /** False when not leading or `to` is no other voter. Given up after `electionTicks`; proposals are refused meanwhile. */
  transferLeadership(to: number): boolean {
    const group = this.#group;
    const progress = group.progress.get(to);
    if (group.role !== 'leader' || to === group.self || progress === undefined) return false;
    if (!group.membership.voters.includes(to)) return false;
    wake(group);
    group.transferee = to;
    group.transferElapsed = 0;
    group.appendsWanted = true;
    maybeHandOver(group, to, progress);
    return true;
  }

  /** Starts an election now, with a pre-vote if so configured. */
  campaign(): void {
    wake(this.#group);
    campaign(this.#group, 'pre-vote');
  }

  /** At a follower whose leader's node is gone: do not wait for the timeout. False: nothing to forget. See `election`. */
  forgetLeader(): boolean {
    return forgetLeader(this.#group);
  }

  /** After a start: as nobody is known to lead, the first elections need not wait for a whole timeout. */
  hurry(): void {
    hurry(this.#group);
  }

  /** For a host that no longer lets this peer lead. */
  stepDown(): void {
    wake(this.#group);
    stepDown(this.#group);
  }

  hasReady(): boolean {
    const group = this.#group;
    return (
      group.messages.length > 0 ||
      group.messagesAfterPersist.length > 0 ||
      group.appendsWanted ||
      group.reads.open ||
      group.readStates.length > 0 ||
      group.log.unstable.hasFresh ||
      group.log.hasCommitted() ||
      this.#voteChanged()
    );
  }

  ready(): Ready {
    const group = this.#group;
    const { log } = group;
    if (group.role === 'leader') {
      if (group.reads.open) sendHeartbeats(group);
      if (group.appendsWanted) sendAppends(group);
      // A membership change may have made the answers that are in a majority.
      confirmReads(group);
    }
    const snapshot = log.unstable.takeSnapshot();
    const entries = log.unstable.takeEntries();
    const { messages, messagesAfterPersist, readStates } = group;
    group.messages = [];
    group.messagesAfterPersist = [];
    group.readStates = [];
    const writes = entries.length > 0 || snapshot !== undefined;
    const hardState = this.#takeHardState(writes, messagesAfterPersist.length > 0);
    return {
      hardState,
      entries,
      snapshot,
      messages,
      messagesAfterPersist,
      committed: log.takeCommitted(),
      readStates,
    };
  }

  /**
   * `Ready.committed` before the rest of it: what a message committed needs no disk, and need not wait for the write that is
   * under way when it comes. Not between a Ready with a snapshot and the end of its installation.
   */
  takeCommitted(): { first: number; last: number } {
    return this.#group.log.takeCommitted();
  }

  #voteChanged(): boolean {
    const { term, vote, saved } = this.#group;
    return term !== saved.term || vote !== saved.vote;
  }

  /**
   * A commit index alone is not worth a sync: it goes along with other writes. But a message that waits for the disk
   * must find a write in its own Ready, or a repeated request would be answered before the first one is durable.
   */
  #takeHardState(writes: boolean, awaited: boolean): HardState | undefined {
    const group = this.#group;
    const { term, vote, saved } = group;
    const commit = Math.min(group.log.commit, group.log.lastIndex);
    const due = this.#voteChanged() || (writes && commit !== saved.commit) || (awaited && !writes);
    if (!due) return undefined;
    group.saved = { term, vote, commit };
    return group.saved;
  }

  /** The write that ended with this entry (or snapshot) is durable, and so are all before it. */
  persisted(term: number, index: number): void {
    const group = this.#group;
    const isSilent = group.log.persistedIndex < group.silentUntil;
    if (!group.log.persisted(term, index) || group.role !== 'leader') return;
    const own = group.progress.get(group.self);
    if (own === undefined) return;
    if (isSilent && group.log.persistedIndex >= group.silentUntil) group.appendsWanted = true;
    own.accepted(group.log.persistedIndex);
    maybeCommit(group);
  }

  /** The machine holds everything up to `index`, which lets the host compact and snapshot that far. */
  applied(index: number): void {
    this.#group.log.appliedTo(index);
    this.#group.memberships.appliedTo(index);
  }

  /** The stream of a `snapshot` message ended; without it the leader never sends to that follower again. */
  reportSnapshot(peer: number, ok: boolean): void {
    const group = this.#group;
    const progress = group.progress.get(peer);
    if (progress?.state !== 'snapshot') return;
    if (ok) progress.becomeProbe();
    else progress.snapshotFailed();
    // Either way the follower needs a moment: the next answer lets the next append out.
    progress.probeSent = true;
  }

  /** Messages to `peer` may have been lost: stop streaming until it answers. */
  reportUnreachable(peer: number): void {
    const progress = this.#group.progress.get(peer);
    if (progress?.state !== 'replicate' || peer === this.#group.self) return;
    progress.becomeProbe();
    progress.probeSent = true;
  }

  /** At an idle leader: sleep, and tell the followers this. Undefined: not idle. The rules are in `quiesce.ts`. */
  quiesce(): QuiesceNotice | undefined {
    return this.hasReady() ? undefined : quiesceLeader(this.#group);
  }
  /** At a follower: false when the notice is not about the log and the leader it knows. */
  followQuiesce(notice: QuiesceNotice): boolean {
    return quiesceFollower(this.#group, notice);
  }
  /** The host sees a node of the group gone, or wants the timers back. */
  wake(): void {
    wake(this.#group);
  }

  status(): Status {
    return statusOf(this.#group);
  }
}
