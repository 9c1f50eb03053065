import { restoredNumbersRow } from '@sluice/queue/session/restored-numbers';
import { numbersRowKey } from '@sluice/queue/session/row-keys';
import type { BackupContents } from '@sluice/storage/backup-format';
import type { KeyValue } from '@sluice/storage/engine';

/** What a backup has of a partition, as the partition of another cluster: all of it, and numbers that nobody knows yet. */
export async function* restoredPartition(contents: AsyncIterable<BackupContents>): AsyncGenerator<BackupContents> {
  const key = numbersRowKey();
  let isIn = false;
  for await (const part of contents) {
    if (isIn) yield part;
    else if (part.type === 'rows') {
      // Rows come in the order of their keys, all of them before the entries.
      const at = part.rows.findIndex((row) => Buffer.compare(row.key, key) >= 0);
      isIn = at !== -1;
      yield isIn ? { type: 'rows', rows: withNumbers(part.rows, at) } : part;
    } else {
      isIn = true;
      yield { type: 'rows', rows: withNumbers([], 0) };
      yield part;
    }
  }
  if (!isIn) yield { type: 'rows', rows: withNumbers([], 0) };

  function withNumbers(rows: readonly KeyValue[], at: number): KeyValue[] {
    const there = rows[at];
    const value = there !== undefined && Buffer.compare(there.key, key) === 0 ? there.value : undefined;
    return rows.toSpliced(at, value === undefined ? 0 : 1, { key, value: restoredNumbersRow(value) });
  }
}
