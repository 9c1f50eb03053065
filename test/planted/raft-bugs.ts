import type { PlantedBug, PlantedBugs } from './planted-bug.ts';

const bug = (file: string, name: string, find: string, put: string): PlantedBug => ({
  name,
  file: `packages/raft/src/${file}.ts`,
  find,
  put,
});

export const RAFT_BUGS: PlantedBugs = {
  tests: 'packages/raft/',
  bugs: [
    // Elections and terms
    bug(
      'election',
      'a step-down to the same term forgets the vote',
      '  if (term > group.term) {\n    group.term = term;\n    group.vote = 0;\n  }',
      '  group.term = term;\n  group.vote = 0;',
    ),
    bug(
      'step',
      'a granted vote leaves before it is durable',
      "group.messagesAfterPersist.push({ type: 'vote-response', from: self, to, term: group.term, granted: true });",
      "group.messages.push({ type: 'vote-response', from: self, to, term: group.term, granted: true });",
    ),
    bug(
      'election',
      'a candidate asks for votes before its own is durable',
      "group.messagesAfterPersist.push({ type: 'vote',",
      "group.messages.push({ type: 'vote',",
    ),
    bug('step', 'a vote is granted whatever the candidate’s log', 'if (!free || !upToDate) {', 'if (!free) {'),
    bug(
      'raft-log',
      'the up-to-date check compares lengths only',
      'return lastTerm > own || (lastTerm === own && lastIndex >= this.lastIndex);',
      'return lastIndex >= this.lastIndex && own >= 0 && lastTerm >= 0;',
    ),
    bug(
      'step',
      'a second candidate gets a vote of the same term',
      'const free = group.vote === to || (group.vote === 0 && group.leader === 0);',
      'const free = group.leader === 0;',
    ),
    bug(
      'commitment',
      'entries of older terms are committed by counting',
      'if (index <= before || log.term(index) !== group.term) return false;',
      'if (index <= before) return false;',
    ),
    bug(
      'step-candidate',
      'a late vote counts as a pre-vote answer',
      "      if (group.role !== 'candidate') return;\n",
      '',
    ),
    bug(
      'step-candidate',
      'a refused pre-vote of the own term is not heard',
      'message.term !== group.term + (message.granted ? 1 : 0)',
      'message.term !== group.term + 1',
    ),
    bug(
      'step',
      'a refused pre-vote does not teach the newer term',
      '      if (!message.granted) becomeFollower(group, message.term, 0);\n      return true;',
      '      return message.granted;',
    ),
    bug(
      'step',
      'a peer that hears its leader helps to replace it',
      'return (checkQuorum || preVote) && group.leader !== 0 && group.electionElapsed < electionTicks;',
      'return (checkQuorum || preVote) && group.electionElapsed < -electionTicks;',
    ),
    bug(
      'step',
      'a refused vote request resets the election timer',
      '  if (!free || !upToDate) {\n',
      '  group.electionElapsed = 0;\n  if (!free || !upToDate) {\n',
    ),
    bug(
      'tick',
      'a leader without a majority goes on leading',
      'if (checkQuorum && !heardMajority(group)) {',
      'if (checkQuorum && !heardMajority(group) && group.term < 0) {',
    ),
    bug(
      'step',
      'a leader of an old term is not told the new one',
      "    case 'heartbeat':\n      messages.push({ type: 'heartbeat-response', from: self, to, term, readContext: 0 });\n      return;",
      "    case 'heartbeat':\n      return;",
    ),
    bug('election', 'a candidate does not vote for itself', '  group.vote = group.self;\n', ''),

    // Replication
    bug(
      'raft-log',
      'a follower truncates on every append',
      '      if (this.term(entry.index) !== entry.term) return i;',
      '      if (entry.index > 0) return i;',
    ),
    bug(
      'step-follower',
      'an append is acknowledged before the write',
      "  group.messagesAfterPersist.push({\n    type: 'append-response',",
      "  group.messages.push({\n    type: 'append-response',",
    ),
    bug(
      'step',
      'a late acknowledgement of an older term moves the match index',
      '  if (message.term < group.term) {\n    answerLowerTerm(group, message);\n    return;\n  }',
      "  if (message.term < group.term && message.type !== 'append-response') {\n    answerLowerTerm(group, message);\n    return;\n  }",
    ),
    bug(
      'progress',
      'a late acknowledgement moves the match index back',
      '    const grows = index > this.match;\n    if (grows) {',
      '    const grows = index !== this.match;\n    if (grows) {',
    ),
    bug(
      'step-leader',
      'what a peer acknowledged before it was removed counts when it is added again',
      'message.stint !== progress.stint) return;',
      'message.stint < 0) return;',
    ),
    bug('progress', 'a stale rejection drags a follower back', 'if (this.next - 1 !== prevIndex) return false;', ''),
    bug(
      'step-follower',
      'the commit index moves beyond what the leader confirmed',
      'log.commitTo(Math.min(message.commit, matched));',
      'log.commitTo(Math.min(message.commit, log.lastIndex));',
    ),
    bug(
      'replication',
      'a heartbeat tells a commit index the follower may not hold',
      'commit: Math.min(progress.match, group.log.commit),',
      'commit: group.log.commit,',
    ),
    bug(
      'election',
      'a leader counts its own entries before they are durable',
      'own.match = log.persistedIndex;',
      'own.match = log.lastIndex + 1;',
    ),
    bug(
      'election',
      'a new leader starts its term without an entry of its own',
      '  appendOwn(group, EntryKind.NO_OP, [new Uint8Array(0)]);\n',
      '',
    ),
    bug(
      'unstable-log',
      'a finished write counts for entries that replaced it (A-B-A)',
      'durable = Math.min(durable, later.first - 1);',
      'durable = Math.min(durable, later.last);',
    ),
    bug(
      'raft-log',
      'entries are handed out for applying before they are durable here',
      'const last = Math.max(Math.min(this.#commit, this.persistedIndex), this.#handed);',
      'const last = Math.max(this.#commit, this.#handed);',
    ),
    bug(
      'raft-log',
      'after a restart what was applied is handed out again',
      '    this.#handed = appliedIndex;',
      '    this.#handed = first - 1;',
    ),
    bug(
      'step-leader',
      'an append that was lost is never found again',
      "progress.poked = progress.state !== 'snapshot';",
      'progress.poked = false;',
    ),
    bug(
      'inflights',
      'an answer frees only the append it answers',
      'while (this.#count > 0 && (this.#ring[2 * this.#start] as number) <= index) this.freeFirst();',
      'if (this.#count > 0 && (this.#ring[2 * this.#start] as number) <= index) this.freeFirst();',
    ),

    // Snapshots
    bug(
      'step-follower',
      'an old snapshot replaces a newer log',
      'if (snapshot.index > log.commit) {',
      'if (snapshot.index > 0) {',
    ),
    bug(
      'step-follower',
      'a snapshot replaces a log that agrees with it',
      'if (log.term(snapshot.index) === snapshot.term) {',
      'if (log.term(snapshot.index) === -1) {',
    ),
    bug(
      'progress',
      'a snapshot that failed counts as received',
      '  snapshotFailed(): void {\n    this.pendingSnapshot = 0;\n',
      '  snapshotFailed(): void {\n',
    ),
    bug(
      'replication',
      'a snapshot carries a membership that was not applied',
      'const membership = group.memberships.at(index);',
      'const membership = group.memberships.latest;',
    ),
    bug(
      'group-state',
      'a peer campaigns while it installs a snapshot',
      '    if (this.log.unstable.snapshot !== undefined) return false;\n',
      '',
    ),

    // Membership
    bug(
      'quorum',
      'a joint membership commits with one of its majorities',
      'return Math.min(incoming, majorityIndex(membership.votersOutgoing, reached));',
      'return Math.max(incoming, majorityIndex(membership.votersOutgoing, reached));',
    ),
    bug(
      'quorum',
      'a joint membership elects with one of its majorities',
      "return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';",
      "return incoming === 'won' || outgoing === 'won' ? 'won' : 'pending';",
    ),
    bug(
      'raft',
      'a change is accepted before the last one is committed',
      'if (log.commit < memberships.latestIndex || isJoint(membership) || !this.#committedInOwnTerm()) {',
      'if (isJoint(membership)) {',
    ),
    bug(
      'raft',
      'a learner that lags becomes a voter',
      'const caughtUp = answers && learner.match > 0 && log.lastIndex - learner.match <= config.promotionLagMax;',
      'const caughtUp = answers && config.promotionLagMax >= 0;',
    ),
    bug(
      'group-state',
      'a truncated membership stays in force',
      '    this.memberships.truncateFrom(first.index);\n',
      '',
    ),
    bug(
      'commitment',
      'a leader that was removed goes on leading',
      '  if (!isVoter(group.membership, group.self)) {\n    stepDown(group);\n    return;\n  }\n',
      '',
    ),
    bug(
      'commitment',
      'a joint membership is never left',
      '  appendMembership(group, encodeMembership(leaveJoint(group.membership)));\n',
      '',
    ),

    // Reads and transfers
    bug(
      'raft',
      'a read is accepted before the first commit of the term',
      "if (group.role !== 'leader' || !this.#committedInOwnTerm()) return false;\n    if (!group.reads.add",
      "if (group.role !== 'leader') return false;\n    if (!group.reads.add",
    ),
    bug('election', 'a deposed leader keeps its reads', '    group.reads.clear();\n', ''),
    bug(
      'step-leader',
      'one answer confirms a read',
      'group.reads.confirm(quorumIndex(group.membership, group.readReached), group.readStates);',
      'group.reads.confirm(group.reads.round, group.readStates);',
    ),
    bug(
      'step-leader',
      'leadership is handed to a peer that is behind',
      'if (peer !== group.transferee || progress.match !== group.log.lastIndex) return;',
      'if (peer !== group.transferee) return;',
    ),
    bug(
      'tick',
      'a transfer that leads nowhere blocks proposals for ever',
      'if (group.transferee !== 0 && ++group.transferElapsed >= electionTicks) group.transferee = 0;',
      '',
    ),
    bug(
      'quiesce',
      'a follower sleeps on a log that is not the leader’s',
      '    log.lastIndex === notice.lastIndex &&\n    log.persistedIndex === notice.lastIndex;',
      '    log.lastIndex >= 0;',
    ),
  ],
};
