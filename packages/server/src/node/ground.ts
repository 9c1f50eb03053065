import { SluiceError, withHint } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { FIRST_LEVEL, includes, levelUnsupported, SUPPORTED_LEVELS } from '@sluice/meta/feature-levels';
import { makeDirectory, type NodeStorage, openNodeStorage } from '@sluice/multiraft/disk/node-storage';
import { lockDirectory, pidOfDeadOwner } from '@sluice/storage/entry-log/directory-lock';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import type { EntryLog, LogMark } from '@sluice/storage/entry-log-contract';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { openRocksDbEngine } from '@sluice/storage/rocksdb/rocksdb-engine';
import { finishSetAside, setAside } from '@sluice/storage/set-aside';
import { DiskGuard } from '@sluice/store/disk-guard';
import type { ServerConfig } from '../config/config.ts';
import {
  blankIdentity,
  type Member,
  makeIdentity,
  type NodeIdentity,
  readIdentity,
  saveIdentity,
} from '../identity/node-identity.ts';

/**
 * What a node stands on: its data directory, who that is, and for stores and coordinators what is stored in it.
 *
 * A log that is damaged as a whole leaves two ways. Alone, the node refuses to start: a human decides what to do with the
 * only copy. Where every message has other copies, the node sets its data aside and starts blank, hence as somebody new:
 * the cluster gives it what the old one had. Repairing under the old id would be a vote of somebody who forgot.
 */
export interface Ground {
  readonly directory: string;
  readonly identity: NodeIdentity;
  /** Undefined for a gateway alone. */
  readonly storage: NodeStorage | undefined;
  /** Data of a time when nodes had no identity: it was alone, and was number one. */
  readonly wasAlone: boolean;
  /** Durable when it resolves. */
  become(member: Member): Promise<void>;
  /** The directory is nobody's any more. Durable when it resolves; for who keeps nothing in it. */
  forget(): Promise<void>;
  close(): Promise<void>;
}

export async function openGround(config: ServerConfig, logger: Logger, metrics: Metrics): Promise<Ground> {
  const directory = config.node.dataDirectory;
  const pid = await pidOfDeadOwner(directory);
  if (pid !== undefined) {
    logger.warn({ pid }, 'this node was not stopped the last time: it was killed, or crashed, or the power was lost');
  }
  const keepsData = config.node.roles.has('store') || config.node.roles.has('coordinator');
  if (!keepsData) {
    await makeDirectory(nodeFileOperations, directory);
    const lock = await lockDirectory(directory);
    return ground(
      directory,
      (await readIdentity(directory)) ?? (await makeIdentity(directory)),
      undefined,
      lock.release,
    );
  }
  await DiskGuard.makeRoomToStart(directory, logger);
  // Before anything here is believed: half set aside, it would be an identity without its log.
  await finishSetAside(directory);
  let identity = await readIdentity(directory);
  mustSupportLevel(identity);
  const hasOtherCopies = (identity?.member?.copies ?? 1) > 1;
  let storage: NodeStorage;
  try {
    storage = await openStorage(config, hasOtherCopies, logger, metrics);
  } catch (cause) {
    if (!hasOtherCopies || !(cause instanceof SluiceError) || !WHOLE_LOG.has(cause.code)) throw cause;
    const aside = await setAside(directory);
    logger.error(
      { err: cause, aside },
      'the data of this node is damaged: it is set aside, and the node joins as a new one that gets everything from its peers',
    );
    identity = undefined;
    storage = await openStorage(config, false, logger, metrics);
  }
  for (const [group, cause] of storage.impaired) {
    logger.error(
      { group, reason: withHint(cause) },
      'a replica cannot be trusted: it waits to be made anew by its peers',
    );
  }
  return ground(directory, identity ?? (await makeIdentity(directory)), storage, () => storage.close());
}

/** Before anything is read that may be of a form this build does not know. */
function mustSupportLevel(identity: NodeIdentity | undefined): void {
  const level = identity?.member?.featureLevel ?? FIRST_LEVEL.level;
  if (!includes(SUPPORTED_LEVELS, level)) throw levelUnsupported(level, SUPPORTED_LEVELS);
}

/** What says that the log as a whole cannot be believed, rather than one replica in it. */
const WHOLE_LOG: ReadonlySet<string> = new Set(['ENTRY_LOG_DAMAGED', 'STATE_UNRECOVERABLE']);

function ground(
  directory: string,
  identity: NodeIdentity,
  storage: NodeStorage | undefined,
  close: () => Promise<void>,
): Ground {
  let saved = Promise.resolve();
  const save = (): Promise<void> => {
    // One after the other: they write the same file.
    const saving = saved.then(() => saveIdentity(directory, identity));
    saved = saving.catch(() => {});
    return saving;
  };
  return {
    directory,
    identity,
    storage,
    wasAlone: identity.member === undefined && storage !== undefined && storage.entryLog.groups.size > 0,
    become(member) {
      identity.member = member;
      return save();
    },
    forget() {
      Object.assign(identity, blankIdentity());
      return save();
    },
    close,
  };
}

function openStorage(
  config: ServerConfig,
  impairUnrecoverable: boolean,
  logger: Logger,
  metrics: Metrics,
): Promise<NodeStorage> {
  return openNodeStorage({
    directory: config.node.dataDirectory,
    logger,
    metrics,
    openEngine: (directory) => openRocksDbEngine(directory, metrics),
    openEntryLog: (directory, durableMark) => openLog(config, directory, durableMark, logger, metrics),
    impairUnrecoverable,
  });
}

/** Opens the entry log; with `storage.logVerify: full` every byte of it is read before the node serves. */
async function openLog(
  config: ServerConfig,
  directory: string,
  durableMark: LogMark | undefined,
  logger: Logger,
  metrics: Metrics,
): Promise<EntryLog> {
  const { segmentBytes, sync, logVerify } = config.storage;
  const entryLog = await openEntryLog({ directory, durableMark, logger, metrics, segmentBytes, sync });
  if (logVerify === 'tail') return entryLog;
  try {
    await entryLog.verify();
    logger.info({ bytes: entryLog.diskBytes }, 'the entry log was read and verified to its end');
    return entryLog;
  } catch (cause) {
    await entryLog.close();
    throw cause;
  }
}
