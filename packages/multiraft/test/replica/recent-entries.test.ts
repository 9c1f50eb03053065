import { describe, expect, test } from '@jest/globals';
import type { Entry } from '@sluice/raft/entry';
import fc from 'fast-check';
import { RecentEntries } from '../../src/replica/recent-entries.ts';

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
    recent.applied(1);
    recent.applied(1);
    expect(recent.bytes).toBe(20);
    recent.clear();
    expect(recent.bytes).toBe(0);
  });

  test('are those of the log that were not applied, whatever is written over', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), back: fc.nat(4), count: fc.integer({ min: 1, max: 900 }) }),
      fc.record({ kind: fc.constant('apply' as const), count: fc.nat(1200) }),
      fc.record({ kind: fc.constant('jump' as const), by: fc.integer({ min: 1, max: 5 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const recent = new RecentEntries();
        let model: Entry[] = [];
        let applied = 0;
        let end = 1;
        let term = 1;
        for (const action of steps) {
          if (action.kind === 'append') {
            const first = Math.max(applied + 1, end - action.back);
            const entries = Array.from({ length: action.count }, (_, i) => entry(first + i, ++term));
            recent.append(entries, 0);
            model = [...model.filter(({ index }) => index < first), ...entries];
            end = first + action.count;
          } else if (action.kind === 'apply') {
            applied = Math.min(end - 1, applied + action.count);
            recent.applied(applied);
            model = model.filter(({ index }) => index > applied);
          } else {
            // A snapshot.
            end += action.by;
            applied = end - 1;
            recent.clear();
            model = [];
          }
          for (const held of model) expect(recent.get(held.index)).toBe(held);
          expect(recent.get(applied)).toBeUndefined();
          expect(recent.get(end)).toBeUndefined();
          expect(recent.bytes).toBe(model.length);
        }
      }),
      { numRuns: 100, seed: 1 },
    );
  });
});
