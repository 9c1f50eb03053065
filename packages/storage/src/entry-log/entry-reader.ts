import type { Metrics } from '@sluice/common/metrics';
import type { Entry } from '@sluice/raft/entry';
import { checksum } from '../checksum.ts';
import { errorCode, isOutOfFiles } from '../files/file-operations.ts';
import type { Row, RowColumns } from './group/row-columns.ts';
import { countCorruption, damaged, outOfFiles } from './log-errors.ts';
import { outOfFilesCounter } from './log-metrics.ts';
import type { SegmentFiles } from './segment/segment-files.ts';

/** Entries this near to each other, as those of following frames, are read in one go. */
const GAP_BYTES_MAX = 16 * 1024;
/** A returned entry keeps the memory of its whole read alive, so reads of many small ones stay small. */
const READ_BYTES_MAX = 1024 * 1024;

/** Copies of rows, taken at once: the columns may change while the disk is asked. */
export function takeRun(rows: RowColumns, at: number, last: number, bytesLeft: number): Row[] {
  const run: Row[] = [];
  let bytes = 0;
  for (let i = at; i < rows.length; i++) {
    const index = rows.indexAt(i);
    const dataBytes = rows.dataBytesAt(i);
    if (index > last || index !== rows.indexAt(at) + run.length) break;
    bytes += dataBytes;
    if (run.length > 0 && bytes > bytesLeft) break;
    run.push({
      index,
      term: rows.termAt(i),
      position: rows.positionAt(i),
      dataBytes,
      dataCrc: rows.dataCrcAt(i),
      chain: rows.chainAt(i),
      kind: rows.kindAt(i),
    });
  }
  return run;
}

/** The entries of these rows, verified. Undefined when the segment's file is gone: it was released meanwhile. */
export async function readRun(
  segmentFiles: SegmentFiles,
  metrics: Metrics,
  segmentId: number,
  run: readonly Row[],
): Promise<Entry[] | undefined> {
  const entries: Entry[] = [];
  while (entries.length < run.length) {
    const from = entries.length;
    const found = await readSpan(segmentFiles, metrics, segmentId, run, from, spanEnd(run, from, READ_BYTES_MAX));
    if (found === undefined) return undefined;
    for (const entry of found) entries.push(entry);
  }
  return entries;
}

/** The first of them, and as many of the next ones as one read of at most so many bytes brings whole. */
export async function readNear(
  segmentFiles: SegmentFiles,
  metrics: Metrics,
  segmentId: number,
  run: readonly Row[],
  bytesMax: number,
): Promise<Entry[] | undefined> {
  return await readSpan(segmentFiles, metrics, segmentId, run, 0, spanEnd(run, 0, bytesMax));
}

/** Where what is read in one go with the row at `from` ends. */
function spanEnd(run: readonly Row[], from: number, bytesMax: number): number {
  const { position: start, dataBytes } = run[from] as Row;
  let end = start + dataBytes;
  for (let to = from + 1; to < run.length; to++) {
    const { position, dataBytes } = run[to] as Row;
    const isNear = position >= end && position <= end + GAP_BYTES_MAX;
    if (!isNear || position + dataBytes - start > bytesMax) return to;
    end = position + dataBytes;
  }
  return run.length;
}

/** The entries of these rows up to the first that is damaged: what is wrong with it is said, and counted, when it is the first. */
async function readSpan(
  segmentFiles: SegmentFiles,
  metrics: Metrics,
  segmentId: number,
  run: readonly Row[],
  from: number,
  to: number,
): Promise<Entry[] | undefined> {
  const path = segmentFiles.path(segmentId);
  const start = (run[from] as Row).position;
  const last = run[to - 1] as Row;
  const bytes = Buffer.allocUnsafeSlow(last.position + last.dataBytes - start);
  let count: number;
  try {
    count = await segmentFiles.read(segmentId, bytes, start);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    if (isOutOfFiles(error)) {
      outOfFilesCounter(metrics).add();
      throw outOfFiles(path, error);
    }
    // One of them cannot be read, and nobody knows which.
    if (to - from > 1) return await readSpan(segmentFiles, metrics, segmentId, run, from, (from + to) >>> 1);
    countCorruption(metrics, path);
    throw damaged(path, start, `${bytes.length} readable bytes`, error);
  }
  const entries: Entry[] = [];
  for (let i = from; i < to; i++) {
    const { index, term, kind, position, dataBytes, dataCrc } = run[i] as Row;
    const data = bytes.subarray(position - start, position - start + dataBytes);
    if (position - start + dataBytes > count || checksum(data) !== dataCrc) {
      if (entries.length > 0) break;
      countCorruption(metrics, path);
      throw damaged(path, position, `${dataBytes} bytes of entry ${index} with their checksum`);
    }
    entries.push({ term, index, kind, data });
  }
  return entries;
}
