import type { Entry } from './entry.ts';
import { EntryKind } from './entry.ts';
import type { GroupState } from './group-state.ts';
import type { Progress } from './progress.ts';

/**
 * @hotpath The leader's half of replication: appends out, commit forward. Appends are decided once a turn, in `ready`,
 * so that everything proposed in the turn shares one append a follower; they do not wait for the leader's own disk, nor
 * for the answers to earlier ones, up to the window. The commit index travels with the next append or heartbeat.
 */
export function appendOwn(group: GroupState, kind: EntryKind, data: readonly Uint8Array[]): number {
  const { log, term } = group;
  const first = log.lastIndex + 1;
  const entries = data.map((payload, i): Entry => ({ term, index: first + i, kind, data: payload }));
  for (const payload of data) group.uncommittedBytes += payload.length;
  group.appendToLog(entries);
  group.appendsWanted = true;
  return first;
}

export function appendMembership(group: GroupState, data: Uint8Array): number {
  const index = appendOwn(group, EntryKind.MEMBERSHIP, [data]);
  group.syncProgress();
  return index;
}

/** Sends what the windows let out. */
export function sendAppends(group: GroupState): void {
  group.appendsWanted = false;
  if (group.log.persistedIndex < group.silentUntil) return;
  for (const [peer, progress] of group.progress) {
    if (peer === group.self) continue;
    while (!progress.paused() && (progress.poked || progress.next <= group.log.lastIndex)) {
      sendAppend(group, peer, progress);
    }
  }
}

function sendAppend(group: GroupState, to: number, progress: Progress): void {
  const { log, config } = group;
  const prevIndex = progress.next - 1;
  const prevTerm = log.term(prevIndex);
  if (prevTerm === undefined || progress.next < log.firstIndex()) {
    sendSnapshot(group, to, progress);
    return;
  }
  let last = prevIndex;
  let sizeBytes = 0;
  while (last < log.lastIndex && (last === prevIndex || sizeBytes < config.appendBytesMax)) {
    const entryBytes = log.sizeBytes(last + 1);
    if (last > prevIndex && sizeBytes + entryBytes > config.appendBytesMax) break;
    sizeBytes += entryBytes;
    last++;
  }
  group.messages.push({
    type: 'append',
    from: group.self,
    to,
    term: group.term,
    prevIndex,
    prevTerm,
    first: progress.next,
    last,
    entries: [],
    commit: log.commit,
    stint: progress.stint,
  });
  progress.sentAppend(prevIndex, last - prevIndex, sizeBytes);
}

/** The snapshot is of the applied state; the host may send a later one, the follower's answer tells. */
function sendSnapshot(group: GroupState, to: number, progress: Progress): void {
  const index = group.log.applied;
  const term = group.log.term(index);
  const membership = group.memberships.at(index);
  progress.poked = false;
  // Nobody there to take it, or a leader that was a newcomer at that index and does not know who the members were: wait.
  if (term === undefined || membership.voters.length === 0 || !progress.recentlyActive) {
    if (progress.state === 'replicate') progress.becomeProbe();
    progress.probeSent = true;
    return;
  }
  progress.becomeSnapshot(index);
  group.messages.push({
    type: 'snapshot',
    from: group.self,
    to,
    term: group.term,
    snapshot: { index, term, membership },
    stint: progress.stint,
  });
}

/** Also carries the newest round of reads; a follower never learns a commit index beyond what it is known to hold. */
export function sendHeartbeats(group: GroupState): void {
  group.heartbeatElapsed = 0;
  group.reads.seal();
  if (group.log.persistedIndex < group.silentUntil) return;
  for (const [to, progress] of group.progress) {
    if (to !== group.self) sendHeartbeat(group, to, progress);
  }
}

export function sendHeartbeat(group: GroupState, to: number, progress: Progress): void {
  group.messages.push({
    type: 'heartbeat',
    from: group.self,
    to,
    term: group.term,
    commit: Math.min(progress.match, group.log.commit),
    readContext: group.reads.round,
  });
}
