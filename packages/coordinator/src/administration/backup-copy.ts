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

/**
 * A leader moves, a node restarts: what broke is read anew, after these pauses. All together they are longer than a store takes
 * a reading for one under way that nobody asks any more, as it does when the node between it and us is gone
 * (`ExportService.IDLE_MS`).
 */
const PAUSES_MS = [2_000, 4_000, 8_000, 16_000, 32_000] as const;

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
  for (let attempt = 0; ; attempt++) {
    try {
      return await copyOne(options, group);
    } catch (cause) {
      const isBroken = cause instanceof SluiceError && cause.code === 'BACKUP_DAMAGED';
      const pauseMs = PAUSES_MS[attempt];
      if (!(isBroken || options.mayPass(cause)) || pauseMs === undefined) throw cause;
      options.progress(`${(cause as Error).message}; again in ${pauseMs / 1000} seconds\n`);
      await options.pause(pauseMs);
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
