import { join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import type { Entry } from '@sluice/raft/entry';
import { readRun } from '../entry-reader.ts';
import { RecordType } from '../frame/frame-format.ts';
import { mayHold } from '../group/index-ranges.ts';
import { type Row, rowsOf } from '../group/row-columns.ts';
import { damaged } from '../log-errors.ts';
import type { LogWriter } from '../log-writer.ts';
import type { SegmentLog } from '../segment-log.ts';
import type { SealedSegment, SealedSegments } from './sealed-segments.ts';
import { segmentFile, sidecarFile } from './segment-header.ts';

/** Live entries are moved in frames of about this size, so that appends need not wait long between them. */
const MOVE_FRAME_BYTES = 4 * 1024 * 1024;

/**
 * Gives a segment's space back. In this order, so that a crash anywhere loses nothing: copies of what must survive are
 * durable in newer segments; then a durable note that the segment may go; then its files go. A crash before the note
 * leaves two equal copies, one after it leaves files that the next open removes.
 */
export async function releaseSegment(
  log: SegmentLog,
  writer: LogWriter,
  sealed: SealedSegments,
  segment: SealedSegment,
  live: ReadonlyArray<{ groupId: number; index: number }>,
): Promise<void> {
  if (sealed.get(segment.segmentId) === undefined) return;
  for (const [groupId, indexes] of await survivors(log, sealed, segment, live)) {
    await moveGroup(log, writer, sealed, segment, groupId, indexes);
  }
  const note = () =>
    log.exclusive(async () => {
      writer.assertWritable();
      writer.builder.start();
      // The front cuts that make this segment dispensable must be durable no later than its end.
      const marks = log.addMarks();
      writer.builder.note(RecordType.RELEASED, 0, 0, 0, segment.segmentId, 0);
      await writer.writeFrame(log);
      log.settleMarks(marks);
      sealed.remove(segment.segmentId);
      // The next segment may begin before its files are gone, and names what is left to be removed.
      log.parts.leftovers.push(segment.segmentId);
    });
  const { reserve } = log.parts;
  try {
    await note();
  } catch (error) {
    if (!(error instanceof SluiceError && error.retriable && (await reserve.giveUp()))) throw error;
    await note();
  }
  await removeFiles(log, sealed, segment);
  await reserve.fill();
}

/** What of this segment must be kept, ascending: what the caller names, and its part of the contiguous logs. */
async function survivors(
  log: SegmentLog,
  sealed: SealedSegments,
  segment: SealedSegment,
  live: ReadonlyArray<{ groupId: number; index: number }>,
): Promise<Map<number, number[]>> {
  const wanted = new Map<number, Set<number>>();
  for (const { groupId, index } of live) setOf(wanted, groupId).add(index);
  for (const groupId of segment.index.keys()) {
    const rows = await sealed.rows(segment, groupId);
    if (rows === undefined) continue;
    const last = log.lastIndex(groupId);
    for (let at = rows.lowerBound(log.firstIndex(groupId)); at < rows.length && rows.indexAt(at) <= last; at++) {
      setOf(wanted, groupId).add(rows.indexAt(at));
    }
  }
  const kept = new Map<number, number[]>();
  for (const [groupId, indexes] of wanted)
    kept.set(
      groupId,
      [...indexes].sort((a, b) => a - b),
    );
  return kept;
}

function setOf(sets: Map<number, Set<number>>, groupId: number): Set<number> {
  let set = sets.get(groupId);
  if (set === undefined) {
    set = new Set();
    sets.set(groupId, set);
  }
  return set;
}

async function moveGroup(
  log: SegmentLog,
  writer: LogWriter,
  sealed: SealedSegments,
  segment: SealedSegment,
  groupId: number,
  indexes: readonly number[],
): Promise<void> {
  const rows = await sealed.rows(segment, groupId);
  if (rows === undefined) return;
  let chunk: Row[] = [];
  let chunkBytes = 0;
  for (const index of indexes) {
    const at = rows.find(index);
    // Not here, or a newer copy stands elsewhere already.
    if (at < 0 || (await log.locate(groupId, index))?.segmentId !== segment.segmentId) continue;
    const dataBytes = rows.dataBytesAt(at);
    if (chunk.length > 0 && chunkBytes + dataBytes > MOVE_FRAME_BYTES) {
      await moveRows(log, writer, segment, groupId, chunk);
      chunk = [];
      chunkBytes = 0;
    }
    chunkBytes += dataBytes;
    chunk.push({
      index,
      term: rows.termAt(at),
      position: rows.positionAt(at),
      dataBytes,
      dataCrc: rows.dataCrcAt(at),
      chain: rows.chainAt(at),
      kind: rows.kindAt(at),
    });
  }
  if (chunk.length > 0) await moveRows(log, writer, segment, groupId, chunk);
}

/** Writes copies of these entries as one frame. */
async function moveRows(
  log: SegmentLog,
  writer: LogWriter,
  segment: SealedSegment,
  groupId: number,
  rows: readonly Row[],
): Promise<void> {
  const { segmentFiles, metrics } = log.parts;
  const entries = await readRun(segmentFiles, metrics, segment.segmentId, rows);
  if (entries === undefined) {
    throw damaged(segmentFiles.path(segment.segmentId), 0, 'this segment to exist, it is missing');
  }
  await log.exclusive(async () => {
    const { builder } = writer;
    writer.assertWritable();
    builder.start();
    const group = log.groups.get(groupId);
    const generation = log.generation(groupId);
    const moved: Row[] = [];
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i] as Row;
      const { data } = entries[i] as Entry;
      // Superseded or voided since the copy was planned.
      if (group === undefined || !mayHold(segment.index.get(groupId)?.ranges ?? [], row.index)) continue;
      const { kind, term, index, dataCrc, chain } = row;
      const offset = builder.data(RecordType.MOVED, kind, 0, groupId, term, index, data, dataCrc, chain);
      moved.push({ ...row, position: offset });
    }
    if (moved.length === 0) return;
    const payloadsAt = await writer.writeFrame(log);
    if (log.generation(groupId) !== generation) return;
    const columns = rowsOf(writer.active.rows, groupId);
    for (const { index, term, position, dataBytes, dataCrc, chain, kind } of moved) {
      columns.set(index, term, payloadsAt + position, dataBytes, dataCrc, chain, kind);
    }
  });
}

async function removeFiles(
  log: SegmentLog,
  sealed: SealedSegments,
  { segmentId, bytes }: SealedSegment,
): Promise<void> {
  const { files, directory, segmentFiles, logger, leftovers, spares, segmentBytes } = log.parts;
  const path = join(directory, segmentFile(segmentId));
  try {
    await segmentFiles.takeAway(segmentId, async (isFree) => {
      const isSpare = isFree && spares.wanted && bytes > segmentBytes / 2 && !sealed.isRead(segmentId);
      await (isSpare ? spares.keep(path) : files.unlink(path));
    });
    await files.unlink(join(directory, sidecarFile(segmentId)));
    await files.syncDirectory(directory);
    leftovers.splice(leftovers.indexOf(segmentId), 1);
  } catch (err) {
    logger.warn(
      { err, file: segmentFiles.path(segmentId) },
      'could not remove a released segment; the next start tries again',
    );
  }
}
