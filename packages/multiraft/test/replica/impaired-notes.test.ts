import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { readNote } from '@sluice/storage/note-file';
import { notePath } from '../../src/snapshot/snapshot-files.ts';
import { add } from '../support/tally-machine.ts';
import { TestNode } from '../support/test-node.ts';

let node: TestNode;
let release: () => void;

/** Notes wait until they are let go. */
beforeEach(async () => {
  node = await TestNode.create();
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  // Written beside its place, then named.
  node.holdOpens('.impaired.tmp', () => held);
  await node.start(2);
});

afterEach(async () => {
  release();
  await node.stop();
  await node.remove();
});

/** Everything that waits for no note is done by then. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

const note = (): Promise<Uint8Array | undefined> =>
  readNote(notePath(join(node.directory, 'images'), 1, 'impaired'), nodeFileOperations);

test('a node is closed when what it noted of its replicas is on disk', async () => {
  let wasReleased: boolean | undefined;
  let isReleased = false;
  const { engine } = node;
  const write = engine.write.bind(engine);
  // The last that a node does.
  engine.write = (...batch) => {
    wasReleased = isReleased;
    return write(...batch);
  };
  node.host.markImpaired(1, new Error('its disk lies'));
  const closing = node.stop();
  await turns();
  isReleased = true;
  release();
  await closing;
  expect(wasReleased).toBe(true);
  expect(Buffer.from((await note()) ?? []).toString()).toBe('its disk lies');
});

test('a note does not come behind the wipe of its replica, and stand against the next one', async () => {
  let wasReleased: boolean | undefined;
  let isReleased = false;
  node.host.markImpaired(1, new Error('its disk lies'));
  // By which a wipe begins.
  const { open } = node.storageFiles;
  Object.assign(node.storageFiles, {
    open: (...file: Parameters<typeof open>) => {
      if (file[0].includes('.promise')) wasReleased ??= isReleased;
      return open(...file);
    },
  });
  const removal = node.host.removeGroup(1);
  // Turns of the log that a removal waits for.
  for (let i = 0; i < 3; i++) await node.propose(2, add(1, 1));
  await turns();
  isReleased = true;
  release();
  await removal;
  expect(wasReleased).toBe(true);
  expect(await note()).toBeUndefined();
});
