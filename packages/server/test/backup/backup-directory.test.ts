import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { type BackupFile, fileNameOf, GroupCounter } from '@sluice/storage/backup-file';
import { BackupWriter, readBackup } from '@sluice/storage/backup-format';
import { MANIFEST, type Manifest, manifestText, readGroup, readManifest } from '../../src/backup/backup-directory.ts';
import { restoreBackup } from '../../src/backup/restore-backup.ts';

let folder: string;
let directory: string;
let manifest: Manifest;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-backup-'));
  directory = folder;
  const files: BackupFile[] = [];
  for (const group of [1, 2, 0]) {
    const writer = new BackupWriter();
    const row = { key: Buffer.from('k'), value: Buffer.from(`of ${group}`) };
    const bytes = Buffer.concat([
      ...writer.head({ groupId: group, index: 5, term: 1 }),
      ...writer.rows([row]),
      ...writer.end(),
    ]);
    await writeFile(join(directory, fileNameOf(group)), bytes);
    const counter = new GroupCounter();
    const passing = counter.through(
      (async function* () {
        yield bytes;
      })(),
    );
    for await (const part of readBackup(passing, 'test')) counter.count(part);
    files.push(counter.file(group));
  }
  const at = '2026-11-21T00:00:00.000Z';
  manifest = { format: 1, cluster: 'c', version: '0.1.0', startedAt: at, finishedAt: at, partitions: 2, files };
  await writeFile(join(directory, MANIFEST), manifestText(manifest));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** As `sluice backup verify` does; `ok`, or the code of what is wrong. */
async function verified(): Promise<string> {
  try {
    const found = await readManifest(directory);
    for (const file of found.files) for await (const _part of readGroup(directory, file));
    return 'ok';
  } catch (cause) {
    return (cause as { code: string }).code;
  }
}

async function change(name: string, edit: (text: Buffer) => Uint8Array | string): Promise<void> {
  await writeFile(join(directory, name), edit(await readFile(join(directory, name))));
}

test('a whole one is read', async () => {
  expect(await verified()).toBe('ok');
  expect(await readManifest(directory)).toEqual(manifest);
});

test('a changed manifest is damaged, one of a newer format is said to be so, none is none', async () => {
  await change(MANIFEST, (text) => text.toString().replace('"index": 5', '"index": 6'));
  expect(await verified()).toBe('BACKUP_DAMAGED');
  await writeFile(join(directory, MANIFEST), manifestText(manifest).replace('"format": 1', '"format": 2'));
  expect(await verified()).toBe('BACKUP_NEWER');
  await writeFile(join(directory, MANIFEST), '{');
  expect(await verified()).toBe('BACKUP_DAMAGED');
  await rm(join(directory, MANIFEST));
  expect(await verified()).toBe('BACKUP_MISSING');
});

test('a file that is missing, cut, changed or of another group is damage', async () => {
  const name = fileNameOf(2);
  const whole = await readFile(join(directory, name));
  await change(name, (bytes) => bytes.subarray(0, bytes.length - 1));
  expect(await verified()).toBe('BACKUP_DAMAGED');
  await writeFile(join(directory, name), await readFile(join(directory, fileNameOf(1))));
  expect(await verified()).toBe('BACKUP_DAMAGED');
  await rm(join(directory, name));
  expect(await verified()).toBe('BACKUP_DAMAGED');
  await writeFile(join(directory, name), whole);
  expect(await verified()).toBe('ok');
});

test('a file that is whole in itself and of another backup is found by the manifest', async () => {
  const writer = new BackupWriter();
  const row = { key: Buffer.from('k'), value: Buffer.from('of 9') };
  const head = writer.head({ groupId: 2, index: 5, term: 1 });
  await writeFile(join(directory, fileNameOf(2)), Buffer.concat([...head, ...writer.rows([row]), ...writer.end()]));
  expect(await verified()).toBe('BACKUP_DAMAGED');
});

test('a manifest that lacks a partition is damage', async () => {
  const files = manifest.files.filter(({ group }) => group !== 2);
  await writeFile(join(directory, MANIFEST), manifestText({ ...manifest, files }));
  expect(await verified()).toBe('BACKUP_DAMAGED');
});

test('nothing is restored into a directory that has something, nor left of one that is damaged', async () => {
  const parts = { from: directory, logger: silentLogger, metrics: new PlainMetrics(), progress: () => {} };
  await expect(restoreBackup({ ...parts, to: directory })).rejects.toMatchObject({ code: 'RESTORE_REFUSED' });
  // Its metadata is none.
  const to = join(folder, 'data');
  await expect(restoreBackup({ ...parts, to: '/proc/sluice/data' })).rejects.toMatchObject({
    code: 'RESTORE_REFUSED',
    hint: expect.stringContaining('name another directory'),
  });
  await expect(restoreBackup({ ...parts, to })).rejects.toMatchObject({ code: 'BACKUP_DAMAGED' });
  await expect(readFile(join(to, 'node.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(readFile(join(`${to}.restoring`, 'node.json'))).rejects.toMatchObject({ code: 'ENOENT' });
});
