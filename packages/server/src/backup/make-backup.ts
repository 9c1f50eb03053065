import { open, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { CliFailure } from '@sluice/admin/cli-failure';
import { type Connection, callApi, streamApi } from '@sluice/admin/rest-client';
import { SluiceError } from '@sluice/common/errors';
import { humanizeSize } from '@sluice/common/human-size';
import { readBackup } from '@sluice/storage/backup-format';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import {
  fileNameOf,
  GroupCounter,
  MANIFEST,
  type Manifest,
  type ManifestFile,
  manifestText,
} from './backup-directory.ts';
import { makeWorkDirectory, mustBeFree } from './free-directory.ts';

interface Description {
  cluster: string;
  version: string;
  partitions: number;
}

/** A leader moves, a node restarts: what broke is read anew, so often. */
const ATTEMPTS = 5;
const PAUSE_MS = 2_000;

/**
 * Reads a cluster into `to`, group after group, checked as it comes. The metadata is last: what it knows of is then at least
 * what is in the partitions. Memory holds a block; a disk that is slow slows the reading.
 */
export async function makeBackup(options: {
  connection: Connection;
  to: string;
  nowMs: () => number;
  pause: (ms: number) => Promise<void>;
  progress: (text: string) => void;
}): Promise<Manifest> {
  const { connection, progress, nowMs } = options;
  const to = resolve(options.to);
  await mustBeFree(to, 'BACKUP_REFUSED');
  const startedAt = new Date(nowMs()).toISOString();
  const { cluster, version, partitions } = (await callApi(connection, 'GET', '/api/v5/backup')) as Description;
  const work = `${to}.incomplete`;
  await rm(work, { recursive: true, force: true });
  await makeWorkDirectory(work, 'BACKUP_REFUSED');
  const files: ManifestFile[] = [];
  const groups = [...Array.from({ length: partitions }, (_, at) => at + 1), 0];
  for (const [at, group] of groups.entries()) {
    const file = await readPatiently(options, work, group);
    files.push(file);
    progress(`${at + 1} of ${groups.length}: ${file.name}, ${humanizeSize(file.bytes)}\n`);
  }
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
  await mustBeFree(to, 'BACKUP_REFUSED');
  await rename(work, to);
  await nodeFileOperations.syncDirectory(dirname(to));
  return manifest;
}

async function readPatiently(
  options: Parameters<typeof makeBackup>[0],
  work: string,
  group: number,
): Promise<ManifestFile> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOne(options.connection, work, group);
    } catch (cause) {
      const mayPass =
        (cause instanceof CliFailure && cause.mayPass) ||
        (cause instanceof SluiceError && cause.code === 'BACKUP_DAMAGED');
      if (!mayPass || attempt === ATTEMPTS) throw cause;
      options.progress(`${(cause as Error).message}; again in ${PAUSE_MS / 1000} seconds\n`);
      await options.pause(PAUSE_MS);
    }
  }
}

async function readOne(connection: Connection, work: string, group: number): Promise<ManifestFile> {
  const path = group === 0 ? '/api/v5/backup/metadata' : `/api/v5/backup/partitions/${group}`;
  const counter = new GroupCounter();
  const out = await open(join(work, fileNameOf(group)), 'w', 0o600);
  try {
    const received = counter.through(await streamApi(connection, path));
    const written = (async function* () {
      for await (const chunk of received) {
        for (let at = 0; at < chunk.length; ) at += (await out.write(chunk, at)).bytesWritten;
        yield chunk;
      }
    })();
    for await (const part of readBackup(written, `the answer to ${path}`)) counter.count(part);
    await out.sync();
    return counter.file(group);
  } finally {
    await out.close();
  }
}
