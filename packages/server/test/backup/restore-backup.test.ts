import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { restoreGroups } from '@sluice/store/backup/restore-groups';
import { MANIFEST, type Manifest, manifestText } from '../../src/backup/backup-directory.ts';

type Restore = typeof restoreGroups;
let restoreAll: () => Promise<void>;
jest.unstable_mockModule('@sluice/store/backup/restore-groups', () => ({
  restoreGroups: async (): ReturnType<Restore> => {
    await restoreAll();
    return { nodeId: 1, queues: 0 };
  },
}));
const { restoreBackup } = await import('../../src/backup/restore-backup.ts');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-restore-backup-'));
  await mkdir(join(folder, 'bk'));
  const files = ['metadata.group', 'partition-1.group'].map((name, group) => ({ group, name }));
  const manifest = { format: 1, cluster: 'c', version: '0', startedAt: '', finishedAt: '', partitions: 1, files };
  await writeFile(join(folder, 'bk', MANIFEST), manifestText(manifest as unknown as Manifest));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const restore = (): ReturnType<typeof restoreBackup> =>
  restoreBackup({
    from: join(folder, 'bk'),
    to: join(folder, 'data'),
    logger: silentLogger,
    metrics: new PlainMetrics(),
    progress: () => {},
  });

test('a second one into the same directory is refused at once, and takes nothing from the first', async () => {
  let refusal: unknown;
  restoreAll = async () => {
    const before = await readdir(folder, { recursive: true });
    await restore().catch((cause: unknown) => {
      refusal = cause;
    });
    expect(await readdir(folder, { recursive: true })).toEqual(before);
  };
  await restore();
  expect(refusal).toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining('another restore') });
  expect(await readdir(join(folder, 'data'))).toContain('node.json');
  expect((await readdir(folder)).sort()).toEqual(['bk', 'data']);
});

test('who takes its name meanwhile keeps it', async () => {
  restoreAll = async () => {
    await mkdir(join(folder, 'data'));
    await writeFile(join(folder, 'data', 'node.json'), 'of somebody');
  };
  await expect(restore()).rejects.toMatchObject({ code: 'RESTORE_REFUSED' });
  expect(await readdir(join(folder, 'data'))).toEqual(['node.json']);
  expect((await readdir(folder)).sort()).toEqual(['bk', 'data']);
});

test('what one left that was killed goes with the next', async () => {
  await mkdir(join(folder, 'data.restoring', 'log'), { recursive: true });
  await writeFile(join(folder, 'data.restoring', 'LOCK-1-1-00000000'), '');
  await writeFile(join(folder, 'data.restoring', 'node.json'), '');
  restoreAll = async () => {
    const works = await readdir(join(folder, 'data.restoring'));
    expect(works.filter((name) => !name.startsWith('LOCK-'))).toHaveLength(1);
    expect(works.filter((name) => name.startsWith('LOCK-'))).toHaveLength(1);
  };
  await restore();
  expect((await readdir(folder)).sort()).toEqual(['bk', 'data']);
});
