import { expect } from '@jest/globals';
import type { HardState } from '@sluice/raft/entry';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { codeOf } from './open-test-log.ts';

interface ModelEntry {
  term: number;
  text: string;
}

/** What one group must look like, kept in the plainest way. */
export class ModelGroup {
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  first = 1;
  last = 0;
  compactedTerm = 0;
  /** Must be readable. */
  readonly live = new Map<number, ModelEntry>();
  /** Below the start and given up: readable as they were, or gone. */
  readonly dead = new Map<number, ModelEntry>();

  term(index: number): number | undefined {
    if (index === this.first - 1) return this.compactedTerm;
    return index >= this.first && index <= this.last ? this.live.get(index)?.term : undefined;
  }

  append(index: number, entries: readonly ModelEntry[]): void {
    for (let old = index; old <= this.last; old++) this.live.delete(old);
    entries.forEach((entry, i) => {
      this.live.set(index + i, entry);
    });
    this.last = index + entries.length - 1;
  }

  compact(index: number): void {
    this.compactedTerm = this.term(index) ?? 0;
    this.first = index + 1;
  }

  reset(index: number, term: number): void {
    this.live.clear();
    this.dead.clear();
    this.first = index + 1;
    this.last = index;
    this.compactedTerm = term;
  }

  /** Indexes below the start that must survive. */
  kept(): number[] {
    return [...this.live.keys()].filter((index) => index < this.first).sort((a, b) => a - b);
  }

  giveUp(index: number): void {
    const entry = this.live.get(index);
    if (entry === undefined) return;
    this.live.delete(index);
    this.dead.set(index, entry);
  }
}

/** Compares everything that can be asked. */
export async function expectLike(log: EntryLog, model: ReadonlyMap<number, ModelGroup>): Promise<void> {
  expect([...log.groups.keys()].sort()).toEqual([...model.keys()].sort());
  for (const [groupId, group] of model) {
    const { first, last } = group;
    expect([log.firstIndex(groupId), log.lastIndex(groupId)]).toEqual([first, last]);
    expect(log.groups.get(groupId)).toMatchObject({ firstIndex: first, lastIndex: last, hardState: group.hardState });
    for (let index = Math.max(0, first - 2); index <= last + 1; index++) {
      expect([index, log.term(groupId, index)]).toEqual([index, group.term(index)]);
    }
    for (let index = first; index <= last; index++) {
      expect(log.sizeBytes(groupId, index)).toBe(group.live.get(index)?.text.length);
    }
    await expectEntries(log, groupId, group);
  }
}

async function expectEntries(log: EntryLog, groupId: number, group: ModelGroup): Promise<void> {
  for (let index = 1; index <= group.last + 2; index++) {
    const must = group.live.get(index);
    const may = must ?? group.dead.get(index);
    let found: Awaited<ReturnType<EntryLog['read']>>;
    try {
      found = await log.read(groupId, index, group.last + 2, 700);
    } catch (error) {
      expect([index, must]).toEqual([index, undefined]);
      expect(await codeOf(Promise.reject(error))).toBe('ENTRY_MISSING');
      continue;
    }
    expect([index, may]).not.toEqual([index, undefined]);
    for (const [i, entry] of found.entries()) {
      const expected = group.live.get(index + i) ?? group.dead.get(index + i);
      const text = Buffer.from(entry.data).toString();
      expect({ index: entry.index, term: entry.term, text }).toEqual({ index: index + i, ...expected });
    }
  }
}
