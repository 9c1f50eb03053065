import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { RaftGroup } from '@sluice/raft/raft';
import { add } from './support/tally-machine.ts';
import { everyEntry, TestNode, until } from './support/test-node.ts';

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.create();
});
afterEach(async () => {
  await node.remove();
});

describe('the Raft host on one node', () => {
  test('answers a proposal once it is applied, in the order of the log', async () => {
    await node.start(1);
    const replies = await Promise.all([1, 2, 3].map((amount) => node.propose(1, add(7, amount))));
    expect(replies.map(({ value }) => value)).toEqual([1, 3, 6]);
    await until(() => node.listeners.get(1)?.effectsSeen.length === 3, 'effects follow the write');
    await node.stop();
  });

  test('one synced write serves what all groups proposed in a turn', async () => {
    await node.start(8);
    const syncs = node.metrics.counter('sluice_raft_turns_total', '');
    const before = syncs.value;
    const all: Promise<unknown>[] = [];
    for (let groupId = 1; groupId <= 8; groupId++) {
      for (let i = 0; i < 50; i++) all.push(node.propose(groupId, add(1, 1)));
    }
    await Promise.all(all);
    expect(syncs.value - before).toBe(1);
    await node.stop();
  });

  test('what the write of the only voter commits is applied without a turn more', async () => {
    await node.start(3);
    await Promise.all([1, 2, 3].map((groupId) => node.propose(groupId, add(1, 1))));
    const ready = jest.spyOn(RaftGroup.prototype, 'ready');
    try {
      await Promise.all([1, 2, 3].map((groupId) => node.propose(groupId, add(1, 1))));
      expect(ready).toHaveBeenCalledTimes(3);
    } finally {
      ready.mockRestore();
    }
    await node.stop();
  });

  test('more than a frame holds takes several turns, and ends nothing', async () => {
    const { writev } = node.files;
    // Of what is that large the bytes are not looked at: only what is asked of the disk.
    node.files.writev = async (fd, buffers, position) => {
      const bytes = buffers.reduce((sum, { length }) => sum + length, 0);
      return bytes > 1024 * 1024 ? bytes : await writev(fd, buffers, position);
    };
    await node.start(9);
    const turns = node.metrics.counter('sluice_raft_turns_total', '');
    const before = turns.value;
    const large = add(1, 1, 120 * 1024 * 1024);
    const proposed = Array.from({ length: 9 }, (_, i) => node.propose(i + 1, large));
    expect((await Promise.all(proposed)).map(({ value }) => value)).toEqual(Array(9).fill(1));
    expect(turns.value - before).toBe(2);
    expect(node.host.failure).toBeUndefined();
    await node.stop();
  });

  test('what may wait for company goes with a turn that writes, what several groups have together, and alone after a while', async () => {
    await node.start(3);
    const turns = node.metrics.counter('sluice_raft_turns_total', '');
    const waiting: Promise<unknown>[] = [];
    const propose = (groupId: number) => () => void waiting.push(node.propose(groupId, add(1, 1)));
    node.host.withLaterTurn(propose(2));
    node.host.withLaterTurn(propose(3));
    let others = 0;
    while (waiting.length === 0) {
      await node.propose(1, add(1, 1));
      others++;
    }
    expect(waiting).toHaveLength(2);
    await Promise.all(waiting);
    const before = turns.value;
    expect(before).toBeGreaterThanOrEqual(others);
    node.host.withLaterTurn(propose(2));
    node.host.withLaterTurn(propose(3));
    await until(() => waiting.length === 4, 'they do not wait for ever');
    await Promise.all(waiting);
    expect(turns.value - before).toBe(1);
    await node.stop();
  });

  test('a restart has everything that was answered, and applies nothing twice', async () => {
    await node.start(2);
    await Promise.all(Array.from({ length: 200 }, (_, i) => node.propose(1 + (i % 2), add(i % 5, 1))));
    await node.stop();
    await node.start(2);
    expect(node.machines.get(1)?.total).toBe(100);
    expect(node.machines.get(2)?.total).toBe(100);
    expect((await node.propose(1, add(0, 0))).value).toBe(20);
    await node.stop();
  });

  test('the derived state may be gone: it is made again from the log', async () => {
    await node.start(2);
    await Promise.all(Array.from({ length: 100 }, (_, i) => node.propose(1 + (i % 2), add(1, 2))));
    await node.stop();
    await rm(join(node.directory, 'state'), { recursive: true });
    await node.start(2);
    expect((await node.propose(2, add(1, 0))).value).toBe(100);
    expect(node.machines.get(1)?.total).toBe(100);
    await node.stop();
  });

  test('an entry no version of this build knows stops its group, and no other', async () => {
    await node.start(2);
    await node.propose(1, add(1, 5));
    await expect(node.propose(1, Uint8Array.of(99))).rejects.toThrow('unavailable');
    expect(node.host.stoppedGroups().map(({ groupId }) => groupId)).toEqual([1]);
    expect(node.host.propose(1, add(1, 1), undefined)).toBe('unavailable');
    expect((await node.propose(2, add(1, 1))).value).toBe(1);
    expect(node.host.leads(2)).toBe(true);
    await node.stop();
    // What was applied before it is still there.
    await node.start(2);
    await until(() => node.host.stoppedGroups().length === 1, 'the group meets the entry again');
    expect(node.machines.get(1)?.total).toBe(5);
    await node.stop();
  });
});

test('an entry that is damaged and still to be applied stops its group, and no other', async () => {
  const segmentBytes = 16 * 1024;
  node.live = everyEntry;
  await node.start(2, { segmentBytes });
  for (let i = 0; i < 20; i++) {
    await node.propose(1, add(1, 1, 4_000));
    await node.propose(2, add(1, 1, 4_000));
  }
  const [segment] = node.storage.entryLog.sealedSegments();
  await node.stop();
  // Everything is to be applied anew, and one payload of group 1 is not what was written.
  await rm(join(node.directory, 'state'), { recursive: true });
  const path = join(node.directory, 'log', `${String(segment?.segmentId).padStart(16, '0')}.log`);
  const bytes = await readFile(path);
  const at = bytes.indexOf(Buffer.from(add(1, 1, 4_000))) + 2_000;
  bytes[at] = 1;
  await writeFile(path, bytes);
  await node.start(2, { segmentBytes });
  await until(() => node.host.stoppedGroups().length > 0, 'a group meets the damage');
  const stopped = node.host.stoppedGroups();
  expect(stopped.map(({ groupId }) => groupId)).toEqual([1]);
  expect(stopped[0]?.cause.message).toContain(`${path} is damaged at byte`);
  expect((await node.propose(2, add(1, 0))).value).toBe(20);
  await node.stop();
});

test('what stands before an entry that is damaged is applied, and nothing from it on', async () => {
  const segmentBytes = 64 * 1024;
  node.live = everyEntry;
  await node.start(1, { segmentBytes });
  for (let i = 0; i < 40; i++) await node.propose(1, add(i === 7 ? 7 : 1, 1, 4_000));
  const [segment] = node.storage.entryLog.sealedSegments();
  await node.stop();
  await rm(join(node.directory, 'state'), { recursive: true });
  const path = join(node.directory, 'log', `${String(segment?.segmentId).padStart(16, '0')}.log`);
  const bytes = await readFile(path);
  const at = bytes.indexOf(Buffer.from(add(7, 1, 4_000))) + 2_000;
  bytes[at] = 1;
  await writeFile(path, bytes);
  await node.start(1, { segmentBytes });
  await until(() => node.host.stoppedGroups().length === 1, 'the group meets the damage');
  expect(node.host.stoppedGroups()[0]?.cause.message).toContain(`${path} is damaged at byte`);
  expect(node.machines.get(1)?.total).toBe(7);
  await node.stop();
});

describe('giving space back', () => {
  const segments = async (): Promise<string[]> =>
    (await readdir(join(node.directory, 'log'))).filter((name) => name.endsWith('.log'));

  async function fill(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await node.propose(1, add(1, 1, 10_000));
  }

  test('dead segments go once an image covers them, and the state survives the loss of the engine', async () => {
    await node.start(1, { segmentBytes: 64 * 1024 });
    await fill(60);
    const before = (await segments()).length;
    expect(before).toBeGreaterThan(5);
    node.host.noteDeadBytes(600_000);
    await until(() => node.storage.entryLog.sealedSegments().length <= 1, 'dead segments are released');
    expect((await segments()).length).toBeLessThan(before);
    expect((await readdir(join(node.directory, 'images'))).length).toBeGreaterThan(0);
    await node.stop();
    await rm(join(node.directory, 'state'), { recursive: true });
    await node.start(1, { segmentBytes: 64 * 1024 });
    expect((await node.propose(1, add(1, 0))).value).toBe(60);
    await node.stop();
  });

  test('a group that stopped is not taken an image of: what it applied last has no rows', async () => {
    node.live = everyEntry;
    await node.start(2, { segmentBytes: 64 * 1024 });
    for (let i = 0; i < 30; i++) await node.propose(2, add(1, 1, 10_000));
    for (let i = 0; i < 30; i++) await node.propose(1, add(1, 1, 10_000));
    // One batch: the first is answered, then the second stops the group and its rows are given up.
    const answered = node.propose(1, add(1, 1));
    await expect(node.propose(1, Uint8Array.of(99))).rejects.toThrow('unavailable');
    expect((await answered).value).toBe(31);
    const sealed = node.storage.entryLog.sealedSegments().length;
    node.live = () => [];
    node.host.noteDeadBytes(600_000);
    await until(
      () => node.storage.entryLog.sealedSegments().length < sealed,
      'segments of the other group are released',
    );
    expect(node.storage.entryLog.firstIndex(2)).toBeGreaterThan(1);
    expect(node.storage.entryLog.firstIndex(1)).toBe(1);
    await node.stop();
    await node.start(2, { segmentBytes: 64 * 1024 });
    await until(() => node.host.stoppedGroups().length === 1, 'the group meets the entry again');
    expect(node.machines.get(1)?.total).toBe(31);
    await node.stop();
  });

  test('one live entry does not pin its segment: it is moved forward and stays readable', async () => {
    await node.start(1, { segmentBytes: 64 * 1024 });
    node.live = (_group, first, last) => (first <= 5 && last >= 5 ? [{ index: 5, bytes: 10_003 }] : []);
    await fill(60);
    node.host.noteDeadBytes(600_000);
    await until(() => node.storage.entryLog.sealedSegments().length <= 1, 'all but the newest segments are released');
    const [entry] = await node.storage.entryLog.read(1, 5, 5, 0);
    expect(entry?.index).toBe(5);
    expect(entry?.data.length).toBe(10_003);
    await node.stop();
  });
});

describe('a disk that fails', () => {
  test('full: the turn waits, its proposals keep their places, and go through when space returns', async () => {
    await node.start(1);
    await node.propose(1, add(1, 1));
    const { writev } = node.files;
    node.files.writev = async () => {
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    };
    const waiting = node.propose(1, add(1, 1));
    await until(() => node.host.diskFull, 'the disk is known to be full');
    node.files.writev = writev;
    expect((await waiting).value).toBe(2);
    expect(node.host.diskFull).toBe(false);
    await node.stop();
  });

  test('a sync that fails fences the node: nothing is answered any more, and nothing is retried', async () => {
    await node.start(1);
    await node.propose(1, add(1, 1));
    let writes = 0;
    node.files.writev = async () => {
      writes++;
      throw Object.assign(new Error('input/output error'), { code: 'EIO' });
    };
    await expect(node.propose(1, add(1, 1))).rejects.toThrow('unavailable');
    expect(node.host.failure).toBeDefined();
    expect(node.host.propose(1, add(1, 1), undefined)).toBe('unavailable');
    expect(writes).toBe(1);
    await node.stop();
  });
});
