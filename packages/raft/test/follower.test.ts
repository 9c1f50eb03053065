import { describe, expect, test } from '@jest/globals';
import { SeededPrng } from '@sluice/common/prng';
import type { Entry, Membership } from '../src/entry.ts';
import { EntryKind } from '../src/entry.ts';
import type { Message } from '../src/message.ts';
import { RaftGroup } from '../src/raft.ts';
import { MemoryLog } from './support/memory-log.ts';

/** Messages that no healthy leader sends, or only under rare reorderings: built by hand. */
const MEMBERSHIP: Membership = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [] };

function entries(first: number, ...terms: number[]): Entry[] {
  return terms.map((term, i) => ({ index: first + i, term, kind: EntryKind.NORMAL, data: new Uint8Array(1) }));
}

function follower(...terms: number[]): RaftGroup {
  return replica(terms);
}

function replica(terms: readonly number[], more: { followsWiped?: boolean } = {}): RaftGroup {
  const log = new MemoryLog(MEMBERSHIP);
  log.sync({ hardState: undefined, snapshot: undefined, entries: entries(1, ...terms) });
  return new RaftGroup({ peerId: 1, prng: new SeededPrng(1) }, log, {
    hardState: { term: 2, vote: 0, commit: 0 },
    membership: MEMBERSHIP,
    snapshot: { index: 0, term: 0 },
    appliedIndex: 0,
    ...more,
  });
}

function append(change: Partial<Extract<Message, { type: 'append' }>>): Message {
  const base = { type: 'append' as const, from: 2, to: 1, term: 3, prevIndex: 1, prevTerm: 1, commit: 0, stint: 1 };
  const message = { ...base, entries: [], ...change };
  const first = message.prevIndex + 1;
  return { ...message, first, last: message.prevIndex + message.entries.length, ...change };
}

describe('a follower', () => {
  test('learns from an append only that its own part is committed: the tail beyond it may be anybody’s', () => {
    const group = follower(1, 1, 2, 2);
    group.step(append({ commit: 4 }));
    expect(group.commit).toBe(1);
    group.step(append({ prevIndex: 1, entries: entries(2, 1), commit: 4 }));
    expect(group.commit).toBe(2);
    expect(group.lastIndex).toBe(4);
  });

  test('tells what is committed once, also before the rest of its Ready, and nothing that is not durable here', () => {
    const group = follower(1, 1);
    group.step(append({ prevIndex: 2, entries: entries(3, 3), commit: 3 }));
    expect(group.commit).toBe(3);
    expect(group.takeCommitted()).toEqual({ first: 1, last: 2 });
    const ready = group.ready();
    expect(ready.entries).toHaveLength(1);
    expect(ready.committed).toEqual({ first: 3, last: 2 });
    group.persisted(3, 3);
    expect(group.takeCommitted()).toEqual({ first: 3, last: 3 });
    expect(group.hasReady()).toBe(false);
  });

  test('drops appends that do not hold together, as if they were lost', () => {
    const group = follower(1);
    for (const message of [
      append({ entries: entries(3, 3) }),
      append({ entries: entries(2, 3, 2) }),
      append({ entries: entries(2, 4) }),
      append({ entries: entries(2, 3), last: 5 }),
    ]) {
      group.step(message);
    }
    expect(group.lastIndex).toBe(1);
    expect(group.ready().messagesAfterPersist).toEqual([]);
    const broken: Entry = { index: 2, term: 3, kind: EntryKind.MEMBERSHIP, data: Uint8Array.from([9]) };
    expect(() => group.step(append({ entries: [broken] }))).toThrow(
      expect.objectContaining({ code: 'BYTES_MALFORMED' }),
    );
    expect(group.lastIndex).toBe(1);
  });

  test('whose disk lost what it had acknowledged says so instead of going on', () => {
    const heartbeat: Message = { type: 'heartbeat', from: 2, to: 1, term: 3, commit: 5, readContext: 0 };
    expect(() => follower(1).step(heartbeat)).toThrow(expect.objectContaining({ code: 'RAFT_LOG_LOST' }));
  });

  test('that was wiped and added again takes a heartbeat of before for what it is', () => {
    const heartbeat: Message = { type: 'heartbeat', from: 2, to: 1, term: 3, commit: 5, readContext: 7 };
    const group = replica([], { followsWiped: true });
    group.step(heartbeat);
    expect(group.commit).toBe(0);
    expect(group.ready().messages).toEqual([{ type: 'heartbeat-response', from: 1, to: 2, term: 3, readContext: 7 }]);
    group.step(append({ prevIndex: 0, prevTerm: 0, entries: entries(1, 1, 3) }));
    group.step(heartbeat);
    expect(group.commit).toBe(0);
    group.step({ ...heartbeat, commit: 2 });
    expect(group.commit).toBe(2);
  });

  test('ignores messages for others and from itself, and answers it has not asked for', () => {
    const group = follower(1);
    group.step({ ...append({ entries: entries(2, 3) }), to: 3 });
    group.step({ ...append({ entries: entries(2, 3) }), from: 1 });
    group.step({ type: 'vote-response', from: 2, to: 1, term: 2, granted: true });
    group.step({ type: 'heartbeat-response', from: 2, to: 1, term: 2, readContext: 1 });
    expect(group.hasReady()).toBe(false);
    expect(group.role).toBe('follower');
  });

  test('refuses what only a leader can do, and says who leads', () => {
    const group = follower(1);
    group.step(append({}));
    expect(group.propose([new Uint8Array(1)])).toEqual({ refused: 'not-leader', leader: 2 });
    expect(group.proposeMembership({ remove: [3] })).toEqual({ refused: 'not-leader', leader: 2 });
    expect(group.requestRead(1)).toBe(false);
    expect(group.transferLeadership(3)).toBe(false);
    expect(group.quiesce()).toBeUndefined();
  });
});
