import { join } from 'node:path';
import { mkdir, rm } from 'node:fs/promises';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { Engine, KeyValueWrite } from '@sluice/storage/engine';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { listImages, readImage } from '@sluice/storage/image-file';
import {
  appliedKey,
  cleanKey,
  decodeApplied,
  decodeJournal,
  decodeLogMark,
  encodeApplied,
  groupKey,
  groupRange,
  HOST_GROUP,
  JOURNAL_SLOTS,
  journalRange,
  type LogMark,
  logMarkKey,
} from './keyspace.ts';

/**
 * The two stores of a node, brought to agree before anything runs.
 *
 * The entry log is the truth; the engine is derived from it and may be behind (its writes are not synced), damaged, or
 * gone. What must never happen is an engine that looks whole and is not: after an unclean stop the ring of batch
 * numbers shows a batch missing in the middle, and then the engine is made anew from the newest images and the entries
 * after them. An engine that is behind the front of the log (its entries were given back) starts from an image as well.
 */
export interface NodeStorage {
  readonly directory: string;
  readonly imageDirectory: string;
  readonly engine: Engine;
  readonly entryLog: EntryLog;
  /** Number of the last batch in the engine. */
  readonly batchSequence: number;
  close(): Promise<void>;
}

export interface NodeStorageOptions {
  directory: string;
  logger: Logger;
  metrics: Metrics;
  openEngine(directory: string): Promise<Engine>;
  openEntryLog(directory: string, durableMark: LogMark | undefined): Promise<EntryLog>;
}

export async function openNodeStorage(options: NodeStorageOptions): Promise<NodeStorage> {
  const stateDirectory = join(options.directory, 'state');
  const logDirectory = join(options.directory, 'log');
  const imageDirectory = join(options.directory, 'images');
  for (const directory of [options.directory, logDirectory, imageDirectory]) await mkdir(directory, { recursive: true });

  const derived = await openDerived(stateDirectory, options);
  let entryLog: EntryLog;
  try {
    entryLog = await options.openEntryLog(logDirectory, derived.logMark);
  } catch (cause) {
    await derived.engine.close();
    throw cause;
  }
  const storage = {
    directory: options.directory,
    imageDirectory,
    engine: derived.engine,
    entryLog,
    batchSequence: derived.batchSequence,
    async close(): Promise<void> {
      await entryLog.close();
      await derived.engine.close();
    },
  };
  try {
    for (const group of entryLog.groups.values()) {
      await coverLogStart(storage, group.groupId, group.firstIndex, options.logger);
    }
  } catch (cause) {
    await storage.close();
    throw cause;
  }
  return storage;
}

interface Derived {
  engine: Engine;
  logMark: LogMark | undefined;
  batchSequence: number;
}

/** Opens the engine if it can be trusted, otherwise makes an empty one, to be filled from images and the log. */
async function openDerived(directory: string, options: NodeStorageOptions): Promise<Derived> {
  try {
    const engine = await options.openEngine(directory);
    const problem = await findHole(engine);
    if (problem === undefined) {
      const mark = await engine.get(logMarkKey);
      return {
        engine,
        logMark: mark === undefined ? undefined : decodeLogMark(mark),
        batchSequence: await takeCleanMark(engine),
      };
    }
    options.logger.warn({ directory, problem }, 'the derived state is incomplete: rebuilding it from the entry log');
    await engine.close();
  } catch (cause) {
    if (!(cause instanceof SluiceError) || cause.code !== 'STATE_DAMAGED') throw cause;
    options.logger.warn({ err: cause, directory }, 'the derived state is damaged: rebuilding it from the entry log');
  }
  await rm(directory, { recursive: true, force: true });
  return { engine: await options.openEngine(directory), logMark: undefined, batchSequence: 0 };
}

/** Says which batch is missing, if one is. Nothing is checked after an orderly stop. */
async function findHole(engine: Engine): Promise<string | undefined> {
  if ((await engine.get(cleanKey)) !== undefined) return undefined;
  const rows = await engine.scan(journalRange.from, journalRange.to, JOURNAL_SLOTS);
  let newest = 0;
  const present = new Set<number>();
  for (const row of rows) {
    const sequence = decodeJournal(row.value);
    present.add(sequence);
    if (sequence > newest) newest = sequence;
  }
  for (let sequence = Math.max(1, newest - JOURNAL_SLOTS + 1); sequence <= newest; sequence++) {
    if (!present.has(sequence)) return `batch ${sequence} of ${newest} is missing`;
  }
  return undefined;
}

/** The number of the last batch; the clean mark goes, so that a crash from here on is recognised. */
async function takeCleanMark(engine: Engine): Promise<number> {
  const rows = await engine.scan(journalRange.from, journalRange.to, JOURNAL_SLOTS);
  let newest = 0;
  for (const row of rows) newest = Math.max(newest, decodeJournal(row.value));
  if ((await engine.get(cleanKey)) !== undefined) {
    await engine.write([{ key: cleanKey, value: undefined }], { sync: true });
  }
  return newest;
}

/** Loads an image when the engine's state of a group ends before the log begins. */
async function coverLogStart(
  storage: { engine: Engine; imageDirectory: string },
  groupId: number,
  firstIndex: number,
  logger: Logger,
): Promise<void> {
  const value = await storage.engine.get(appliedKey(groupId));
  const applied = value === undefined ? 0 : decodeApplied(value).index;
  if (applied >= firstIndex - 1) return;
  const images = (await listImages(storage.imageDirectory))
    .filter((image) => image.groupId === groupId && image.index >= firstIndex - 1)
    .sort((a, b) => b.index - a.index);
  for (const image of images) {
    try {
      await loadImage(storage.engine, groupId, image.path);
      logger.info({ group: groupId, index: image.index }, 'state restored from an image');
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

async function loadImage(engine: Engine, groupId: number, path: string): Promise<void> {
  assertGroup(groupId);
  const range = groupRange(groupId);
  await engine.clearRange(range.from, range.to);
  const image = await readImage(path);
  for await (const chunk of image.chunks) {
    const writes: KeyValueWrite[] = chunk.map(({ key, value }) => ({ key: groupKey(groupId, key), value }));
    await engine.write(writes, { sync: false });
  }
  const { index, term } = image.header;
  await engine.write([{ key: appliedKey(groupId), value: encodeApplied({ index, term }) }], { sync: true });
}

function assertGroup(groupId: number): void {
  if (groupId < HOST_GROUP) return;
  throw new SluiceError('GROUP_INVALID', `group ${groupId} is reserved`);
}
