import { SluiceError } from '@sluice/common/errors';
import { decodeMembership } from './conf-change.ts';
import { becomeFollower, campaign } from './election.ts';
import type { Entry } from './entry.ts';
import { EntryKind } from './entry.ts';
import type { GroupState } from './group-state.ts';
import type { Message } from './message.ts';

/**
 * A follower believes the leader of its term, and nothing else: it appends, truncates only where a term differs and
 * never at or below its commit index, and acknowledges after the write. Repeated messages are answered again, from what
 * the log holds.
 */
export function stepFollower(group: GroupState, message: Message): void {
  switch (message.type) {
    case 'append':
      hearLeader(group, message.from);
      handleAppend(group, message);
      return;
    case 'heartbeat':
      hearLeader(group, message.from);
      handleHeartbeat(group, message);
      return;
    case 'snapshot':
      hearLeader(group, message.from);
      handleSnapshot(group, message);
      return;
    case 'timeout-now':
      campaign(group, 'transfer');
      return;
    default:
      // Answers to a role this peer no longer has.
      return;
  }
}

function hearLeader(group: GroupState, leader: number): void {
  if (group.leader !== leader) becomeFollower(group, group.term, leader);
  group.electionElapsed = 0;
}

/** @hotpath */
function handleAppend(group: GroupState, message: Extract<Message, { type: 'append' }>): void {
  const { log } = group;
  const { prevIndex, prevTerm, entries } = message;
  if (!isWellFormed(message)) return;
  if (prevIndex < log.commit) {
    // Everything up to the commit index agrees already; comparing terms below a snapshot would find none.
    acknowledge(group, message, log.commit);
    return;
  }
  if (log.term(prevIndex) !== prevTerm) {
    const at = log.findConflictByTerm(Math.min(prevIndex, log.lastIndex), prevTerm);
    group.messages.push({
      type: 'append-response',
      from: group.self,
      to: message.from,
      term: group.term,
      index: prevIndex,
      rejected: true,
      hintIndex: at,
      hintTerm: log.term(at) ?? 0,
      stint: message.stint,
    });
    return;
  }
  const conflict = log.findConflict(entries);
  if (conflict < entries.length) group.appendToLog(conflict === 0 ? entries : entries.slice(conflict));
  const matched = prevIndex + entries.length;
  log.commitTo(Math.min(message.commit, matched));
  acknowledge(group, message, matched);
}

/** Leaves after the write: what is acknowledged must survive a crash. */
function acknowledge(
  group: GroupState,
  { from, stint }: Extract<Message, { type: 'append' | 'snapshot' }>,
  index: number,
): void {
  const { self, term } = group;
  group.messagesAfterPersist.push({
    type: 'append-response',
    from: self,
    to: from,
    term,
    index,
    rejected: false,
    hintIndex: 0,
    hintTerm: 0,
    stint,
  });
}

/** A host that fills the wrong entries, or bytes damaged on the way, must not reach the log: dropped like a loss. */
function isWellFormed(message: Extract<Message, { type: 'append' }>): boolean {
  const { entries, prevIndex } = message;
  let term = message.prevTerm;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] as Entry;
    if (entry.index !== prevIndex + 1 + i || entry.term < term || entry.term > message.term) return false;
    if (entry.kind === EntryKind.MEMBERSHIP) decodeMembership(entry.data);
    term = entry.term;
  }
  return entries.length === message.last - message.first + 1 && message.first === prevIndex + 1;
}

function handleHeartbeat(group: GroupState, message: Extract<Message, { type: 'heartbeat' }>): void {
  const { log, self, term } = group;
  // A replica that began without a log has in it whatever it acknowledged since: what says more was sent to the one before.
  const isOfFormer = group.followsWiped && message.commit > log.lastIndex;
  if (message.commit > log.lastIndex && !isOfFormer) {
    throw new SluiceError(
      'RAFT_LOG_LOST',
      `the leader knows entries up to ${message.commit} to be durable here, the log ends at ${log.lastIndex}`,
      { hint: 'this replica lost what it had acknowledged; remove it and join under a new peer id' },
    );
  }
  if (!isOfFormer) log.commitTo(message.commit);
  const { readContext } = message;
  group.messages.push({ type: 'heartbeat-response', from: self, to: message.from, term, readContext });
}

/** Only a snapshot that knows more than this log replaces it; a matching log just learns the commit index. */
function handleSnapshot(group: GroupState, message: Extract<Message, { type: 'snapshot' }>): void {
  const { log } = group;
  const { snapshot } = message;
  if (snapshot.index > log.commit) {
    if (log.term(snapshot.index) === snapshot.term) {
      log.commitTo(snapshot.index);
    } else {
      log.restore(snapshot);
      group.memberships.restore(snapshot.index, snapshot.membership);
    }
  }
  acknowledge(group, message, log.commit);
}
