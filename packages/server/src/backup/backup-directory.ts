import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import {
  type BackupHead,
  type BackupPart,
  damagedBackup,
  newerBackup,
  readBackup,
} from '@sluice/storage/backup-format';

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
  files: readonly ManifestFile[];
}

export interface ManifestFile {
  name: string;
  /** 0: the metadata. */
  group: number;
  /** As of which entry of the group's log. */
  index: number;
  term: number;
  bytes: number;
  sha256: string;
  rows: number;
  entries: number;
}

export const MANIFEST = 'manifest.json';
const FORMAT = 1;

export function fileNameOf(group: number): string {
  return group === 0 ? 'metadata.group' : `partition-${group}.group`;
}

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
export function fileOf({ files }: Manifest, group: number): ManifestFile {
  const file = files.find((one) => one.group === group && one.name === fileNameOf(group));
  if (file === undefined) throw damagedBackup(MANIFEST, 0, `a file for group ${group}`);
  return file;
}

/**
 * A file of a backup, part by part; that it is what the manifest says is known when the iteration ends.
 *
 * @throws SluiceError `BACKUP_DAMAGED`, `BACKUP_NEWER`
 */
export async function* readGroup(directory: string, file: ManifestFile): AsyncGenerator<BackupPart> {
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

/** What the manifest says of a file, gathered while its bytes pass. */
export class GroupCounter {
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #head: BackupHead = { groupId: 0, index: 0, term: 0 };
  #rows = 0;
  #entries = 0;

  get bytes(): number {
    return this.#bytes;
  }

  async *through(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.#hash.update(chunk);
      this.#bytes += chunk.length;
      yield chunk;
    }
  }

  count(part: BackupPart): void {
    if (part.type === 'head') this.#head = part.head;
    else if (part.type === 'rows') this.#rows += part.rows.length;
    else this.#entries += part.entries.length;
  }

  /** To be asked once. @throws SluiceError `BACKUP_DAMAGED` when it is of another group */
  file(group: number): ManifestFile {
    const { groupId, index, term } = this.#head;
    const name = fileNameOf(group);
    if (groupId !== group) throw damagedBackup(name, 0, `group ${group}, not ${groupId}`);
    const sha256 = this.#hash.digest('hex');
    return { name, group, index, term, bytes: this.#bytes, sha256, rows: this.#rows, entries: this.#entries };
  }
}

function sumOf({ format, cluster, version, startedAt, finishedAt, partitions, files }: Manifest): string {
  const said = { format, cluster, version, startedAt, finishedAt, partitions, files };
  return createHash('sha256').update(JSON.stringify(said)).digest('hex');
}
