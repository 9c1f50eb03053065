import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import { type BackupFile, fileNameOf, GroupCounter } from '@sluice/storage/backup-file';
import { type BackupPart, damagedBackup, newerBackup, readBackup } from '@sluice/storage/backup-format';

/**
 * A backup on a disk: a directory with a file a group and a manifest that names them all.
 *
 *     manifest.json       who, when, which version, and of each file its size, its SHA-256, what it holds
 *     metadata.group      queues, users, rules, bans, settings
 *     partition-N.group   messages, sessions, retained messages, what is settled of them
 *
 * The directory has another name until all of it is durable, so one of this name is whole or was damaged later. What a
 * file says of itself (block sums, counts) finds damage where it is; the manifest finds files that were exchanged.
 */
export interface Manifest {
  format: 1;
  cluster: string;
  /** Of the Sluice that gave it. */
  version: string;
  startedAt: string;
  finishedAt: string;
  partitions: number;
  files: readonly BackupFile[];
}

export const MANIFEST = 'manifest.json';
const FORMAT = 1;

/** With a sum over itself: one changed digit must not pass for another backup. */
export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify({ ...manifest, sha256: sumOf(manifest) }, undefined, 2)}\n`;
}

/** @throws SluiceError `BACKUP_MISSING`, `BACKUP_DAMAGED`, `BACKUP_NEWER` */
export async function readManifest(directory: string): Promise<Manifest> {
  const path = join(directory, MANIFEST);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new SluiceError('BACKUP_MISSING', `${path} cannot be read: ${(cause as Error).message}`, {
      hint: 'name the directory that sluice backup made; one that ends in .incomplete was interrupted and is none',
      cause,
    });
  }
  let manifest: Manifest & { sha256: string };
  try {
    manifest = JSON.parse(text) as Manifest & { sha256: string };
  } catch {
    throw damagedBackup(path, 0, 'a manifest');
  }
  if (typeof manifest?.format === 'number' && manifest.format > FORMAT) throw newerBackup(path);
  const { sha256, ...rest } = manifest;
  if (manifest.format !== FORMAT || sha256 !== sumOf(rest))
    throw damagedBackup(path, 0, 'a manifest with its checksum');
  for (let group = 0; group <= manifest.partitions; group++) fileOf(manifest, group);
  return rest;
}

/** @throws SluiceError `BACKUP_DAMAGED` when the manifest lacks it */
export function fileOf({ files }: Manifest, group: number): BackupFile {
  const file = files.find((one) => one.group === group && one.name === fileNameOf(group));
  if (file === undefined) throw damagedBackup(MANIFEST, 0, `a file for group ${group}`);
  return file;
}

/**
 * A file of a backup, part by part; that it is what the manifest says is known when the iteration ends.
 *
 * @throws SluiceError `BACKUP_DAMAGED`, `BACKUP_NEWER`
 */
export async function* readGroup(directory: string, file: BackupFile): AsyncGenerator<BackupPart> {
  const path = join(directory, file.name);
  const size = await stat(path).then(
    (found) => found.size,
    (cause: Error) => {
      throw damagedBackup(path, 0, `a file that can be read: ${cause.message}`);
    },
  );
  if (size !== file.bytes) throw damagedBackup(path, Math.min(size, file.bytes), `${file.bytes} bytes, not ${size}`);
  const counter = new GroupCounter();
  for await (const part of readBackup(counter.through(createReadStream(path, { highWaterMark: CHUNK_BYTES })), path)) {
    counter.count(part);
    yield part;
  }
  const found = counter.file(file.group);
  if (JSON.stringify(found) !== JSON.stringify(file)) throw damagedBackup(path, size, 'what the manifest says of it');
}

const CHUNK_BYTES = 1024 * 1024;

function sumOf({ format, cluster, version, startedAt, finishedAt, partitions, files }: Manifest): string {
  const said = { format, cluster, version, startedAt, finishedAt, partitions, files };
  return createHash('sha256').update(JSON.stringify(said)).digest('hex');
}
