import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { openNodeStorage } from '@sluice/multiraft/disk/node-storage';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { openRocksDbEngine } from '@sluice/storage/rocksdb/rocksdb-engine';
import { restoreGroups } from '@sluice/store/backup/restore-groups';
import { saveIdentity } from '../identity/node-identity.ts';
import { fileOf, type Manifest, readGroup, readManifest } from './backup-directory.ts';
import { makeWorkDirectory, mustBeFree } from './free-directory.ts';

/**
 * Makes the data directory of a node out of a backup: started, the node is a cluster that has what the backup has, and
 * others join it as they join any.
 *
 * Loading into a cluster that runs would be the obvious answer, and would have to keep clients away, replace logs that a
 * majority has voted on, and be finished or undone when anything fails on the way. A directory that gets its name when it
 * is complete is there or is not.
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
  const work = `${to}.restoring`;
  await rm(work, { recursive: true, force: true });
  await makeWorkDirectory(dirname(work), 'RESTORE_REFUSED');
  const identity = { incarnation: randomUUID(), clusterId: randomUUID() };
  let nodeId: number;
  let queues: number;
  try {
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
    await mustBeFree(to, 'RESTORE_REFUSED');
    await rename(work, to);
    await nodeFileOperations.syncDirectory(dirname(to));
  } catch (cause) {
    await rm(work, { recursive: true, force: true });
    throw cause;
  }
  return { manifest, clusterId: identity.clusterId, queues };
}
