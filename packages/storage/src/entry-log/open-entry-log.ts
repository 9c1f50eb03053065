import { endianness } from 'node:os';
import { assert } from '@sluice/common/assert';
import { type Clock, systemClock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { EntryLog, LogMark } from '../entry-log-contract.ts';
import type { FileOperations } from '../files/file-operations.ts';
import { nodeFileOperations } from '../files/node-file-operations.ts';
import { type LockDirectory, lockDirectory } from './directory-lock.ts';
import { logMetrics } from './log-metrics.ts';
import { LogWriter } from './log-writer.ts';
import { recover } from './recovery/recover.ts';
import { type MakeSalt, randomSalt } from './segment/active-segment.ts';
import { SegmentFiles } from './segment/segment-files.ts';
import { SpareSegments } from './segment/spare-segments.ts';
import { SegmentLog } from './segment-log.ts';
import { SpaceReserve } from './space-reserve.ts';

export interface EntryLogOptions {
  directory: string;
  logger: Logger;
  metrics: Metrics;
  /** A segment is sealed before it would grow beyond this; one larger frame has a segment of its own. Default 64 MiB. */
  segmentBytes?: number;
  /** Tests only: false loses acknowledged entries with the power. */
  sync?: boolean;
  /** What `mark` said after the last acknowledged append, from a second place. An end before it is damage, not torn. */
  durableMark?: LogMark | undefined;
  files?: FileOperations;
  /** With another `files`, what is real must be given anew: a simulation has neither processes nor chance of its own. */
  lock?: LockDirectory;
  clock?: Clock;
  salt?: MakeSalt;
}

const SEGMENT_BYTES = 64 * 1024 * 1024;
/** Positions are 32-bit, and a frame of up to a gigabyte may follow. */
const SEGMENT_BYTES_MAX = 1024 * 1024 * 1024;

/**
 * @throws SluiceError `ENTRY_LOG_DAMAGED` when something that may have been acknowledged is not there any more, naming
 * file and offset; `DIRECTORY_LOCKED` with the pid of the process that uses it
 */
export async function openEntryLog(options: EntryLogOptions): Promise<EntryLog> {
  const { directory, logger, metrics, segmentBytes = SEGMENT_BYTES, sync = true, durableMark } = options;
  const { files = nodeFileOperations, clock = systemClock, salt = randomSalt } = options;
  assert(segmentBytes <= SEGMENT_BYTES_MAX, 'positions inside a segment are 32-bit');
  assert(endianness() === 'LE', 'segment indexes are memory of little-endian machines');
  if (!sync) logger.warn({ directory }, 'THE ENTRY LOG IS NOT SYNCED: acknowledged messages are lost with the power');
  await files.makeDirectory(directory);
  const lock = await (options.lock ?? lockDirectory)(directory);
  try {
    const found = await recover({ files, directory, logger, sync, salt, durableMark });
    const segmentFiles = new SegmentFiles(files, directory);
    const settings = { files, directory, segmentBytes, sync, salt, logger, clock, metrics: logMetrics(metrics) };
    const spares = new SpareSegments(files, directory);
    const writer = new LogWriter(settings, segmentFiles, spares, found.active, found.sequence);
    const { sealed, groups, leftovers } = found;
    const diskGauge = settings.metrics.diskBytes;
    const reserve = new SpaceReserve(files, directory);
    await reserve.fill();
    const parts = {
      reserve,
      spares,
      segmentBytes,
      files,
      logger,
      metrics,
      directory,
      lock,
      writer,
      segmentFiles,
      sealed,
      groups,
      leftovers,
      diskGauge,
    };
    const log = new SegmentLog(parts);
    diskGauge.set(log.diskBytes);
    return log;
  } catch (error) {
    await lock.release();
    throw error;
  }
}
