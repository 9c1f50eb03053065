import { describe, expect, test } from '@jest/globals';
import type { Entry } from '@sluice/raft/entry';
import { RecentEntries } from '../src/recent-entries.ts';

const MIB = 1024 * 1024;

function entry(index: number, term: number, bytes = 1): Entry {
  return { index, term, kind: 0, data: new Uint8Array(bytes) };
}

describe('entries kept in memory', () => {
  test('a superseded tail is forgotten with what supersedes it', () => {
    const recent = new RecentEntries();
    recent.append([entry(1, 1), entry(2, 1), entry(3, 1)], 0);
    recent.append([entry(2, 2)], 3);
    expect(recent.get(1)?.term).toBe(1);
    expect(recent.get(2)?.term).toBe(2);
    expect(recent.get(3)).toBeUndefined();
    expect(recent.bytes).toBe(2);
  });

  test('beyond the bound the oldest durable ones go, and what is nowhere else stays', () => {
    const recent = new RecentEntries();
    for (let index = 1; index <= 40; index++) recent.append([entry(index, 1, MIB)], index - 1);
    expect(recent.bytes).toBe(RecentEntries.BYTES_MAX);
    expect(recent.get(8)).toBeUndefined();
    expect(recent.get(9)).toBeDefined();
    for (let index = 41; index <= 90; index++) recent.append([entry(index, 1, MIB)], 40);
    expect(recent.get(40)).toBeUndefined();
    for (let index = 41; index <= 90; index++) expect(recent.get(index)).toBeDefined();
  });

  test('applied entries give their bytes back', () => {
    const recent = new RecentEntries();
    recent.append([entry(1, 1, 10), entry(2, 1, 20)], 0);
    recent.delete(1);
    recent.delete(1);
    expect(recent.bytes).toBe(20);
    recent.clear();
    expect(recent.bytes).toBe(0);
  });
});
