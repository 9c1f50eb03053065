import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { crc32c } from '@sluice/common/bytes/crc32c';
import type { GroupMachine, RowAccess, WantRow } from '@sluice/multiraft/group-machine';

/**
 * The smallest machine that shows what consensus did: it books numbered commands, keeps a hash over everything it ever
 * applied, and says of each booking whether its entry still lives, so that logs are compacted and entries moved as under
 * queues.
 *
 * S -> count, hash · E index -> id of a live booking · I id -> index it was booked at
 */
export type LedgerReply = { booked: boolean; index: number };

export class LedgerMachine implements GroupMachine<LedgerReply, number> {
  count: number;
  hash: number;
  readonly #onApplied: AppliedListener;

  constructor(rows: Iterable<{ key: Uint8Array; value: Uint8Array }>, onApplied: AppliedListener) {
    this.#onApplied = onApplied;
    this.count = 0;
    this.hash = 0;
    for (const { value } of rows) {
      const reader = new ByteReader(value);
      this.count = reader.u53();
      this.hash = reader.u32();
    }
  }

  neededRows(commands: readonly Uint8Array[], want: WantRow): void {
    for (const command of commands) want(idKey(decodeCommand(command).id));
  }

  furtherRows(): void {}

  apply(index: number, command: Uint8Array, rows: RowAccess, effects: number[]): LedgerReply {
    const { kind, id } = decodeCommand(command);
    this.hash = crc32c(command, (this.hash + index) >>> 0);
    this.count++;
    this.#onApplied(index, crc32c(command, 0), this.hash);
    const held = rows.get(idKey(id));
    const bookedAt = held === undefined ? 0 : new ByteReader(held).u53();
    if (kind === 'retire') {
      if (bookedAt > 0) {
        rows.delete(entryKey(bookedAt));
        effects.push(bookedAt);
      }
      return { booked: false, index: bookedAt };
    }
    if (bookedAt > 0) return { booked: false, index: bookedAt };
    rows.put(idKey(id), new ByteWriter(8).u53(index).finish());
    rows.put(entryKey(index), new ByteWriter(8).u53(id).finish());
    return { booked: true, index };
  }

  flush(rows: RowAccess): void {
    rows.put(STATE_KEY, new ByteWriter(16).u53(this.count).u32(this.hash).finish());
  }
}

/** What was applied where: the checkers' evidence. */
export type AppliedListener = (index: number, commandHash: number, stateHash: number) => void;

export interface LedgerCommand {
  kind: 'book' | 'retire';
  id: number;
}

export function encodeCommand({ kind, id }: LedgerCommand, fillBytes: number): Uint8Array {
  return new ByteWriter(16 + fillBytes)
    .u8(kind === 'book' ? 1 : 2)
    .u53(id)
    .raw(new Uint8Array(fillBytes).fill(id & 0xff))
    .finish();
}

export function decodeCommand(command: Uint8Array): LedgerCommand {
  const reader = new ByteReader(command);
  return { kind: reader.u8() === 1 ? 'book' : 'retire', id: reader.u53() };
}

const STATE_KEY = new ByteWriter(1).u8(0x53).finish();
export const STATE_RANGE = { from: STATE_KEY, to: new Uint8Array([0x54]) };

export function entryKey(index: number): Uint8Array {
  return new ByteWriter(8).u8(0x45).u53(index).finish();
}
export function indexOfEntryKey(key: Uint8Array): number {
  return new ByteReader(key, 1).u53();
}
function idKey(id: number): Uint8Array {
  return new ByteWriter(8).u8(0x49).u53(id).finish();
}
