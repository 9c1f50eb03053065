import { assert } from '@sluice/common/assert';
import type { Effect } from '../effects.ts';
import { decodeEntryRow, encodeEntryRow } from '../row/entry-row.ts';
import type { IndexRow } from '../row/index-row.ts';
import { entryRowKeyOnce } from '../row/row-keys.ts';
import type { Rows } from '../row/rows.ts';

/**
 * Entries whose index rows end while one command is applied. Counting each row of a shared entry down in the entry's row
 * would read and write that once for each queue that took a record of it; what one command settles is mostly of one
 * entry, row after row, so they are counted here until another entry or the end of the command comes. @hotpath
 */
export class EntryReleases {
  #entryIndex = 0;
  #rows = 0;

  rowEnded(row: IndexRow, rows: Rows, effects: Effect[]): void {
    const { entryIndex } = row;
    if (!row.isShared) {
      rows.end(entryRowKeyOnce(entryIndex));
      effects.push({ type: 'entry-dead', index: entryIndex, bytes: row.entryBytes });
      return;
    }
    if (entryIndex !== this.#entryIndex) this.flush(rows, effects);
    this.#entryIndex = entryIndex;
    this.#rows++;
  }

  /** At the end of each command. */
  flush(rows: Rows, effects: Effect[]): void {
    if (this.#rows === 0) return;
    const rowKey = entryRowKeyOnce(this.#entryIndex);
    const value = rows.get(rowKey);
    assert(value !== undefined, 'an index row keeps the row of its entry');
    const entry = decodeEntryRow(value);
    if (entry.rowCount > this.#rows) {
      rows.put(rowKey, encodeEntryRow(entry.rowCount - this.#rows, entry.bytes));
    } else {
      rows.end(rowKey);
      effects.push({ type: 'entry-dead', index: this.#entryIndex, bytes: entry.bytes });
    }
    this.#rows = 0;
  }
}
