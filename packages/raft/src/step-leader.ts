import { assert } from '@sluice/common/assert';
import { maybeCommit } from './commitment.ts';
import type { GroupState } from './group-state.ts';
import type { Message } from './message.ts';
import type { Progress } from './progress.ts';
import { quorumIndex } from './quorum.ts';

/**
 * A leader hears answers. Each may be late or repeated within the term (older terms are dropped before), so an answer
 * only ever moves a match forward, and a rejection counts only if it answers what was last sent. What a peer said of its log
 * before it was removed and added again is about a log that is gone: it is not heard. A heartbeat's answer says nothing
 * about the log, so it may be of any stint.
 */
export function stepLeader(group: GroupState, message: Message): void {
  switch (message.type) {
    case 'append-response':
    case 'heartbeat-response': {
      const progress = group.progress.get(message.from);
      // A peer that was removed, or that is not known yet.
      if (progress === undefined) return;
      if (message.type === 'append-response' && message.stint !== progress.stint) return;
      progress.recentlyActive = true;
      progress.answered = true;
      if (message.type === 'heartbeat-response') handleHeartbeatResponse(group, progress, message.readContext);
      else if (message.rejected) handleRejected(group, progress, message);
      else handleAccepted(group, message.from, progress, message.index);
      return;
    }
    case 'append':
    case 'heartbeat':
    case 'snapshot':
      assert(false, 'a term has one leader, and it is this peer');
      return;
    default:
      // Answers to the election that made this leader, and requests to a follower.
      return;
  }
}

/** @hotpath */
function handleAccepted(group: GroupState, peer: number, progress: Progress, index: number): void {
  if (index > group.log.lastIndex) return;
  const grows = progress.accepted(index);
  if (!grows && !(progress.state === 'probe' && progress.match === index)) return;
  switch (progress.state) {
    case 'probe':
      progress.becomeReplicate();
      break;
    case 'replicate':
      progress.inflights.freeTo(index);
      break;
    case 'snapshot':
      // Whatever it got, the log reaches back far enough to go on from there.
      if (progress.match + 1 >= group.log.firstIndex()) progress.becomeReplicate();
      break;
  }
  if (progress.poked || progress.next <= group.log.lastIndex) group.appendsWanted = true;
  if (grows) maybeCommit(group);
  if (group.role === 'leader') maybeHandOver(group, peer, progress);
}

function handleRejected(
  group: GroupState,
  progress: Progress,
  message: Extract<Message, { type: 'append-response' }>,
): void {
  const { index, hintIndex, hintTerm } = message;
  // Skip every entry of a term that the follower's hint rules out: one round trip a term, not one an entry.
  const probeIndex =
    hintTerm > 0 ? group.log.findConflictByTerm(Math.min(hintIndex, group.log.lastIndex), hintTerm) : hintIndex;
  if (!progress.rejected(index, probeIndex)) return;
  if (progress.state === 'replicate') progress.becomeProbe();
  group.appendsWanted = true;
}

function handleHeartbeatResponse(group: GroupState, progress: Progress, readContext: number): void {
  progress.probeSent = false;
  if (progress.match < group.log.lastIndex) {
    if (progress.state === 'replicate' && progress.inflights.full()) progress.inflights.freeFirst();
    progress.poked = progress.state !== 'snapshot';
    group.appendsWanted = true;
  }
  if (readContext > progress.readRound) {
    progress.readRound = readContext;
    confirmReads(group);
  }
}

export function confirmReads(group: GroupState): void {
  if (group.reads.pending === 0) return;
  group.reads.confirm(quorumIndex(group.membership, group.readReached), group.readStates);
}

/** The target has everything: it may take over. */
export function maybeHandOver(group: GroupState, peer: number, progress: Progress): void {
  if (peer !== group.transferee || progress.match !== group.log.lastIndex) return;
  group.messages.push({ type: 'timeout-now', from: group.self, to: peer, term: group.term });
}
