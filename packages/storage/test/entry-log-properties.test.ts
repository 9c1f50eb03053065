import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { LogWrite } from '@sluice/storage/entry-log-contract';
import fc from 'fast-check';
import { expectLike, ModelGroup } from './support/log-model.ts';
import { entry, openTestLog, type TestLog } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

/** How a log is opened again; other numbers mean the first. */
const FLUSHED = 0;
const WITHOUT_INDEXES = 1;
/** Front cuts may be lost, and whatever they would have cut off, and was not released, is there again. */
const CRASHED = 2;

const GROUPS = 3;
const OPTIONS = { segmentBytes: 1500, sync: false };

/** Small numbers whose meaning depends on the state: every sequence of them is a valid history, so failures shrink. */
const part = fc.record({
  groupId: fc.nat(GROUPS - 1),
  back: fc.nat(4),
  count: fc.nat(4),
  termStep: fc.nat(1),
  size: fc.oneof(fc.nat(40), fc.nat(300), fc.constant(3000)),
  vote: fc.option(fc.nat(5), { nil: undefined }),
});
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('append' as const), parts: fc.array(part, { maxLength: 3 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('compact' as const), groupId: fc.nat(GROUPS - 1), by: fc.nat(6) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('reset' as const), groupId: fc.nat(GROUPS - 1), by: fc.nat(6) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('restart' as const), groupId: fc.nat(GROUPS - 1), by: fc.nat(6) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), groupId: fc.nat(GROUPS - 1) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('seal' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), nth: fc.nat(5), give: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reopen' as const), how: fc.nat(3) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type Part = typeof part extends fc.Arbitrary<infer T> ? T : never;

class Run {
  readonly directory: string;
  readonly model = new Map<number, ModelGroup>();
  current: TestLog;
  written = 0;

  constructor(directory: string, current: TestLog) {
    this.directory = directory;
    this.current = current;
  }

  group(groupId: number): ModelGroup {
    let group = this.model.get(groupId);
    if (group === undefined) {
      group = new ModelGroup();
      this.model.set(groupId, group);
    }
    return group;
  }

  async step(step: Step): Promise<void> {
    const { log } = this.current;
    switch (step.do) {
      case 'append': {
        const writes: LogWrite[] = [];
        for (const part of step.parts) {
          if (!writes.some(({ groupId }) => groupId === part.groupId)) writes.push(this.planAppend(part));
        }
        return log.append(writes);
      }
      case 'compact': {
        const group = this.model.get(step.groupId);
        if (group === undefined) return;
        const index = Math.min(group.last, group.first - 1 + step.by);
        log.compact(step.groupId, index, group.term(index) ?? 0);
        if (index >= group.first) group.compact(index);
        return;
      }
      case 'reset': {
        const group = this.group(step.groupId);
        const index = group.last + 1 + step.by;
        const term = (group.term(group.last) ?? 0) + 1;
        log.compact(step.groupId, index, term);
        group.reset(index, term);
        if (step.by === 0) return;
        const text = `adopted ${this.written++}`;
        group.live.set(index - 1, { term, text });
        return log.adopt(step.groupId, [entry(index - 1, term, text)]);
      }
      case 'restart': {
        const group = this.group(step.groupId);
        const index = group.last + 1 + step.by;
        const term = (group.term(group.last) ?? 0) + 1;
        group.hardState = { term, vote: step.by, commit: index };
        await log.restart(step.groupId, index, term, group.hardState);
        group.reset(index, term);
        const text = `adopted ${this.written++}`;
        group.live.set(index, { term, text });
        await log.adopt(step.groupId, [entry(index, term, text)]);
        // Again, as after a crash in the middle: it must change nothing.
        await log.restart(step.groupId, index, term, { term: 0, vote: 0, commit: 0 });
        return log.adopt(step.groupId, [entry(index, term, text)]);
      }
      case 'remove':
        this.model.delete(step.groupId);
        return log.remove(step.groupId);
      case 'seal':
        return log.seal();
      case 'release':
        return this.release(step.nth, step.give);
      case 'reopen':
        return this.reopen(step.how);
    }
  }

  planAppend({ groupId, back, count, termStep, size, vote }: Part): LogWrite {
    // Nothing to say about a group does not make it known.
    if (count === 0 && vote === undefined) return { groupId, hardState: undefined, entries: [] };
    const group = this.group(groupId);
    const index = count === 0 ? group.last + 1 : Math.max(group.first, group.last + 1 - back);
    // What supersedes comes from a newer leader.
    const term = (group.term(group.last) ?? 0) + (index <= group.last ? 1 : termStep);
    const texts = [...Array(count).keys()].map(() => `${this.written++} `.repeat(size).slice(0, size));
    if (count > 0)
      group.append(
        index,
        texts.map((text) => ({ term, text })),
      );
    const hardState = vote === undefined ? undefined : { term, vote, commit: group.last };
    if (hardState !== undefined) group.hardState = hardState;
    return { groupId, hardState, entries: texts.map((text, i) => entry(index + i, term, text)) };
  }

  async release(nth: number, give: number): Promise<void> {
    const { log } = this.current;
    const segments = log.sealedSegments();
    const segment = segments[nth % Math.max(1, segments.length)];
    if (segment === undefined) return;
    const live: { groupId: number; index: number }[] = [];
    for (const [groupId, group] of this.model) {
      for (const index of group.kept()) {
        if (index % 4 < give) group.giveUp(index);
        else live.push({ groupId, index });
      }
    }
    await log.release(segment.segmentId, live);
    expect(log.sealedSegments().map(({ segmentId }) => segmentId)).not.toContain(segment.segmentId);
  }

  /** What a host does that finds its images ahead of the log. */
  compactAgain(): void {
    const { log } = this.current;
    for (const [groupId, { first, compactedTerm }] of this.model) {
      if (log.firstIndex(groupId) < first) log.compact(groupId, first - 1, compactedTerm);
    }
  }

  async reopen(how: number): Promise<void> {
    const { log } = this.current;
    // A front cut is durable with the next append, and only then.
    if (how !== CRASHED) await log.append([]);
    const durableMark = log.mark();
    await log.close();
    if (how === WITHOUT_INDEXES) {
      for (const name of await readdir(this.directory)) {
        if (name.endsWith('.idx')) await rm(join(this.directory, name));
      }
    }
    this.current = await openTestLog(this.directory, { ...OPTIONS, durableMark });
    const unexpected = this.current.logger.lines.filter(
      ({ message }) => !message.includes('NOT SYNCED') && !(how === WITHOUT_INDEXES && message.includes('rebuilding')),
    );
    expect(unexpected).toEqual([]);
    if (how === CRASHED) this.compactAgain();
  }
}

describe('entry log against a plain model', () => {
  test('any history of appends, truncations, compactions, images, releases and restarts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        const directory = await temporaryDirectory();
        const run = new Run(directory, await openTestLog(directory, OPTIONS));
        try {
          for (const step of steps) {
            await run.step(step);
            await expectLike(run.current.log, run.model);
          }
          await run.current.log.verify();
          await run.reopen(FLUSHED);
          await expectLike(run.current.log, run.model);
        } finally {
          await run.current.log.close();
          await rm(directory, { recursive: true });
        }
      }),
      { seed: 20261120, numRuns: 80 },
    );
  });
});
