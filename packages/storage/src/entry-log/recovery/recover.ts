import { join } from 'node:path';
import type { Logger } from '@sluice/common/logger';
import type { LogMark } from '../../entry-log-contract.ts';
import { errorCode, type FileOperations, isFullDisk, isOutOfFiles } from '../../files/file-operations.ts';
import { decodeFrameHeader } from '../frame/frame-format.ts';
import type { GroupState } from '../group/group-state.ts';
import { damaged, outOfFiles } from '../log-errors.ts';
import { type ActiveSegment, createSegment, type MakeSalt } from '../segment/active-segment.ts';
import { SealedSegments } from '../segment/sealed-segments.ts';
import {
  decodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  segmentFile,
  segmentIdOf,
  sidecarFile,
} from '../segment/segment-header.ts';
import { type ScanResult, scanSegment } from '../segment/segment-scan.ts';
import { isSpare } from '../segment/spare-segments.ts';
import { rebuildWindow } from './rebuild-window.ts';
import { Replay } from './replay.ts';

export interface RecoverySettings {
  files: FileOperations;
  directory: string;
  logger: Logger;
  sync: boolean;
  salt: MakeSalt;
  durableMark: LogMark | undefined;
}

export interface RecoveredLog {
  active: ActiveSegment;
  sealed: SealedSegments;
  groups: Map<number, GroupState>;
  sequence: number;
  /** Released segments whose files could not be removed. */
  leftovers: number[];
}

/**
 * Opens what is on the disk. Only the newest segment can have a torn end, because the next one is made when all frames
 * before it are durable; and its end counts as torn only when nothing proves that it was complete once: no later frame
 * behind it, and no durable mark beyond it. Everything else is damage, and nothing is cut.
 */
export async function recover(settings: RecoverySettings): Promise<RecoveredLog> {
  const { files, directory, logger, sync, salt, durableMark } = settings;
  const sealed = new SealedSegments(files, directory, logger);
  const segmentIds = await listSegments(settings);
  const newest = segmentIds.pop();
  if (newest === undefined) {
    if (durableMark !== undefined) {
      throw damaged(join(directory, segmentFile(durableMark.segmentId)), 0, 'the segment that was acknowledged last');
    }
    const empty = { groups: [], sealed: [], leftovers: [] };
    const active = await createSegment(files, directory, 1, 0, empty, sync, salt);
    return { active, sealed, groups: new Map(), sequence: 0, leftovers: [] };
  }

  const path = join(directory, segmentFile(newest));
  if (durableMark !== undefined && durableMark.segmentId > newest) {
    throw damaged(path, 0, `segment ${segmentFile(durableMark.segmentId)}, which was acknowledged, to exist`);
  }
  const replay = new Replay();
  const scan = await scanSegment(files, path, newest, replay);
  refuseLostEnd(path, newest, scan, durableMark);
  await loadSealed(settings, replay, sealed);
  const groups = new Map<number, GroupState>();
  for (const scalars of replay.groups.values()) {
    groups.set(scalars.groupId, await rebuildWindow(directory, scalars, sealed, scan.rows));
  }

  // All reading went well: only now is anything changed.
  const fd = await files.open(path, 'update', sync ? 'synced' : undefined);
  try {
    await endAtLastFrame(settings, fd, path, scan);
    if (sync) await makeDurable(files, directory, fd, scan);
    const leftovers = await removeReleased(settings, replay.released);
    for (const segmentId of segmentIds) {
      if (replay.sealed.has(segmentId) || replay.released.includes(segmentId)) continue;
      logger.warn(
        { file: join(directory, segmentFile(segmentId)) },
        'this segment is not part of the entry log; ignoring it',
      );
    }
    const { header, end, frames, rows, lastSequence } = scan;
    const active: ActiveSegment = { segmentId: newest, fd, seed: header.seed, end, foundBytes: 0, frames, rows };
    return { active, sealed, groups, sequence: lastSequence, leftovers };
  } catch (error) {
    await files.close(fd);
    throw error;
  }
}

/** Ids of the segments, ascending. Half-made files of a crash are removed: they never counted. So are spare ones. */
async function listSegments({ files, directory }: RecoverySettings): Promise<number[]> {
  const segmentIds: number[] = [];
  const names = await files.list(directory);
  for (const name of names) {
    const orphan = /^[0-9a-f]{16}\.idx$/.test(name) && !names.includes(name.replace('.idx', '.log'));
    if (orphan || isSpare(name) || /^[0-9a-f]{16}\.(log|idx)\.tmp$/.test(name))
      await files.unlink(join(directory, name));
    const segmentId = segmentIdOf(name);
    if (segmentId !== undefined) segmentIds.push(segmentId);
  }
  return segmentIds.sort((a, b) => a - b);
}

function refuseLostEnd(path: string, segmentId: number, scan: ScanResult, durableMark: LogMark | undefined): void {
  const acknowledged = durableMark?.segmentId === segmentId ? durableMark.position : 0;
  if (scan.end < acknowledged) {
    const expected = scan.stop?.expected ?? 'more frames';
    const position = scan.stop?.position ?? scan.end;
    throw damaged(path, position, `${expected}; everything before byte ${acknowledged} was acknowledged`);
  }
  if (scan.stop?.laterFrameAt !== undefined) {
    const { position, expected, laterFrameAt } = scan.stop;
    throw damaged(
      path,
      position,
      `${expected}; a later frame stands at byte ${laterFrameAt}, so this is no torn write`,
    );
  }
}

/**
 * A process that was killed leaves a frame it had not synced, or a segment whose name it had not, in the system's memory.
 * Whoever opens the log reads them like any other, and acts on them: peers are told that entries are here, segments are
 * removed because a note says so. So they must be durable first, or a power loss takes back what was promised on them.
 *
 * A sync alone would not do. Where the process ended because a sync had failed, the system may call those pages clean,
 * and the next sync succeeds without writing them. So the last frame, the only one that can be concerned, is written
 * again in its place, byte for byte.
 */
async function makeDurable(files: FileOperations, directory: string, fd: number, scan: ScanResult): Promise<void> {
  try {
    for (let at = scan.lastFrameAt; at < scan.end; ) {
      const bytes = Buffer.alloc(Math.min(scan.end - at, PIECE_BYTES));
      const count = await files.read(fd, bytes, at);
      const written = await files.writev(fd, [bytes.subarray(0, count)], at);
      if (count === 0 || written !== count) break;
      at += count;
    }
  } catch (error) {
    // A file system that never writes in place may have no room; no sync has failed there for want of it.
    if (!isFullDisk(error)) throw error;
  }
  await files.datasync(fd);
  await files.syncDirectory(directory);
}

const PIECE_BYTES = 1024 * 1024;

/**
 * Cuts what a write left that a crash interrupted, or what stood there before: zeros (`runway`), another segment's bytes.
 * Also where nothing stands there: whoever wrote last may have cut it without learning that the cut is durable, because
 * the sync failed, and the file would be longer again when the power goes.
 */
async function endAtLastFrame(settings: RecoverySettings, fd: number, path: string, scan: ScanResult): Promise<void> {
  const { files, logger } = settings;
  const cutBytes = (await files.sizeBytes(fd)) - scan.end;
  if (await isTorn(files, fd, scan, cutBytes)) {
    logger.warn(
      { file: path, offset: scan.end, cutBytes, expected: scan.stop?.expected },
      'cut a torn write off the end of the entry log; it was never acknowledged',
    );
  }
  await files.truncate(fd, scan.end);
}

/** Only for the log: whatever it is, it is no frame. Without its header a torn one is not told from what stood there before. */
async function isTorn(files: FileOperations, fd: number, { header, end }: ScanResult, count: number): Promise<boolean> {
  const piece = Buffer.alloc(Math.min(count, PIECE_BYTES));
  for (let done = 0; done < count; done += piece.length) {
    const read = await files.read(fd, piece, end + done);
    const found = piece.subarray(0, Math.min(read, count - done));
    if (header.isRecycled) return decodeFrameHeader(found, header.seed) !== undefined;
    if (found.some((byte) => byte !== 0)) return true;
  }
  return false;
}

async function loadSealed(settings: RecoverySettings, replay: Replay, sealed: SealedSegments): Promise<void> {
  const { files, directory } = settings;
  const bySegmentId = [...replay.sealed.values()].sort((a, b) => a.segmentId - b.segmentId);
  for (const facts of bySegmentId) {
    const path = join(directory, segmentFile(facts.segmentId));
    const head = Buffer.alloc(SEGMENT_HEADER_BYTES);
    let headBytes = 0;
    let sizeBytes = 0;
    try {
      const fd = await files.open(path, 'read');
      try {
        sizeBytes = await files.sizeBytes(fd);
        headBytes = await files.read(fd, head, 0);
      } finally {
        await files.close(fd);
      }
    } catch (error) {
      throw notOpened(path, error);
    }
    if (sizeBytes !== facts.bytes) {
      throw damaged(path, Math.min(sizeBytes, facts.bytes), `${facts.bytes} bytes in the file, found ${sizeBytes}`);
    }
    const { seed } = decodeSegmentHeader(path, head.subarray(0, headBytes), facts.segmentId);
    await sealed.load(facts, seed);
  }
}

/**
 * Whoever is told of damage gives up what is here: where there are replicas, a node does so by itself. So what only keeps
 * this process from looking is never called damage.
 */
function notOpened(path: string, error: unknown): unknown {
  if (isOutOfFiles(error)) return outOfFiles(path, error);
  const code = errorCode(error);
  if (NOT_LOOKED_AT.has(code)) return error;
  return damaged(path, 0, code === 'ENOENT' ? 'this segment to exist, it is missing' : 'a readable segment', error);
}

const NOT_LOOKED_AT: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'ENOMEM']);

/** Finishes releases that a crash interrupted. */
async function removeReleased(settings: RecoverySettings, released: readonly number[]): Promise<number[]> {
  const { files, directory, logger } = settings;
  const leftovers: number[] = [];
  for (const segmentId of released) {
    try {
      await files.unlink(join(directory, segmentFile(segmentId)));
      await files.unlink(join(directory, sidecarFile(segmentId)));
    } catch (err) {
      logger.warn({ err, file: join(directory, segmentFile(segmentId)) }, 'could not remove a released segment');
      leftovers.push(segmentId);
    }
  }
  return leftovers;
}
