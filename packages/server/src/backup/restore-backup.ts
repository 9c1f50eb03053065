import { randomUUID } from 'node:crypto';
import { readdir, rm, rmdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { openNodeStorage } from '@sluice/multiraft/disk/node-storage';
import { type DirectoryLock, lockDirectory } from '@sluice/storage/entry-log/directory-lock';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { errorCode } from '@sluice/storage/files/file-operations';
import { openRocksDbEngine } from '@sluice/storage/rocksdb/rocksdb-engine';
import { restoreGroups } from '@sluice/store/backup/restore-groups';
import { saveIdentity } from '../identity/node-identity.ts';
import { fileOf, type Manifest, readGroup, readManifest } from './backup-directory.ts';
import { giveName, makeWorkDirectory, mustBeFree } from './free-directory.ts';

/**
 * Makes the data directory of a node out of a backup: started, the node is a cluster that has what the backup has, and
 * others join it as they join any.
 *
 * Loading into a cluster that runs would be the obvious answer, and would have to keep clients away, replace logs that a
 * majority has voted on, and be finished or undone when anything fails on the way. A directory that gets its name when it
 * is complete is there or is not.
 *
 * One process at a time works for a directory; what one left that was killed goes with the next. Where processes do not see
 * each other, as in two containers, one takes the other's work away: so it has a name that is this run's alone.
 */
export async function restoreBackup(options: {
  from: string;
  /** The data directory to be. */
  to: string;
  logger: Logger;
  metrics: Metrics;
  progress: (text: string) => void;
}): Promise<{ manifest: Manifest; clusterId: string; queues: number }> {
  const { from, logger, metrics, progress } = options;
  const to = resolve(options.to);
  const manifest = await readManifest(from);
  await mustBeFree(to, 'RESTORE_REFUSED');
  const works = `${to}.restoring`;
  const lock = await lockWorks(works, to);
  const work = join(works, randomUUID());
  const identity = { incarnation: randomUUID(), clusterId: randomUUID() };
  let nodeId: number;
  let queues: number;
  try {
    for (const left of await readdir(works)) {
      if (!left.startsWith('LOCK-')) await rm(join(works, left), { recursive: true });
    }
    const storage = await openNodeStorage({
      directory: work,
      logger,
      metrics,
      openEngine: (directory) => openRocksDbEngine(directory, metrics),
      openEntryLog: (directory, durableMark) => openEntryLog({ directory, durableMark, logger, metrics }),
    });
    try {
      ({ nodeId, queues } = await restoreGroups({
        storage,
        partitions: manifest.partitions,
        read: (group) => readGroup(from, fileOf(manifest, group)),
        identity,
        restored: (partition) => {
          const { rows, entries } = fileOf(manifest, partition);
          progress(`partition ${partition} of ${manifest.partitions}: ${rows} rows, ${entries} entries\n`);
        },
      }));
    } finally {
      await storage.close();
    }
    const { incarnation, clusterId } = identity;
    const coordinators = [{ nodeId, address: '' }];
    await saveIdentity(work, { incarnation, member: { nodeId, clusterId, foundedWith: [], copies: 1, coordinators } });
    await giveName(work, to, 'RESTORE_REFUSED');
  } finally {
    await rm(work, { recursive: true, force: true });
    await lock.release();
    await rmdir(works).catch((cause: unknown) => {
      // Another one has begun.
      if (!['ENOTEMPTY', 'ENOENT'].includes(errorCode(cause))) throw cause;
    });
  }
  return { manifest, clusterId: identity.clusterId, queues };
}

async function lockWorks(works: string, to: string): Promise<DirectoryLock> {
  await makeWorkDirectory(works, 'RESTORE_REFUSED');
  try {
    return await lockDirectory(works);
  } catch (cause) {
    if (!(cause instanceof SluiceError) || cause.code !== 'DIRECTORY_LOCKED') throw cause;
    const hint = 'wait until it is done, or name another directory';
    throw new SluiceError('RESTORE_REFUSED', `another restore makes ${to} just now`, { hint, cause });
  }
}
