import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { ImageKeeper } from '../../src/disk/image-keeper.ts';
import type { NodeStorage } from '../../src/disk/node-storage.ts';
import { SegmentReclaimer } from '../../src/disk/segment-reclaimer.ts';
import type { Replica } from '../../src/replica/replica.ts';

const GROUP = 1;
const SEGMENT = { segmentId: 7, bytes: 100_000, groups: new Map([[GROUP, { first: 1, last: 10 }]]) };

/**
 * One sealed segment with the entries 1 to 10 of a group whose rows say of each that it lives as soon as it is applied.
 * Everything stands still between two calls, so a test says what happens in between.
 */
class OneSegment {
  appliedIndex = 0;
  lastIndex = 10;
  /** Below it an image covers the log. */
  firstIndex = 1;
  /** Backups that read the group. */
  exports = 0;
  /** Called when the rows were asked, before they answer. */
  meanwhile: () => void = () => {};
  released: { groupId: number; index: number }[] | undefined;
  readonly reclaimer: SegmentReclaimer;

  constructor() {
    const set = this;
    const replica = {
      groupId: GROUP,
      raft: {
        get appliedIndex() {
          return set.appliedIndex;
        },
      },
      get exports() {
        return set.exports;
      },
    };
    const entryLog = {
      groups: new Set([GROUP]),
      mark: () => ({ segmentId: 8, position: 0 }),
      sealedSegments: () => (this.released === undefined ? [SEGMENT] : []),
      activeSegment: () => ({ segmentId: 8, bytes: 0, groups: new Map() }),
      firstIndex: () => this.firstIndex,
      lastIndex: () => this.lastIndex,
      sizeBytes: () => 100,
      segmentOf: async () => SEGMENT.segmentId,
      rest: async () => {},
      release: async (_segmentId: number, live: { groupId: number; index: number }[]) => {
        this.released = live;
      },
    };
    const imageKeeper = {
      sizeBytes: () => 0,
      logFloor: () => this.appliedIndex,
      take: async () => {
        this.firstIndex = this.appliedIndex + 1;
      },
    };
    this.reclaimer = new SegmentReclaimer({
      storage: { entryLog } as unknown as NodeStorage,
      imageKeeper: imageKeeper as unknown as ImageKeeper,
      replicas: new Map([[GROUP, replica as unknown as Replica]]),
      logger: silentLogger,
      metrics: new PlainMetrics(),
      liveEntries: async (_groupId, first, last) => {
        const applied = Math.min(last, this.appliedIndex);
        const live = Array.from({ length: Math.max(0, applied - first + 1) }, (_, i) => ({
          index: first + i,
          bytes: 10,
        }));
        this.meanwhile();
        return live;
      },
      onFailed: () => {},
    });
    this.reclaimer.start();
  }

  /** One pass of the reclaimer, to its end. */
  async pass(): Promise<void> {
    this.reclaimer.noteDeadBytes(1);
    await jest.advanceTimersByTimeAsync(SegmentReclaimer.INTERVAL_MS);
  }
}

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

it('entries that are applied while their segment is looked at do not go with it', async () => {
  const one = new OneSegment();
  one.appliedIndex = 5;
  // They come alive behind the answer, and the image that is taken next covers them.
  one.meanwhile = () => {
    one.appliedIndex = 10;
  };
  await one.pass();
  one.appliedIndex = 10;
  await one.pass();
  await one.reclaimer.stop();
  expect(one.released?.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

it('a tail that another leader cut off is not waited for: it is never applied', async () => {
  const one = new OneSegment();
  one.lastIndex = 8;
  one.appliedIndex = 8;
  await one.pass();
  await one.reclaimer.stop();
  expect(one.released?.length).toBe(8);
});

it('nothing of a group goes while a backup reads it, and all of it behind that', async () => {
  const one = new OneSegment();
  one.appliedIndex = 10;
  one.exports = 1;
  await one.pass();
  expect(one.released).toBeUndefined();
  one.exports = 0;
  await one.pass();
  await one.reclaimer.stop();
  expect(one.released?.length).toBe(10);
});
