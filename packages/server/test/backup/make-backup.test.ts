import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { copyGroups } from '@sluice/coordinator/administration/backup-copy';

type Copy = typeof copyGroups;
let copy: Copy;
jest.unstable_mockModule('@sluice/coordinator/administration/backup-copy', () => ({
  copyGroups: (options: Parameters<Copy>[0]) => copy(options),
}));
jest.unstable_mockModule('@sluice/admin/rest-client', () => ({
  callApi: async () => ({ cluster: 'c', version: '0', partitions: 1 }),
  streamApi: async () => {
    throw new Error('nobody reads here');
  },
}));
const { makeBackup } = await import('../../src/backup/make-backup.ts');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-make-backup-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const make = (): ReturnType<typeof makeBackup> =>
  makeBackup({
    connection: { url: '', apiKey: undefined },
    to: join(folder, 'bk'),
    nowMs: () => 0,
    pause: async () => {},
    progress: () => {},
  });

async function writeOne({ open }: Parameters<Copy>[0], text: string): Promise<void> {
  const file = await open('one');
  await file.write(Buffer.from(text));
  await file.close();
}

test('a second one into the same directory takes nothing from the first', async () => {
  let second: Promise<unknown> | undefined;
  copy = async (options) => {
    await writeOne(options, 'of the first');
    copy = async (later) => {
      await writeOne(later, 'of the second');
      return [];
    };
    second = make();
    await second;
    return [];
  };
  await expect(make()).rejects.toMatchObject({ code: 'BACKUP_REFUSED' });
  await second;
  expect(await readFile(join(folder, 'bk', 'one'), 'utf8')).toBe('of the second');
  expect(await readdir(folder)).toEqual(['bk']);
});

test('one that fails leaves nothing behind, and nothing of another', async () => {
  copy = async (options) => {
    await writeOne(options, 'of the first');
    copy = async () => {
      throw new Error('of a test');
    };
    await expect(make()).rejects.toThrow('of a test');
    return [];
  };
  await make();
  expect(await readFile(join(folder, 'bk', 'one'), 'utf8')).toBe('of the first');
  expect(await readdir(folder)).toEqual(['bk']);
});
