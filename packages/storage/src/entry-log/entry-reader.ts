import type { Metrics } from '@sluice/common/metrics';
import type { Entry } from '@sluice/raft/entry';
import { checksum } from '../checksum.ts';
import { errorCode } from '../files/file-operations.ts';
import { countCorruption, damaged } from './log-errors.ts';
import type { Row, RowColumns } from './row-columns.ts';
import type { SegmentFiles } from './segment-files.ts';

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
  const path = segmentFiles.path(segmentId);
  for (let from = 0; from < run.length; ) {
    const start = (run[from] as Row).position;
    let end = start;
    let to = from;
    for (; to < run.length; to++) {
      const row = run[to] as Row;
      const rowEnd = row.position + row.dataBytes;
      if (to > from && (row.position < end || row.position > end + GAP_BYTES_MAX || rowEnd - start > READ_BYTES_MAX))
        break;
      end = rowEnd;
    }
    const bytes = Buffer.allocUnsafeSlow(end - start);
    let count: number;
    try {
      count = await segmentFiles.read(segmentId, bytes, start);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      countCorruption(metrics, path);
      throw damaged(path, start, `${bytes.length} readable bytes`, error);
    }
    for (; from < to; from++) {
      const row = run[from] as Row;
      const data = bytes.subarray(row.position - start, row.position - start + row.dataBytes);
      if (row.position - start + row.dataBytes > count || checksum(data) !== row.dataCrc) {
        countCorruption(metrics, path);
        throw damaged(path, row.position, `${row.dataBytes} bytes of entry ${row.index} with their checksum`);
      }
      entries.push({ term: row.term, index: row.index, kind: row.kind, data });
    }
  }
  return entries;
}
