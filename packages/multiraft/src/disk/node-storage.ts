import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { decodeMembership } from '@sluice/raft/conf-change';
import type { Engine, KeyValueWrite } from '@sluice/storage/engine';
import { type LockDirectory, lockDirectory } from '@sluice/storage/entry-log/directory-lock';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import type { FileOperations } from '@sluice/storage/files/file-operations';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { GatheringEngine } from '@sluice/storage/gathering-engine';
import { listImages, readImage } from '@sluice/storage/image-file';
import { shortageOf } from '@sluice/storage/shortage';
import { recoverReplicas } from '../snapshot/snapshot-recovery.ts';
import {
  appliedKey,
  decodeApplied,
  decodeLogMark,
  encodeApplied,
  encodeMembershipRow,
  groupKey,
  groupRange,
  HOST_GROUP,
  type LogMark,
  logMarkKey,
  membershipKey,
} from './keyspace.ts';

/**
 * The two stores of a node, brought to agree before anything runs.
 *
 * The entry log is the truth; the engine is derived from it and may be behind (its writes are not synced), damaged, or
 * gone. What must never happen is an engine that looks whole and is not: one that finds a write missing in its middle,
 * or a row that does not match its checksum, is made anew from the newest images and the entries after them. An engine that is behind the front of the log (its entries were given back) starts from an image as well.
 */
export interface NodeStorage {
  readonly directory: string;
  readonly imageDirectory: string;
  /** Through which everything outside of the engine is read and written. */
  readonly files: FileOperations;
  readonly engine: GatheringEngine;
  readonly entryLog: EntryLog;
  /** Replicas whose stored state must not be believed, and why; as found when it was opened. */
  readonly impaired: ReadonlyMap<number, Error>;
  close(): Promise<void>;
}

export interface NodeStorageOptions {
  directory: string;
  logger: Logger;
  metrics: Metrics;
  openEngine(directory: string): Promise<Engine>;
  openEntryLog(directory: string, durableMark: LogMark | undefined): Promise<EntryLog>;
  /**
   * True where the other replicas of a group can make one anew: state that cannot be restored makes that replica
   * impaired, and the node starts. Otherwise the start fails with `STATE_UNRECOVERABLE`.
   */
  impairUnrecoverable?: boolean;
  files?: FileOperations;
  lock?: LockDirectory;
  /** Everything of an engine that cannot be trusted goes. */
  removeEngine?(directory: string): Promise<void>;
}

/** Messages of everybody are in there: for this user only. A directory that exists keeps the mode it was given. */
export async function makeDirectory(files: FileOperations, directory: string): Promise<void> {
  try {
    await files.makeDirectory(directory);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new SluiceError('DATA_DIRECTORY', `the data directory cannot be made: ${message}`, {
      hint: DIRECTORY_HINTS.get(code ?? '') ?? 'choose another directory, for example --data ./data',
      cause,
    });
  }
}

const DIRECTORY_HINTS: ReadonlyMap<string, string> = new Map([
  ['EEXIST', 'a file stands there: choose another directory, or move the file away'],
  ['ENOENT', 'its file system takes no new names: choose another directory, for example --data ./data'],
  ['ENOTDIR', 'a file stands in its path: choose another directory, or move the file away'],
  ['EACCES', 'this user may not write there: choose another directory, or give it to this user'],
  ['EPERM', 'nobody may write there: choose another directory'],
  ['EROFS', 'the file system is read-only: choose another directory'],
  ['ENOSPC', 'the disk is full: make room on it (df, df -i), or choose another directory'],
]);

export async function openNodeStorage(options: NodeStorageOptions): Promise<NodeStorage> {
  const { files = nodeFileOperations, lock: lockWith = lockDirectory } = options;
  const stateDirectory = join(options.directory, 'state');
  const logDirectory = join(options.directory, 'log');
  const imageDirectory = join(options.directory, 'images');
  for (const directory of [options.directory, logDirectory, imageDirectory]) await makeDirectory(files, directory);
  // Names that a killed process gave and did not sync are seen, and acted upon: they must not vanish afterwards.
  for (const directory of [options.directory, imageDirectory]) await files.syncDirectory(directory);

  // First of all: damaged state is removed, and must not be that of a process that lives.
  const lock = await lockWith(options.directory);
  let derived: Derived | undefined;
  let entryLog: EntryLog;
  try {
    derived = await openDerived(stateDirectory, options);
    entryLog = await options.openEntryLog(logDirectory, derived.logMark);
  } catch (cause) {
    await derived?.engine.close();
    await lock.release();
    throw cause;
  }
  const { engine } = derived;
  const impaired = new Map<number, Error>();
  const storage: NodeStorage = {
    directory: options.directory,
    imageDirectory,
    files,
    engine,
    entryLog,
    impaired,
    async close(): Promise<void> {
      await entryLog.close();
      await engine.close();
      await lock.release();
    },
  };
  try {
    for (const [groupId, cause] of await recoverReplicas(storage, options.logger)) impaired.set(groupId, cause);
    for (const { groupId, firstIndex } of entryLog.groups.values()) {
      if (impaired.has(groupId)) continue;
      try {
        await coverLogStart(storage, groupId, firstIndex, options.logger);
      } catch (cause) {
        const tolerated = options.impairUnrecoverable === true && isUnrecoverable(cause);
        if (!tolerated) throw cause;
        impaired.set(groupId, cause as Error);
      }
    }
  } catch (cause) {
    await storage.close();
    throw cause;
  }
  return storage;
}

/** So that the next start has nothing to replay. */
export async function syncState({ engine }: Pick<NodeStorage, 'engine'>, logger: Logger): Promise<void> {
  try {
    await engine.write([], { sync: true });
  } catch (cause) {
    if (shortageOf(cause) === undefined) throw cause;
    logger.warn({ err: cause }, 'the derived state is not synced; the next start replays more');
  }
}

interface Derived {
  engine: GatheringEngine;
  logMark: LogMark | undefined;
}

/** Opens the engine if it can be trusted, otherwise makes an empty one, to be filled from images and the log. */
async function openDerived(directory: string, options: NodeStorageOptions): Promise<Derived> {
  try {
    const engine = new GatheringEngine(await options.openEngine(directory));
    const mark = await engine.get(logMarkKey);
    return { engine, logMark: mark === undefined ? undefined : decodeLogMark(mark) };
  } catch (cause) {
    if (!(cause instanceof SluiceError) || cause.code !== 'STATE_DAMAGED') throw cause;
    options.logger.warn({ err: cause, directory }, 'the derived state is damaged: rebuilding it from the entry log');
  }
  await (options.removeEngine?.(directory) ?? rm(directory, { recursive: true, force: true }));
  return { engine: new GatheringEngine(await options.openEngine(directory)), logMark: undefined };
}

/** Loads an image when the engine's state of a group ends before the log begins. */
async function coverLogStart(
  storage: { engine: Engine; files: FileOperations; imageDirectory: string },
  groupId: number,
  firstIndex: number,
  logger: Logger,
): Promise<void> {
  const value = await storage.engine.get(appliedKey(groupId));
  const applied = value === undefined ? 0 : decodeApplied(value).index;
  if (applied >= firstIndex - 1) return;
  const { images, damaged } = await listImages(storage.imageDirectory, storage.files);
  for (const err of damaged) logger.error({ err }, 'an image is damaged');
  const newestFirst = images
    .filter(({ header }) => header.groupId === groupId && header.index >= firstIndex - 1)
    .sort((a, b) => b.header.index - a.header.index);
  for (const image of newestFirst) {
    try {
      await loadImage(storage, groupId, image.path);
      logger.info({ group: groupId, index: image.header.index }, 'state restored from an image');
      return;
    } catch (cause) {
      if (!(cause instanceof SluiceError) || cause.code !== 'IMAGE_DAMAGED') throw cause;
      logger.error({ err: cause, path: image.path }, 'an image is damaged: trying an older one');
    }
  }
  throw new SluiceError(
    'STATE_UNRECOVERABLE',
    `group ${groupId}: the log begins at index ${firstIndex}, the state ends at ${applied}, and no valid image lies between`,
    { hint: `restore ${storage.imageDirectory} from a backup, or let this node be rebuilt from its peers` },
  );
}

async function loadImage(
  { engine, files }: { engine: Engine; files: FileOperations },
  groupId: number,
  path: string,
): Promise<void> {
  assertGroup(groupId);
  const range = groupRange(groupId);
  await engine.clearRange(range.from, range.to);
  const image = await readImage(path, files);
  for await (const chunk of image.chunks) {
    const writes: KeyValueWrite[] = chunk.map(({ key, value }) => ({ key: groupKey(groupId, key), value }));
    await engine.write(writes, { sync: false });
  }
  const { index, term, meta } = image.header;
  const membership = decodeMembership(meta);
  const known = [
    { key: appliedKey(groupId), value: encodeApplied({ index, term }) },
    { key: membershipKey(groupId), value: encodeMembershipRow({ index, membership }) },
  ];
  await engine.write(known, { sync: true });
}

function isUnrecoverable(cause: unknown): boolean {
  return cause instanceof SluiceError && cause.code === 'STATE_UNRECOVERABLE';
}

function assertGroup(groupId: number): void {
  if (groupId < HOST_GROUP) return;
  throw new SluiceError('GROUP_INVALID', `group ${groupId} is reserved`);
}
