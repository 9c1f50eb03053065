import { assert } from '@sluice/common/assert';
import type { ApplyReply } from '../../src/machine/apply/apply-reply.ts';
import { stampCommand } from '../../src/machine/command/command-header.ts';
import type { Effect } from '../../src/machine/effects.ts';
import { QueueMachine } from '../../src/machine/queue-machine.ts';
import { decodeEntryRow } from '../../src/machine/row/entry-row.ts';
import { decodeKeyRow } from '../../src/machine/row/key-row.ts';
import { decodeIndexEntry } from '../../src/machine/row/offset-index.ts';
import { entryIndexOf, indexRowKeyOf, RowTable, tableOf } from '../../src/machine/row/row-keys.ts';
import type { Rows } from '../../src/machine/row/rows.ts';
import { type BatchOrigin, writeBatchOrigin } from '../../src/record/batch-origin.ts';
import type { RecordInput, RecordTarget } from '../../src/record/record.ts';
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.ts';

export interface Applied {
  index: number;
  reply: ApplyReply;
  effects: Effect[];
}

/** A machine over rows in a map. Like its real host it refuses reads of rows that were not asked for beforehand. */
export class MachineHarness {
  readonly engine = new Map<string, Uint8Array>();
  machine = QueueMachine.restore([]);
  nowMs = 1000;
  #lastIndex = 0;

  /** Applies the commands as one batch of entries; `between` runs after each. */
  turn(commands: readonly Uint8Array[], between: (applied: Applied) => void = () => {}): Applied[] {
    const rows = new TurnRows(this.engine);
    this.machine.neededRows(commands, (key) => rows.fetch(key));
    this.machine.furtherRows(commands, rows, (key) => rows.fetch(key));
    const all: Applied[] = [];
    for (const command of commands) {
      stampCommand(command, this.nowMs++);
      const effects: Effect[] = [];
      const index = ++this.#lastIndex;
      const applied = { index, reply: this.machine.apply(index, command, rows, effects), effects };
      all.push(applied);
      between(applied);
    }
    this.machine.flush(rows);
    rows.commit();
    return all;
  }

  restart(): void {
    const rows = [...this.engine].map(([key, value]) => ({ key: Buffer.from(key, 'latin1'), value }));
    this.machine = QueueMachine.restore(rows);
  }

  rowsOf(table: RowTable): { key: Uint8Array; value: Uint8Array }[] {
    return [...this.engine]
      .map(([key, value]) => ({ key: new Uint8Array(Buffer.from(key, 'latin1')), value }))
      .filter(({ key }) => tableOf(key) === table)
      .sort((a, b) => Buffer.compare(a.key, b.key));
  }

  /** Index, key and entry rows as text, in key order. */
  describeRows(): string[] {
    const lines: string[] = [];
    for (const { key, value } of this.rowsOf(RowTable.INDEX)) {
      const row = decodeIndexEntry(key, value);
      const parts: string[] = [];
      for (let offset = row.nextLive(row.base); offset !== -1; offset = row.nextLive(offset + 1)) {
        let part = `${offset}:${row.sizeBytesOf(offset)}B`;
        const recordKey = row.keyOf(offset);
        if (recordKey !== undefined) part += `/${Buffer.from(recordKey)}`;
        if (row.deliveryCountOf(offset) > 1) part += ` x${row.deliveryCountOf(offset)}`;
        if (row.expiresAtMsOf(offset) !== 0) part += ` until ${row.expiresAtMsOf(offset)}`;
        parts.push(part);
      }
      const rejected = row.rejectedSlots.length === 0 ? '' : ` rejected ${row.rejectedSlots.join(' ')}`;
      const place = `entry ${row.entryIndex}${row.isShared ? ' (shared)' : ''}`;
      lines.push(`B ${indexRowKeyOf(key).queueId}@${row.base}+${row.count} ${place}: ${parts.join(', ')}${rejected}`);
    }
    for (const { key, value } of this.rowsOf(RowTable.KEY)) {
      const { rowBase, offset } = decodeKeyRow(value);
      lines.push(`K ${entryIndexOf(key)}/${Buffer.from(key.subarray(9))} -> ${offset} in row ${rowBase}`);
    }
    for (const { key, value } of this.rowsOf(RowTable.ENTRY)) {
      const { rowCount, bytes } = decodeEntryRow(value);
      lines.push(`E ${entryIndexOf(key)} rows ${rowCount} bytes ${bytes}`);
    }
    return lines;
  }
}

const RESIDENT: readonly RowTable[] = [RowTable.QUEUE, RowTable.PRODUCER, RowTable.MACHINE];
const ONCE: readonly RowTable[] = [RowTable.INDEX, RowTable.ENTRY];

class TurnRows implements Rows {
  readonly #engine: Map<string, Uint8Array>;
  readonly #seen = new Map<string, Uint8Array | undefined>();
  readonly #written = new Set<string>();

  constructor(engine: Map<string, Uint8Array>) {
    this.#engine = engine;
  }
  fetch(key: Uint8Array): void {
    const id = idOf(key);
    if (!this.#seen.has(id)) this.#seen.set(id, this.#engine.get(id));
  }
  get(key: Uint8Array): Uint8Array | undefined {
    assert(this.#seen.has(idOf(key)), `row ${Buffer.from(key).toString('hex')} is read and was not fetched`);
    return this.#seen.get(idOf(key));
  }
  put(key: Uint8Array, value: Uint8Array): void {
    this.#seen.set(idOf(key), value);
    this.#written.add(idOf(key));
  }
  create(key: Uint8Array, value: Uint8Array): void {
    const id = idOf(key);
    const isFirst = !this.#engine.has(id) && this.#seen.get(id) === undefined;
    assert(isFirst, `row ${Buffer.from(key).toString('hex')} is not the first of its key`);
    this.put(key, value);
  }
  delete(key: Uint8Array): void {
    this.#seen.set(idOf(key), undefined);
    this.#written.add(idOf(key));
  }
  save(key: Uint8Array, value: Uint8Array | undefined): void {
    assert(RESIDENT.includes(tableOf(key)), 'only what the machine has in memory itself is never read again');
    if (value === undefined) this.delete(key);
    else this.put(key, value);
  }
  end(key: Uint8Array): void {
    assert(ONCE.includes(tableOf(key)), 'only rows that are created have keys that come once');
    if (tableOf(key) === RowTable.INDEX) assert(this.get(key) !== undefined, 'a row ends once');
    this.delete(key);
  }
  commit(): void {
    for (const id of this.#written) {
      const value = this.#seen.get(id);
      if (value === undefined) this.#engine.delete(id);
      else this.#engine.set(id, value);
    }
  }
}

function idOf(key: Uint8Array): string {
  return Buffer.from(key).toString('latin1');
}

export { plainRecord as record } from '../../../../test/harness/plain-record.ts';

export function target(queueId: number, key?: string): RecordTarget {
  return { queueId, key: key === undefined ? undefined : Buffer.from(key) };
}

export function batchOf(records: readonly RecordInput[], origin?: BatchOrigin): Uint8Array {
  const builder = new RecordBatchBuilder(origin === undefined ? 'plain' : 'numbered');
  for (const one of records) builder.add(one);
  const batch = builder.finish();
  if (origin !== undefined) writeBatchOrigin(batch, origin);
  return batch;
}
