import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import type { GroupMachine, RowAccess, WantRow } from '../../src/group-machine.ts';

/** A machine simple enough to check by hand: it adds numbers to named counters, and keeps each counter in a row. */
export type TallyReply = { counter: number; value: number };
export type TallyEffect = { counter: number };

export class TallyMachine implements GroupMachine<TallyReply, TallyEffect> {
  /** Every entry this life applied, in order. */
  readonly log: number[] = [];
  /** Resident, restored from row 0. */
  total = 0;
  #dirty = false;

  static restore(rows: Iterable<{ key: Uint8Array; value: Uint8Array }>): TallyMachine {
    const machine = new TallyMachine();
    for (const { value } of rows) machine.total = new ByteReader(value).u53();
    return machine;
  }

  neededRows(commands: readonly Uint8Array[], want: WantRow): void {
    for (const command of commands) if (command[0] === 1) want(Uint8Array.of(1, command[1] as number));
  }
  furtherRows(): void {}

  apply(index: number, command: Uint8Array, rows: RowAccess, effects: TallyEffect[]): TallyReply {
    if (command[0] !== 1) throw new SluiceError('COMMAND_UNKNOWN', `command kind ${command[0]} is not known here`);
    const counter = command[1] as number;
    const key = Uint8Array.of(1, counter);
    const before = rows.get(key);
    const value = (before === undefined ? 0 : new ByteReader(before).u53()) + (command[2] as number);
    rows.put(key, new ByteWriter(8).u53(value).finish());
    this.total += command[2] as number;
    this.#dirty = true;
    this.log.push(index);
    effects.push({ counter });
    return { counter, value };
  }

  flush(rows: RowAccess): void {
    if (this.#dirty) rows.put(Uint8Array.of(0), new ByteWriter(8).u53(this.total).finish());
    this.#dirty = false;
  }
}

export const TALLY_RESIDENT = [{ from: Uint8Array.of(0), to: Uint8Array.of(1) }];

/** Adds `amount` to a counter; `padding` makes the entry larger. */
export function add(counter: number, amount: number, padding = 0): Uint8Array {
  const bytes = new Uint8Array(3 + padding);
  bytes.set([1, counter, amount]);
  return bytes;
}
