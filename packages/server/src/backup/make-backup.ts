import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CliFailure } from '@sluice/admin/cli-failure';
import { type Connection, callApi, streamApi } from '@sluice/admin/rest-client';
import { humanizeSize } from '@sluice/common/human-size';
import { type BackupFileWriter, copyGroups } from '@sluice/coordinator/administration/backup-copy';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { MANIFEST, type Manifest, manifestText } from './backup-directory.ts';
import { giveName, makeWorkDirectory, mustBeFree } from './free-directory.ts';

interface Description {
  cluster: string;
  version: string;
  partitions: number;
}

/**
 * Reads a cluster over REST into the directory `to`, which has its name when all of it is durable. Until then it has one that
 * is this run's alone: of two runs into the same directory one is refused at the end, and neither writes into the other's.
 */
export async function makeBackup(options: {
  connection: Connection;
  to: string;
  nowMs: () => number;
  pause: (ms: number) => Promise<void>;
  progress: (text: string) => void;
}): Promise<Manifest> {
  const { connection, progress, nowMs, pause } = options;
  const to = resolve(options.to);
  await mustBeFree(to, 'BACKUP_REFUSED');
  const startedAt = new Date(nowMs()).toISOString();
  const { cluster, version, partitions } = (await callApi(connection, 'GET', '/api/v5/backup')) as Description;
  const work = `${to}.${randomUUID()}.incomplete`;
  await makeWorkDirectory(work, 'BACKUP_REFUSED');
  try {
    const files = await copyGroups({
      partitions,
      read: (group) => streamApi(connection, `/api/v5/backup/${group === 0 ? 'metadata' : `partitions/${group}`}`),
      open: (name) => openFile(join(work, name)),
      mayPass: (cause) => cause instanceof CliFailure && cause.mayPass,
      pause,
      progress,
      copied: ({ name, bytes }, of, nth) => progress(`${nth} of ${of}: ${name}, ${humanizeSize(bytes)}\n`),
    });
    const finishedAt = new Date(nowMs()).toISOString();
    const manifest: Manifest = { format: 1, cluster, version, startedAt, finishedAt, partitions, files };
    const out = await open(join(work, MANIFEST), 'wx', 0o600);
    try {
      await out.writeFile(manifestText(manifest));
      await out.sync();
    } finally {
      await out.close();
    }
    await nodeFileOperations.syncDirectory(work);
    await giveName(work, to, 'BACKUP_REFUSED');
    return manifest;
  } catch (cause) {
    await rm(work, { recursive: true, force: true });
    throw cause;
  }
}

async function openFile(path: string): Promise<BackupFileWriter> {
  const out = await open(path, 'w', 0o600);
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.length; ) at += (await out.write(bytes, at)).bytesWritten;
    },
    sync: () => out.sync(),
    close: () => out.close(),
  };
}
