import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import type { Engine } from '@sluice/storage/engine';
import { groupKey } from '../../src/disk/keyspace.ts';
import type { GroupMachine, RowAccess } from '../../src/group-machine.ts';

/**
 * The least machine whose log is its queue: `put` keeps its entry alive until `drop` names its index. A row a live entry,
 * and a resident row of counts, so that a state that does not fit its log is seen.
 */
export class BoxMachine implements GroupMachine<number, never> {
  puts = 0;
  drops = 0;
  #dirty = false;

  static restore(rows: Iterable<{ key: Uint8Array; value: Uint8Array }>): BoxMachine {
    const machine = new BoxMachine();
    for (const { value } of rows) {
      const input = new ByteReader(value);
      machine.puts = input.u53();
      machine.drops = input.u53();
    }
    return machine;
  }

  neededRows(): void {}
  furtherRows(): void {}

  apply(index: number, command: Uint8Array, rows: RowAccess): number {
    if (command[0] === 1) {
      this.puts++;
      rows.put(rowKey(index), new ByteWriter(8).u53(command.length).finish());
    } else {
      this.drops++;
      rows.delete(rowKey(new ByteReader(command, 1).u53()));
    }
    this.#dirty = true;
    return index;
  }

  flush(rows: RowAccess): void {
    if (this.#dirty) rows.put(Uint8Array.of(0), new ByteWriter(16).u53(this.puts).u53(this.drops).finish());
    this.#dirty = false;
  }
}

export const BOX_RESIDENT = [{ from: Uint8Array.of(0), to: Uint8Array.of(1) }];

export function put(seed: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(5, sizeBytes));
  for (let i = 5; i < bytes.length; i++) bytes[i] = (seed * 31 + i * (1 + (seed % 7))) & 0xff;
  bytes[0] = 1;
  new DataView(bytes.buffer).setUint32(1, seed);
  return bytes;
}

export function drop(index: number): Uint8Array {
  return new ByteWriter(16).u8(2).u53(index).finish();
}

export function rowKey(index: number): Uint8Array {
  return new ByteWriter(16).u8(1).u53(index).finish();
}

/** What the rows say is alive. */
export async function liveBoxes(
  engine: Engine,
  groupId: number,
  first: number,
  last: number,
  limit: number,
): Promise<{ index: number; bytes: number }[]> {
  const rows = await engine.scan(groupKey(groupId, rowKey(first)), groupKey(groupId, rowKey(last + 1)), limit);
  return rows.map(({ key, value }) => ({ index: new ByteReader(key, 3).u53(), bytes: new ByteReader(value).u53() }));
}
