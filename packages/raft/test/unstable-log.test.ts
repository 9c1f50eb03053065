import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Entry } from '../src/entry.ts';
import { EntryKind } from '../src/entry.ts';
import { UnstableLog } from '../src/unstable-log.ts';

function entry(index: number, term: number): Entry {
  return { index, term, kind: EntryKind.NORMAL, data: new Uint8Array(index % 3) };
}

/**
 * The oracle keeps a disk: the list of entries, to which the writes are applied in order as they finish. What the log
 * calls durable must be on that disk as it is, and stay there whatever writes are still under way.
 */
type Step = { kind: 'append'; back: number; count: number } | { kind: 'take' } | { kind: 'finish' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('append' as const),
    back: fc.integer({ min: 0, max: 4 }),
    count: fc.integer({ min: 1, max: 3 }),
  }),
  fc.constant({ kind: 'take' as const }),
  fc.constant({ kind: 'finish' as const }),
);

/** Terms come from a small set, so that the same entry is put back now and then. */
function terms(draw: number): number {
  return 1 + (draw % 2);
}

describe('the unstable log', () => {
  test('calls durable only what is on the disk and what no write under way replaces', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.infiniteStream(fc.nat(9)), (steps, draws) => {
        const log = new UnstableLog(1);
        const disk: Entry[] = [];
        const writes: Entry[][] = [];
        for (const action of steps) {
          if (action.kind === 'append') {
            const first = Math.max(1, log.lastIndex + 1 - action.back);
            const term = terms(draws.next().value as number);
            log.append(Array.from({ length: action.count }, (_, i) => entry(first + i, term)));
          } else if (action.kind === 'take') {
            const entries = log.takeEntries();
            if (entries.length > 0) writes.push(entries);
          } else {
            const write = writes.shift();
            const last = write?.[write.length - 1];
            if (write === undefined || last === undefined) continue;
            disk.length = (write[0] as Entry).index - 1;
            disk.push(...write);
            log.persisted(last.term, last.index);
          }
          // Whatever finishes from here on must leave every durable entry as it is.
          const durable = log.offset - 1;
          expect(durable).toBeLessThanOrEqual(disk.length);
          for (const write of writes) expect((write[0] as Entry).index).toBeGreaterThan(durable);
        }
        // Once everything is written, everything is durable.
        const rest = log.takeEntries();
        if (rest.length > 0) writes.push(rest);
        for (const write of writes) {
          const last = write[write.length - 1] as Entry;
          log.persisted(last.term, last.index);
        }
        expect(log.offset - 1).toBe(log.lastIndex);
        expect(log.hasFresh).toBe(false);
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  test('keeps no payload once it is handed out', () => {
    const log = new UnstableLog(1);
    log.append([entry(1, 1), entry(2, 1)]);
    expect(log.takeEntries().map(({ index }) => index)).toEqual([1, 2]);
    expect(log.takeEntries()).toEqual([]);
    expect([log.term(2), log.sizeBytes(2)]).toEqual([1, 2]);
    log.append([entry(3, 1)]);
    expect(log.takeEntries().map(({ index }) => index)).toEqual([3]);
  });

  test('what was handed out is never changed afterwards', () => {
    const log = new UnstableLog(1);
    const nothing = log.takeEntries();
    log.append([entry(1, 1)]);
    expect(nothing).toEqual([]);
    const taken = log.takeEntries();
    log.append([entry(1, 2)]);
    expect(taken.map(({ term }) => term)).toEqual([1]);
  });

  test('an old report after a snapshot says nothing about the snapshot', () => {
    const log = new UnstableLog(1);
    const membership = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [] };
    log.append([entry(1, 1), entry(2, 1)]);
    log.takeEntries();
    log.restore({ index: 2, term: 1, membership });
    expect(log.takeSnapshot()?.index).toBe(2);
    expect(log.takeSnapshot()).toBeUndefined();
    expect(log.persisted(1, 2)).toBe(false);
    expect(log.snapshot?.index).toBe(2);
    expect(log.persisted(1, 2)).toBe(true);
    expect(log.snapshot).toBeUndefined();
  });
});
