import { SluiceError } from '@sluice/common/errors';
import { META_GROUP_ID } from '@sluice/meta/meta-group';
import { type BackupFile, fileNameOf, GroupCounter } from '@sluice/storage/backup-file';
import { readBackup } from '@sluice/storage/backup-format';

/** Where groups come from, and where their bytes go. */
export interface BackupCopyOptions {
  partitions: number;
  /** A group's bytes as they are asked for. */
  read(group: number): Promise<AsyncIterable<Uint8Array>>;
  /** A file of that name without anything in it, whatever was there. */
  open(name: string): Promise<BackupFileWriter>;
  /** What was thrown is over when a leader has moved, or a node is back. */
  mayPass(cause: unknown): boolean;
  pause(ms: number): Promise<void>;
  progress(text: string): void;
  /** A file is complete. */
  copied(file: BackupFile, ofFiles: number, nth: number): void;
}

export interface BackupFileWriter {
  write(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A leader moves, a node restarts: what broke is read anew, so often. */
const ATTEMPTS = 5;
const PAUSE_MS = 2_000;

/**
 * Reads a cluster, group after group, checked as it comes. The metadata is last: what it knows of is then at least what is in
 * the partitions. Memory holds a block; a disk that is slow slows the reading.
 */
export async function copyGroups(options: BackupCopyOptions): Promise<BackupFile[]> {
  const { partitions, copied } = options;
  const files: BackupFile[] = [];
  const groups = [...Array.from({ length: partitions }, (_, at) => at + 1), META_GROUP_ID];
  for (const group of groups) {
    const file = await copyPatiently(options, group);
    files.push(file);
    copied(file, groups.length, files.length);
  }
  return files;
}

async function copyPatiently(options: BackupCopyOptions, group: number): Promise<BackupFile> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await copyOne(options, group);
    } catch (cause) {
      const isBroken = cause instanceof SluiceError && cause.code === 'BACKUP_DAMAGED';
      if (!(isBroken || options.mayPass(cause)) || attempt === ATTEMPTS) throw cause;
      options.progress(`${(cause as Error).message}; again in ${PAUSE_MS / 1000} seconds\n`);
      await options.pause(PAUSE_MS);
    }
  }
}

async function copyOne(options: BackupCopyOptions, group: number): Promise<BackupFile> {
  const counter = new GroupCounter();
  const out = await options.open(fileNameOf(group));
  try {
    const received = counter.through(await options.read(group));
    const written = (async function* () {
      for await (const chunk of received) {
        await out.write(chunk);
        yield chunk;
      }
    })();
    for await (const part of readBackup(written, `the answer for ${fileNameOf(group)}`)) counter.count(part);
    await out.sync();
    return counter.file(group);
  } finally {
    await out.close();
  }
}
