import { describe, expect, test } from '@jest/globals';
import type { Entry } from '../src/entry.ts';
import { EntryKind } from '../src/entry.ts';
import { RaftLog } from '../src/raft-log.ts';
import { MemoryLog } from './support/memory-log.ts';

const MEMBERSHIP = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [] };
const START = { index: 0, term: 0 };

function entries(first: number, ...terms: number[]): Entry[] {
  return terms.map((term, i) => ({ index: first + i, term, kind: EntryKind.NORMAL, data: new Uint8Array(1) }));
}

function disk(...terms: number[]): MemoryLog {
  const log = new MemoryLog(MEMBERSHIP);
  log.sync({ hardState: undefined, snapshot: undefined, entries: entries(1, ...terms) });
  return log;
}

describe('the log', () => {
  test('starts from what was applied when the stored commit index lags, and never beyond its end', () => {
    expect(new RaftLog(disk(1, 1, 1), 1, START, 2).commit).toBe(2);
    expect(new RaftLog(disk(1, 1, 1), 9, START, 2).commit).toBe(3);
    expect(new RaftLog(disk(1, 1, 1), 3, START, 2).takeCommitted()).toEqual({ first: 3, last: 3 });
  });

  test('refuses a machine that is ahead of its log, or behind what the log still holds', () => {
    const inconsistent = expect.objectContaining({ code: 'RAFT_LOG_INCONSISTENT' });
    expect(() => new RaftLog(disk(1), 1, START, 2)).toThrow(inconsistent);
    expect(() => new RaftLog(disk(1), 1, { index: 5, term: 1 }, 1)).toThrow(inconsistent);
    const compacted = disk(1, 1, 1);
    compacted.compact({ index: 2, term: 1, membership: MEMBERSHIP }, []);
    expect(() => new RaftLog(compacted, 3, { index: 2, term: 1 }, 1)).toThrow(inconsistent);
  });

  test('finds where two logs may agree by skipping whole terms', () => {
    const log = new RaftLog(disk(1, 1, 3, 3, 3, 4), 0, START, 0);
    expect(log.findConflictByTerm(6, 4)).toBe(6);
    expect(log.findConflictByTerm(6, 3)).toBe(5);
    expect(log.findConflictByTerm(5, 2)).toBe(2);
    expect(log.findConflictByTerm(6, 0)).toBe(0);
  });

  test('compares the last term before the length', () => {
    const log = new RaftLog(disk(1, 2, 2), 0, START, 0);
    expect(log.isUpToDate(3, 2)).toBe(true);
    expect(log.isUpToDate(2, 2)).toBe(false);
    expect(log.isUpToDate(1, 3)).toBe(true);
    expect(log.isUpToDate(9, 1)).toBe(false);
  });

  test('never replaces what is committed', () => {
    const log = new RaftLog(disk(1, 1, 1), 2, START, 0);
    expect(() => log.append(entries(2, 2))).toThrow('a committed entry is never replaced');
    log.append(entries(3, 2));
    expect(log.term(3)).toBe(2);
    expect(log.persistedIndex).toBe(2);
  });

  test('hands out for applying only what is durable here', () => {
    const log = new RaftLog(disk(1), 1, START, 1);
    log.append(entries(2, 1, 1));
    log.unstable.takeEntries();
    log.commitTo(3);
    expect(log.hasCommitted()).toBe(false);
    log.persisted(1, 3);
    expect(log.takeCommitted()).toEqual({ first: 2, last: 3 });
    expect(() => log.appliedTo(4)).toThrow('only what was handed out');
  });
});
