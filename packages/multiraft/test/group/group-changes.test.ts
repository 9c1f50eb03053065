import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { add, TALLY_RESIDENT, TallyMachine } from '../support/tally-machine.ts';
import { TallyListener, TestNode } from '../support/test-node.ts';

const GROUP = 3;

let node: TestNode;
/** What a disk that hangs on one call does not answer: whether an earlier replica of the group promised anything. */
let hangs: Promise<void> | undefined;
let release: () => void;

beforeEach(async () => {
  node = await TestNode.create();
  hangs = undefined;
  release = () => {};
  node.holdOpens(`/${GROUP}.promise`, () => hangs);
  await node.start(2);
});

afterEach(async () => {
  release();
  await node.stop();
  await node.remove();
});

function hang(): void {
  hangs = new Promise<void>((resolve) => {
    release = () => {
      hangs = undefined;
      resolve();
    };
  });
}

function addGroup(): Promise<TallyMachine> {
  const listener = new TallyListener();
  node.listeners.set(GROUP, listener);
  return node.host.addGroup({
    groupId: GROUP,
    bootstrapVoters: [1],
    residentRanges: TALLY_RESIDENT,
    restore: (rows) => TallyMachine.restore(rows),
    listener,
  });
}

const MOVES = { code: 'GROUP_INVALID', message: `group ${GROUP} is just being added or removed` };

test('a group that is just being added is neither removed nor added: two replicas would share one log', async () => {
  hang();
  const added = addGroup();
  await expect(node.host.removeGroup(GROUP)).rejects.toMatchObject(MOVES);
  await expect(addGroup()).rejects.toMatchObject(MOVES);
  // It is one of others that are free.
  await node.host.removeGroup(2);
  release();
  await added;
  await expect(addGroup()).rejects.toMatchObject({ message: `group ${GROUP} is here already` });
  await node.host.removeGroup(GROUP);
  expect([...node.host.storedGroups()]).toEqual([1]);
});

test('a group that is just being removed is not added, and is when it is gone', async () => {
  await addGroup();
  await node.listeners.get(GROUP)?.leading;
  await node.propose(GROUP, add(1, 1));
  hang();
  const removed = node.host.removeGroup(GROUP);
  await expect(addGroup()).rejects.toMatchObject(MOVES);
  release();
  await removed;
  await addGroup();
});
