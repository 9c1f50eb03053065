import { beforeEach, describe, expect, test } from '@jest/globals';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import type { Replica } from '../../src/replica/replica.ts';
import { SnapshotRetention } from '../../src/snapshot/snapshot-retention.ts';

const MIB = 1024 * 1024;

/** A log of entries of one size, and a group as its leader sees it. */
let sizeBytes: number;
let lastIndex: number;
let firstIndex: number;
let role: string;
let alone: boolean;
let progress: { peer: number; match: number; state: string; recentlyActive: boolean }[];
let retention: SnapshotRetention;
let replica: Replica;

beforeEach(() => {
  sizeBytes = 1000;
  firstIndex = 1;
  lastIndex = 1000;
  role = 'leader';
  alone = false;
  progress = [{ peer: 1, match: 1000, state: 'replicate', recentlyActive: true }];
  const log = { firstIndex: () => firstIndex, lastIndex: () => lastIndex, sizeBytes: () => sizeBytes };
  retention = new SnapshotRetention(log as unknown as EntryLog, 1);
  const raft = {
    get role() {
      return role;
    },
    status: () => ({ progress }),
  };
  replica = {
    groupId: 7,
    raft,
    removed: false,
    isAlone: () => alone,
    get appliedIndex() {
      return lastIndex;
    },
  } as unknown as Replica;
});

function member(peer: number, match: number, recentlyActive = true, state = 'replicate'): void {
  progress.push({ peer, match, state, recentlyActive });
}

describe('how far a log may be compacted', () => {
  test('is for a node alone no question', () => {
    alone = true;
    expect(retention.floor(replica)).toBe(Number.POSITIVE_INFINITY);
  });

  test('is where the slowest member stands', () => {
    member(2, 900);
    member(3, 400);
    expect(retention.floor(replica)).toBe(400);
  });

  test('is not where a member stands that lacks more than a snapshot costs', () => {
    sizeBytes = MIB;
    member(2, 990);
    member(3, 1000 - 65);
    expect(retention.floor(replica)).toBe(990);
    retention.tick();
    progress.pop();
    member(3, 1000 - 64);
    expect(retention.floor(replica)).toBe(936);
  });

  test('is shorter for a member that is silent, and many small entries are many all the same', () => {
    sizeBytes = MIB;
    member(2, 1000 - 17, false);
    expect(retention.floor(replica)).toBe(Number.POSITIVE_INFINITY);
    retention.tick();
    progress.pop();
    member(2, 1000 - 16, false);
    expect(retention.floor(replica)).toBe(984);
    retention.tick();
    sizeBytes = 1;
    lastIndex = 100_000;
    expect(retention.floor(replica)).toBe(Number.POSITIVE_INFINITY);
  });

  test('is not where the log does not reach any more', () => {
    firstIndex = 500;
    member(2, 400);
    expect(retention.floor(replica)).toBe(Number.POSITIVE_INFINITY);
  });

  test('leaves a short tail on a node that does not lead', () => {
    role = 'follower';
    sizeBytes = MIB / 4;
    expect(retention.floor(replica)).toBe(996);
  });

  test('is counted anew with each tick, not with each question', () => {
    member(2, 400);
    expect(retention.floor(replica)).toBe(400);
    (progress[1] as { match: number }).match = 700;
    expect(retention.floor(replica)).toBe(400);
    retention.tick();
    expect(retention.floor(replica)).toBe(700);
  });
});

describe('what a transfer holds', () => {
  test('stays until the follower is past it', () => {
    member(2, 0, true, 'snapshot');
    const hold = retention.hold(replica, 2, 600);
    expect(retention.floor(replica)).toBe(0);
    sizeBytes = MIB;
    retention.tick();
    expect(retention.floor(replica)).toBe(600);
    retention.releaseWhenPast(hold);
    for (let tick = 0; tick < 20; tick++) retention.tick();
    expect(retention.floor(replica)).toBe(600);
    Object.assign(progress[1] as object, { match: 650, state: 'replicate' });
    retention.tick();
    expect([hold.ended, retention.floor(replica)]).toEqual([true, Number.POSITIVE_INFINITY]);
  });

  test('ends when the follower never gets past it', () => {
    member(2, 0, true, 'probe');
    sizeBytes = MIB;
    const hold = retention.hold(replica, 2, 900);
    retention.releaseWhenPast(hold);
    for (let tick = 1; tick < SnapshotRetention.HOLD_TICKS_MAX; tick++) retention.tick();
    expect([hold.ended, retention.floor(replica)]).toEqual([false, 900]);
    retention.tick();
    expect([hold.ended, retention.floor(replica)]).toEqual([true, Number.POSITIVE_INFINITY]);
  });

  test('ends when the log grows too far meanwhile', () => {
    sizeBytes = MIB;
    const hold = retention.hold(replica, 2, 1000);
    lastIndex = 1000 + 1024;
    retention.tick();
    expect(hold.ended).toBe(false);
    lastIndex++;
    retention.tick();
    expect(hold.ended).toBe(true);
  });

  test('ends with the leadership, and with the replica', () => {
    const one = retention.hold(replica, 2, 900);
    role = 'follower';
    retention.tick();
    expect(one.ended).toBe(true);
    role = 'leader';
    const other = retention.hold(replica, 2, 900);
    replica.removed = true;
    retention.tick();
    expect(other.ended).toBe(true);
  });

  test('is released at once when the transfer failed', () => {
    const hold = retention.hold(replica, 2, 900);
    retention.release(hold);
    expect(retention.floor(replica)).toBe(Number.POSITIVE_INFINITY);
  });
});
