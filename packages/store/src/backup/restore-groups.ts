import { META_GROUP_ID } from '@sluice/meta/meta-group';
import { MetaMachine } from '@sluice/meta/meta-machine';
import { restoredMetadata } from '@sluice/meta/restored-metadata';
import { importGroup } from '@sluice/multiraft/backup/group-import';
import type { NodeStorage } from '@sluice/multiraft/disk/node-storage';
import { readResidentRows } from '@sluice/multiraft/replica/group-loader';
import { fileNameOf } from '@sluice/storage/backup-file';
import { type BackupContents, type BackupHead, type BackupPart, damagedBackup } from '@sluice/storage/backup-format';
import type { KeyValue } from '@sluice/storage/engine';
import { PartitionMachine, RESIDENT_RANGES } from '../machine/partition-machine.ts';
import { restoredPartition } from './restored-partition.ts';

export interface RestoreOptions {
  /** Of a node that does not run and has nothing. */
  storage: NodeStorage;
  partitions: number;
  /** A group of the backup, part by part; throws unless it is what the backup says. */
  read(group: number): AsyncGenerator<BackupPart>;
  /** Of the cluster that it becomes, and of its first node. */
  identity: { incarnation: string; clusterId: string };
  /** A partition is in. */
  restored(partition: number): void;
  /** What the disk has room for; undefined: as the system says. */
  freeBytes?: () => Promise<number>;
}

/** Puts the groups of a backup into the storage of the node that the cluster begins with. */
export async function restoreGroups(options: RestoreOptions): Promise<{ nodeId: number; queues: number }> {
  const { storage, partitions, restored, freeBytes } = options;
  const { nodeId, queues } = await restoreMetadata(options);
  for (let group = 1; group <= partitions; group++) {
    const { head, contents } = await openGroup(options, group);
    await importGroup(storage, nodeId, head, restoredPartition(contents), freeBytes);
    // Rows of a newer version are found now, and not when the node starts.
    PartitionMachine.restore(await readResidentRows(storage, group, RESIDENT_RANGES));
    restored(group);
  }
  return { nodeId, queues };
}

/** The whole image is small, and read before it is written: nodes and places in it become others. */
async function restoreMetadata(options: RestoreOptions): Promise<{ nodeId: number; queues: number }> {
  const { storage, partitions, identity, freeBytes } = options;
  const { head, contents } = await openGroup(options, META_GROUP_ID);
  const rows: KeyValue[] = [];
  for await (const part of contents) if (part.type === 'rows') rows.push(...part.rows);
  const metadata = restoredMetadata(rows, identity);
  if (metadata === undefined || metadata.partitionCount !== partitions) {
    throw damagedBackup(fileNameOf(META_GROUP_ID), 0, `the metadata of a cluster with ${partitions} partitions`);
  }
  const { queueCount } = MetaMachine.restore(metadata.rows);
  await importGroup(storage, metadata.nodeId, head, asParts(metadata.rows), freeBytes);
  return { nodeId: metadata.nodeId, queues: queueCount };
}

async function* asParts(rows: KeyValue[]): AsyncGenerator<BackupContents> {
  yield { type: 'rows', rows };
}

async function openGroup(
  { read }: RestoreOptions,
  group: number,
): Promise<{ head: BackupHead; contents: AsyncIterable<BackupContents> }> {
  const parts = read(group);
  const first = await parts.next();
  if (first.done || first.value.type !== 'head')
    throw damagedBackup(fileNameOf(group), 0, 'one head, at the beginning');
  const { head } = first.value;
  if (head.groupId !== group) throw damagedBackup(fileNameOf(group), 0, `group ${group}, not ${head.groupId}`);
  return { head, contents: parts as AsyncIterable<BackupContents> };
}
