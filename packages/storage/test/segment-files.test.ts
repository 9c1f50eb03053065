import { expect, test } from '@jest/globals';
import { SegmentFiles } from '../src/entry-log/segment/segment-files.ts';
import { nodeFileOperations } from '../src/files/node-file-operations.ts';

/** Descriptors that are open, each given out when the test says so. */
class GatedFiles {
  readonly open = new Set<number>();
  #next = 1;
  letOpen: (() => void)[] = [];

  operations() {
    return {
      ...nodeFileOperations,
      open: async () => {
        await new Promise<void>((resolve) => this.letOpen.push(resolve));
        this.open.add(this.#next);
        return this.#next++;
      },
      close: async (fd: number) => {
        this.open.delete(fd);
      },
      read: async (_fd: number, into: Uint8Array) => into.length,
    };
  }
}

test('a file that is taken away while somebody opens it is closed when he has read it', async () => {
  const gated = new GatedFiles();
  const files = new SegmentFiles(gated.operations(), '/nowhere');
  const read = files.read(5, new Uint8Array(3), 0);
  const taken: boolean[] = [];
  const away = files.takeAway(5, async (isFree) => {
    taken.push(isFree);
  });
  for (const open of gated.letOpen) open();
  expect(await read).toBe(3);
  await away;
  // Kept open, it would keep its space as well.
  expect(gated.open.size).toBe(0);
  expect(taken).toEqual([false]);
});

test('nobody opens a file while it is taken away', async () => {
  const gated = new GatedFiles();
  const files = new SegmentFiles(gated.operations(), '/nowhere');
  await files.takeAway(5, async (isFree) => {
    expect(isFree).toBe(true);
    await expect(files.read(5, new Uint8Array(3), 0)).rejects.toMatchObject({ code: 'ENOENT' });
  });
  expect(gated.letOpen).toEqual([]);
});
