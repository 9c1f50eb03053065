import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { META_GROUP_ID } from '@sluice/meta/meta-group';
import { MetaMachine } from '@sluice/meta/meta-machine';
import { restoredMetadata } from '@sluice/meta/restored-metadata';
import { importGroup } from '@sluice/multiraft/backup/group-import';
import { type NodeStorage, openNodeStorage } from '@sluice/multiraft/disk/node-storage';
import { readResidentRows } from '@sluice/multiraft/replica/group-loader';
import { type BackupHead, type BackupPart, damagedBackup } from '@sluice/storage/backup-format';
import type { KeyValue } from '@sluice/storage/engine';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { openRocksDbEngine } from '@sluice/storage/rocksdb/rocksdb-engine';
import { PartitionMachine, RESIDENT_RANGES } from '@sluice/store/machine/partition-machine';
import { saveIdentity } from '../identity/node-identity.ts';
import { fileOf, type Manifest, type ManifestFile, readGroup, readManifest } from './backup-directory.ts';
import { makeWorkDirectory, mustBeFree } from './free-directory.ts';
import { restoredPartition } from './restored-partition.ts';

type Contents = Exclude<BackupPart, { type: 'head' }>;

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
      ({ nodeId, queues } = await restoreMetadata(storage, from, manifest, identity));
      for (let group = 1; group <= manifest.partitions; group++) {
        const file = fileOf(manifest, group);
        const { head, contents } = await openGroup(from, file);
        await importGroup(storage, nodeId, head, restoredPartition(contents));
        // Rows of a newer version are found now, and not when the node starts.
        PartitionMachine.restore(await readResidentRows(storage, group, RESIDENT_RANGES));
        progress(`partition ${group} of ${manifest.partitions}: ${file.rows} rows, ${file.entries} entries\n`);
      }
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

/** The whole image is small, and read before it is written: nodes and places in it become others. */
async function restoreMetadata(
  storage: NodeStorage,
  from: string,
  manifest: Manifest,
  identity: { incarnation: string; clusterId: string },
): Promise<{ nodeId: number; queues: number }> {
  const file = fileOf(manifest, META_GROUP_ID);
  const { head, contents } = await openGroup(from, file);
  const rows: KeyValue[] = [];
  for await (const part of contents) if (part.type === 'rows') rows.push(...part.rows);
  const restored = restoredMetadata(rows, identity);
  if (restored === undefined || restored.partitionCount !== manifest.partitions) {
    throw damagedBackup(file.name, 0, `the metadata of a cluster with ${manifest.partitions} partitions`);
  }
  const { queueCount } = MetaMachine.restore(restored.rows);
  await importGroup(storage, restored.nodeId, head, asParts(restored.rows));
  return { nodeId: restored.nodeId, queues: queueCount };
}

async function* asParts(rows: KeyValue[]): AsyncGenerator<Contents> {
  yield { type: 'rows', rows };
}

async function openGroup(
  from: string,
  file: ManifestFile,
): Promise<{ head: BackupHead; contents: AsyncIterable<Contents> }> {
  const parts = readGroup(from, file);
  const first = await parts.next();
  if (first.done || first.value.type !== 'head') throw damagedBackup(file.name, 0, 'one head, at the beginning');
  const { head } = first.value;
  if (head.groupId !== file.group) throw damagedBackup(file.name, 0, `group ${file.group}, not ${head.groupId}`);
  return { head, contents: parts as AsyncIterable<Contents> };
}
