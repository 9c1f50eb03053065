import { encodeCommand } from '@sluice/queue/machine/command-codec';
import type { QueueHead, SettleRow } from '@sluice/queue/machine/commands';

/**
 * Collects what a turn settled in one partition and proposes it as one command of ranges. A consumer's place was freed
 * when its answer came; this is how the answer becomes durable, and it may take a moment without anybody waiting.
 */
export class SettleBatcher {
  readonly #propose: (command: Uint8Array | undefined, receipts: SettleReceipt[]) => void;
  #receipts: SettleReceipt[] = [];
  #rows = new Map<string, PendingRow>();
  #heads: QueueHead[] = [];
  #scheduled = false;
  readonly #flush = (): void => this.flush();

  /** Without a command when everything that was settled was settled before: the receipts then are for what is under way. */
  constructor(propose: (command: Uint8Array | undefined, receipts: SettleReceipt[]) => void) {
    this.#propose = propose;
  }

  accepted(queueId: number, rowBase: number, offset: number): void {
    this.#row(queueId, rowBase).accepted.push(offset);
  }

  expired(queueId: number, rowBase: number, offset: number): void {
    this.#row(queueId, rowBase).expired.push(offset);
  }

  /** Stays live; its delivery count goes up. */
  returned(queueId: number, rowBase: number, offset: number): void {
    this.#row(queueId, rowBase).returned.push(offset);
  }

  /** It hears when everything that was settled so far is committed. */
  confirm(receipt: SettleReceipt): void {
    this.#receipts.push(receipt);
    this.#flushSoon();
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#rows.size === 0 && this.#receipts.length === 0) return;
    const receipts = this.#receipts;
    this.#receipts = [];
    if (this.#rows.size === 0) {
      this.#propose(undefined, receipts);
      return;
    }
    const rows: SettleRow[] = [];
    for (const pending of this.#rows.values()) {
      const row: SettleRow = { queueId: pending.queueId, rowBase: pending.rowBase };
      if (pending.accepted.length > 0) row.accepted = toRanges(pending.accepted);
      if (pending.expired.length > 0) row.expired = toRanges(pending.expired);
      if (pending.returned.length > 0) row.returned = toRanges(pending.returned);
      rows.push(row);
    }
    const heads = this.#heads;
    this.#rows = new Map();
    this.#heads = [];
    this.#propose(encodeCommand({ type: 'settle', rows, heads }), receipts);
  }

  #row(queueId: number, rowBase: number): PendingRow {
    const id = `${queueId}:${rowBase}`;
    let row = this.#rows.get(id);
    if (row === undefined) {
      row = { queueId, rowBase, accepted: [], expired: [], returned: [] };
      this.#rows.set(id, row);
    }
    this.#flushSoon();
    return row;
  }

  #flushSoon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }
}

/** Who waits to hear that what was settled is committed. One a message. */
export interface SettleReceipt {
  confirmed(): void;
}

interface PendingRow {
  queueId: number;
  rowBase: number;
  accepted: number[];
  expired: number[];
  returned: number[];
}

/** Offsets, possibly out of order, as pairs [from, to). An offset given twice is settled once. */
export function toRanges(offsets: number[]): number[] {
  offsets.sort((a, b) => a - b);
  const ranges: number[] = [];
  for (const offset of offsets) {
    const end = ranges.length - 1;
    const last = ranges[end];
    if (last !== undefined && offset < last) continue;
    if (last === offset) ranges[end] = offset + 1;
    else ranges.push(offset, offset + 1);
  }
  return ranges;
}
