import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SluiceError } from '@sluice/common/errors';
import { add } from './support/tally-machine.ts';
import { TestNode, until } from './support/test-node.ts';

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.create();
});
afterEach(async () => {
  await node.remove();
});

/** From now on the engine finds no space, until the returned function is called. Counts what was tried. */
function fillDisk(of: 'write' | 'getMany'): { tries: number; free(): void } {
  const disk = { tries: 0, free: () => Object.assign(node.engine, { [of]: original }) };
  const original = node.engine[of].bind(node.engine);
  const fail = async (): Promise<never> => {
    disk.tries++;
    throw new SluiceError('STATE_FULL', 'no space left', { retriable: true });
  };
  Object.assign(node.engine, { [of]: fail });
  return disk;
}

describe('a disk too full for the derived state', () => {
  test.each(['write', 'getMany'] as const)('holds applying back at %s, and lets it go on by itself', async (of) => {
    await node.start(2);
    await node.propose(1, add(1, 1));
    const disk = fillDisk(of);
    const proposed = [1, 2, 3].map((amount) => node.propose(1, add(1, amount)));
    const other = node.propose(2, add(1, 5));
    await until(() => disk.tries > 2, 'it is tried again');
    expect(node.host.diskTrouble).toBe('disk-full');
    expect(node.host.failure).toBeUndefined();
    disk.free();
    expect((await Promise.all(proposed)).map(({ value }) => value)).toEqual([2, 4, 7]);
    expect((await other).value).toBe(5);
    await until(() => node.host.diskTrouble === undefined, 'nothing is held back');
    expect(node.machines.get(1)?.total).toBe(7);
    await node.stop();
    await node.start(2);
    expect(node.machines.get(1)?.total).toBe(7);
    await node.stop();
  });

  test('is no reason not to stop; the next start replays what was held back', async () => {
    await node.start(1);
    const disk = fillDisk('write');
    await node.propose(1, add(1, 4));
    await until(() => disk.tries > 0, 'the write is held');
    await node.stop();
    await node.start(1);
    expect(node.machines.get(1)?.total).toBe(4);
    await node.stop();
  });
});

describe('no file descriptor to read with', () => {
  test('holds applying back, and stops neither a group nor the node', async () => {
    await node.start(2);
    const disk = fillDisk('getMany');
    const proposed: Promise<unknown>[] = [node.propose(1, add(1, 1))];
    await until(() => disk.tries > 0, 'applying is held');
    // More than is kept in memory for applying it: what is left of it is in the log alone.
    for (let i = 0; i < 4; i++) {
      proposed.push(node.propose(1, add(1, 1, 12 * 1024 * 1024)));
      const last = node.host.status(1)?.lastIndex;
      await until(() => node.host.status(1)?.persistedIndex === last, 'it is in the log');
    }
    const { entryLog } = node.storage;
    const read = entryLog.read.bind(entryLog);
    let tries = 0;
    entryLog.read = async () => {
      tries++;
      throw new SluiceError('FILES_EXHAUSTED', 'no file descriptor was free', { retriable: true });
    };
    disk.free();
    await until(() => tries > 2, 'it is tried again');
    // Space on the disk would help nothing.
    expect([node.host.diskTrouble, node.host.diskFull]).toEqual(['files-exhausted', false]);
    expect([node.host.failure, node.host.stoppedGroups(), node.host.impaired()]).toEqual([undefined, [], []]);
    entryLog.read = read;
    await Promise.all(proposed);
    expect(node.machines.get(1)?.total).toBe(5);
    expect(node.host.diskTrouble).toBeUndefined();
    await node.stop();
  });

  test('to write with holds the turn back, says so, and lets it go on by itself', async () => {
    await node.start(1);
    await node.propose(1, add(1, 1));
    const { entryLog } = node.storage;
    const append = entryLog.append.bind(entryLog);
    entryLog.append = async () => {
      throw new SluiceError('FILES_EXHAUSTED', 'no file descriptor was free', { retriable: true });
    };
    const waiting = node.propose(1, add(1, 1));
    await until(() => node.host.diskTrouble === 'files-exhausted', 'it is known what is missing');
    expect(node.host.diskFull).toBe(false);
    entryLog.append = append;
    expect((await waiting).value).toBe(2);
    expect(node.host.diskTrouble).toBeUndefined();
    await node.stop();
  });
});

test.each(['before', 'after'] as const)(
  'who waits for a turn that is held back hears that the node stops, which it says %s the turn is held',
  async (when) => {
    await node.start(2);
    await node.propose(1, add(1, 1));
    const { entryLog } = node.storage;
    let tries = 0;
    entryLog.append = async () => {
      tries++;
      throw new SluiceError('ENTRY_LOG_FULL', 'no space left', { retriable: true });
    };
    if (when === 'before') node.host.stopWaiting();
    void node.propose(1, add(1, 1)).catch(() => {});
    await until(() => tries > 0, 'the turn is held');
    const removed = node.host.removeGroup(2);
    if (when === 'after') node.host.stopWaiting();
    await expect(removed).rejects.toMatchObject({ code: 'ENTRY_LOG_FULL' });
    await node.stop();
  },
);

test('any other failure of the engine fails the node, and whoever waits for it hears why', async () => {
  await node.start(1);
  const failing = node.host.failing();
  Object.assign(node.engine, {
    write: async () => {
      throw new SluiceError('STATE_FAILED', 'the disk is gone');
    },
  });
  await node.propose(1, add(1, 1));
  await expect(failing).rejects.toThrow('the disk is gone');
  expect(node.host.diskTrouble).toBe('disk-failed');
  expect(node.host.propose(1, add(1, 1), undefined)).toBe('unavailable');
  await node.stop();
});
