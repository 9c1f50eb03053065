import { expect } from '@jest/globals';
import { EntryKind } from '../../src/entry.ts';
import type { Peer } from './peer.ts';
import type { Verb } from './script-verbs.ts';
import { isRefusal, matches } from './script-verbs.ts';

/** `expect <what> …`: one entry a kind of expectation. */
export const EXPECTATIONS: Record<string, Verb> = {
  /** expect leader 1 term 2: the only leader of the highest term among the living */
  leader(stage, [id, , term]) {
    const leaders = stage.cluster.live.filter((peer) => peer.group.role === 'leader');
    const terms = leaders.map((peer) => peer.group.term);
    const highest = leaders.filter((peer) => peer.group.term === Math.max(...terms));
    expect(highest.map((peer) => `${peer.id} term ${peer.group.term}`)).toEqual([`${id} term ${term}`]);
  },
  /** expect no-leader */
  'no-leader'(stage) {
    expect(stage.cluster.live.filter((peer) => peer.group.role === 'leader').map((peer) => peer.id)).toEqual([]);
  },
  role(stage, [id, role]) {
    expect(stage.peer(id).group.role).toBe(role);
  },
  term(stage, [id, term]) {
    expect(stage.peer(id).group.term).toBe(Number(term));
  },
  /** expect vote 2 1: peer 2 has voted for 1 in its term; 0 for nobody */
  vote(stage, [id, vote]) {
    expect(stage.peer(id).group.status().vote).toBe(Number(vote));
  },
  commit(stage, [id, commit]) {
    expect(stage.peer(id).group.commit).toBe(Number(commit));
  },
  /** expect persisted 3 1: what the core believes to be durable and unchanged */
  persisted(stage, [id, index]) {
    expect(stage.peer(id).group.status().persistedIndex).toBe(Number(index));
  },
  /** expect log 2 = 1:- 1:a 2:*: term and data of what is durable; `-` for a no-op, `*` for a membership */
  log(stage, [id, , ...entries]) {
    expect(logText(stage.peer(id))).toBe(entries.join(' '));
  },
  /** expect machine 2 = a b */
  machine(stage, [id, , ...data]) {
    expect(stage.peer(id).machine.join(' ')).toBe(data.join(' '));
  },
  /** expect first 2 5: the log was compacted or replaced up to 4 */
  first(stage, [id, first]) {
    expect(stage.peer(id).log.firstIndex()).toBe(Number(first));
  },
  /** expect membership 1 = 1 2 3 | outgoing 1 2 | learners 4; of the core, applied or not */
  membership(stage, [id, , ...words]) {
    const { voters, votersOutgoing, learners, learnersNext } = stage.peer(id).group.status().membership;
    const parts = [voters.join(' ')];
    if (votersOutgoing.length > 0) parts.push(`outgoing ${votersOutgoing.join(' ')}`);
    if (learners.length > 0) parts.push(`learners ${learners.join(' ')}`);
    if (learnersNext.length > 0) parts.push(`next ${learnersNext.join(' ')}`);
    expect(parts.join(' | ')).toBe(words.join(' '));
  },
  /** expect progress 1 2 replicate match 5 */
  progress(stage, [id, peer, state, , match]) {
    const found = stage
      .peer(id)
      .group.status()
      .progress.find((progress) => progress.peer === Number(peer));
    expect(`${found?.state} match ${found?.match}`).toBe(`${state} match ${match}`);
  },
  /** expect no-progress 1 4: peer 1 no longer replicates to 4 */
  'no-progress'(stage, [id, peer]) {
    const peers = stage.peer(id).group.status().progress;
    expect(peers.some((progress) => progress.peer === Number(peer))).toBe(false);
  },
  /** expect refused not-leader */
  refused(stage, [reason]) {
    expect(isRefusal(stage.answer) ? stage.answer.refused : 'accepted').toBe(reason);
  },
  accepted(stage) {
    expect(isRefusal(stage.answer) || stage.answer === false ? stage.answer : 'accepted').toBe('accepted');
  },
  /** expect declined: a read or a transfer was answered with false */
  declined(stage) {
    expect(stage.answer).toBe(false);
  },
  /** expect read 1 77 at 5 */
  read(stage, [id, context, , index]) {
    const found = stage.peer(id).reads.filter((read) => read.context === Number(context));
    expect(found.map((read) => read.index)).toEqual([Number(index)]);
  },
  'no-read'(stage, [id, context]) {
    expect(stage.peer(id).reads.some((read) => read.context === Number(context))).toBe(false);
  },
  /** expect under-way 1>2 append 3: so many messages; expect under-way 1>2 append 0 for none */
  'under-way'(stage, [link, type, count]) {
    const found = stage.cluster.packets.filter(({ message }) => matches(message, [link as string, type as string]));
    expect(found.length).toBe(Number(count));
  },
  quiesced(stage, ids) {
    const quiesced = stage.cluster.live.filter((peer) => peer.group.status().quiesced).map((peer) => String(peer.id));
    expect(quiesced).toEqual(ids);
  },
};

function logText(peer: Peer): string {
  const words: string[] = [];
  for (let index = peer.log.firstIndex(); index <= peer.log.lastIndex(); index++) {
    const entry = peer.log.entry(index);
    if (entry === undefined) continue;
    const data = Buffer.from(entry.data).toString();
    const shown = entry.kind === EntryKind.NORMAL ? data : entry.kind === EntryKind.NO_OP ? '-' : '*';
    words.push(`${entry.term}:${shown}`);
  }
  return words.join(' ');
}
