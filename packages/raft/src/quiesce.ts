import { isJoint } from './conf-change.ts';
import type { GroupState } from './group-state.ts';
import { sendHeartbeats } from './replication.ts';

/**
 * Thousands of idle groups must cost nothing: a quiesced group neither ticks nor sends. The rules:
 *
 * 1. A leader may sleep when every peer holds the whole log, all of it is committed, and nothing is under way.
 * 2. It then hands out a notice, which the host takes to the followers with its heartbeat between the nodes. A follower
 *    sleeps only if the notice is of its leader and term, and of exactly the log it holds.
 * 3. A leader wakes for a proposal, a read, a transfer, a campaign, and any request; late answers do not wake it. Awake,
 *    it sends a heartbeat to everybody. A follower wakes for any message of the group.
 * 4. While a group sleeps, nobody in it can notice that a leader died: the host watches whole nodes and calls `wake` on
 *    each group whose leader's node is gone (or, at the leader, whose peers' nodes are), and the timers run again.
 *
 * A lost notice: the follower's timer runs out, its pre-vote wakes the leader, whose heartbeat calms it. A late notice:
 * refused by rule 2, or true. Nothing about safety depends on any of this.
 */
export interface QuiesceNotice {
  leader: number;
  term: number;
  lastIndex: number;
}

export function quiesceLeader(group: GroupState): QuiesceNotice | undefined {
  const { log } = group;
  const lastIndex = log.lastIndex;
  const busy =
    group.role !== 'leader' ||
    log.commit !== lastIndex ||
    log.persistedIndex !== lastIndex ||
    group.transferee !== 0 ||
    group.reads.pending > 0 ||
    isJoint(group.membership);
  if (busy) return undefined;
  for (const progress of group.progress.values()) if (progress.match !== lastIndex) return undefined;
  group.quiesced = true;
  return { leader: group.self, term: group.term, lastIndex };
}

export function quiesceFollower(group: GroupState, notice: QuiesceNotice): boolean {
  const { log } = group;
  const fits =
    group.role === 'follower' &&
    group.leader === notice.leader &&
    group.term === notice.term &&
    log.lastIndex === notice.lastIndex &&
    log.persistedIndex === notice.lastIndex;
  if (!fits) return false;
  log.commitTo(notice.lastIndex);
  group.electionElapsed = 0;
  group.quiesced = true;
  return true;
}

export function wake(group: GroupState): void {
  if (!group.quiesced) return;
  group.quiesced = false;
  if (group.role !== 'leader') {
    group.drawElectionTimeout();
    return;
  }
  group.electionElapsed = 0;
  for (const progress of group.progress.values()) progress.recentlyActive = true;
  sendHeartbeats(group);
}
