import { ByteCursor } from '../../record/byte-cursor.ts';
import { BATCH_RECORDS_MAX } from '../../record/record-format.ts';
import { COMMAND_HEADER_BYTES, commandMalformed } from '../command/command-header.ts';

export const SettleOutcome = { ACCEPTED: 0, EXPIRED: 1, RETURNED: 2 } as const;
export type SettleOutcome = (typeof SettleOutcome)[keyof typeof SettleOutcome];

/** Walks a settle command three times a batch of entries (two prefetches, one apply), so it makes no objects. @hotpath */
export class SettleCursor {
  readonly #cursor = new ByteCursor();
  #headsLeft = 0;
  #rangesLeft = 0;

  queueId = 0;
  head = 0;
  rowBase = 0;
  outcome: SettleOutcome = SettleOutcome.ACCEPTED;
  from = 0;
  /** Excluded. */
  to = 0;

  reset(command: Uint8Array): void {
    this.#cursor.reset(command, COMMAND_HEADER_BYTES);
    this.#headsLeft = this.#cursor.varint();
    this.#rangesLeft = 0;
  }

  /** Heads come first; the rows are reached once they were all read. */
  nextHead(): boolean {
    if (this.#headsLeft === 0) return false;
    this.#headsLeft--;
    this.queueId = this.#cursor.varint();
    this.head = this.#cursor.varint();
    return true;
  }

  /** To the next row, whether or not the heads and the ranges of this row were read. */
  nextRow(): boolean {
    while (this.nextHead());
    while (this.nextRange());
    const cursor = this.#cursor;
    if (cursor.at === cursor.end) return false;
    this.queueId = cursor.varint();
    this.rowBase = cursor.varint();
    this.#rangesLeft = cursor.varint();
    return true;
  }

  nextRange(): boolean {
    if (this.#rangesLeft === 0) return false;
    this.#rangesLeft--;
    const cursor = this.#cursor;
    const outcome = cursor.u8();
    if (outcome > SettleOutcome.RETURNED) throw commandMalformed(`unknown outcome ${outcome} of a settlement`);
    this.outcome = outcome as SettleOutcome;
    this.from = this.rowBase + cursor.varint();
    this.to = this.from + cursor.varint();
    if (this.to - this.rowBase > BATCH_RECORDS_MAX) {
      throw commandMalformed(`a row has at most ${BATCH_RECORDS_MAX} records`);
    }
    return true;
  }
}
