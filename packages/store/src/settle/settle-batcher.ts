import { encodeCommand } from '@sluice/queue/machine/command/command-codec';
import type { SettleRow } from '@sluice/queue/machine/command/commands';

/**
 * Collects what was settled in one partition and proposes it as one command of ranges. A consumer's place was freed when
 * its answer came; this is how the answer becomes durable, and nobody waits for that.
 *
 * A command a turn would be the obvious rhythm. But at a few thousand messages a second nearly every answer is a turn of
 * its own, and as an entry it costs each node what a publish costs: a frame, a sync, an answer, a batch of rows. So the
 * first answer waits some milliseconds for others, unless `RECORDS_MAX` are together before: under load that is within a
 * turn. Then it goes with a turn that writes anyway, and with what other partitions settled (`multiraft/turn-companions`),
 * so it holds up no publish.
 * What waits is kept by its gateway until it is confirmed; should both be gone, it is handed out again, as before.
 */
export class SettleBatcher {
  readonly #propose: (command: Uint8Array | undefined, receipts: SettleReceipt[]) => void;
  readonly #withLaterTurn: (flush: () => void) => void;
  #receipts: SettleReceipt[] = [];
  /** To be settled in this order. */
  #rows: PendingRow[] = [];
  /** The newest of each queue: the only one, where many queues have little each. */
  #newest = new Map<number, PendingRow>();
  readonly #others = new Map<string, PendingRow>();
  #records = 0;
  /** It will be called back. */
  #waits = false;
  #scheduled = false;
  readonly #flush = (): void => this.flush();
  readonly #taken = (): void => {
    this.#waits = false;
    this.flush();
  };

  static readonly RECORDS_MAX = 128;

  /**
   * `propose` is called without a command when everything that was settled was settled before: the receipts then are for
   * what is under way. `withLaterTurn` calls back some milliseconds later, when others propose as well.
   */
  constructor(
    propose: (command: Uint8Array | undefined, receipts: SettleReceipt[]) => void,
    withLaterTurn: (flush: () => void) => void,
  ) {
    this.#propose = propose;
    this.#withLaterTurn = withLaterTurn;
  }

  accepted(queueId: number, rowBase: number, offset: number): void {
    const row = this.#row(queueId, rowBase, offset);
    if (row.accepted === undefined) row.accepted = [offset];
    else row.accepted.push(offset);
  }

  expired(queueId: number, rowBase: number, offset: number): void {
    const row = this.#row(queueId, rowBase, offset);
    if (row.expired === undefined) row.expired = [offset];
    else row.expired.push(offset);
  }

  /** Stays live; its delivery count goes up. */
  returned(queueId: number, rowBase: number, offset: number): void {
    const row = this.#row(queueId, rowBase, offset);
    if (row.returned === undefined) row.returned = [offset];
    else row.returned.push(offset);
  }

  /** It hears when everything that was settled so far is committed. */
  confirm(receipt: SettleReceipt): void {
    this.#receipts.push(receipt);
    if (this.#rows.length === 0) this.#flushThisTurn();
  }

  /** The leadership ended: whoever waits for a receipt tells the next leader. */
  clear(): void {
    this.#takeReceipts();
    this.#rows = [];
    this.#newest.clear();
    this.#others.clear();
    this.flush();
  }

  /** Proposes what there is now. */
  flush(): void {
    this.#scheduled = false;
    this.#records = 0;
    if (this.#rows.length === 0 && this.#receipts.length === 0) return;
    const receipts = this.#takeReceipts();
    if (this.#rows.length === 0) {
      this.#propose(undefined, receipts);
      return;
    }
    const rows = this.#rows;
    for (const row of rows) {
      if (row.accepted !== undefined) row.accepted = toRanges(row.accepted);
      if (row.expired !== undefined) row.expired = toRanges(row.expired);
      if (row.returned !== undefined) row.returned = toRanges(row.returned);
    }
    this.#rows = [];
    // An old map that is emptied makes a table each time, and keeps all of them until the next full collection.
    this.#newest = new Map();
    if (this.#others.size > 0) this.#others.clear();
    this.#propose(encodeCommand({ type: 'settle', rows, heads: [] }), receipts);
  }

  #row(queueId: number, rowBase: number, offset: number): PendingRow {
    const newest = this.#newest.get(queueId);
    const isNewest = newest?.rowBase === rowBase;
    let row = isNewest || newest === undefined ? newest : this.#others.get(idOf(queueId, rowBase));
    // Given back, handed out and settled again within the wait: what comes now comes behind, or it would not be counted.
    if (row === undefined || row.returned?.includes(offset) === true) {
      row = { queueId, rowBase, accepted: undefined, expired: undefined, returned: undefined };
      this.#rows.push(row);
      if (newest !== undefined && !isNewest) this.#others.set(idOf(queueId, newest.rowBase), newest);
      this.#newest.set(queueId, row);
    }
    if (++this.#records >= SettleBatcher.RECORDS_MAX) this.#flushThisTurn();
    else if (!this.#waits) {
      this.#waits = true;
      this.#withLaterTurn(this.#taken);
    }
    return row;
  }

  #takeReceipts(): SettleReceipt[] {
    const receipts = this.#receipts;
    this.#receipts = [];
    for (const receipt of receipts) receipt.isTaken = true;
    return receipts;
  }

  /** At its end, with all that it settles. */
  #flushThisTurn(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }
}

function idOf(queueId: number, rowBase: number): string {
  return `${queueId}:${rowBase}`;
}

/** Who waits to hear that what was settled is committed. */
export interface SettleReceipt {
  /** Set when it goes with a command, or is given up: it says nothing about what is settled from then on. */
  isTaken: boolean;
  confirmed(): void;
}

/** Offsets as they come, and ranges when they go. */
interface PendingRow extends SettleRow {
  accepted: number[] | undefined;
  expired: number[] | undefined;
  returned: number[] | undefined;
}

/** Offsets, possibly out of order, as pairs [from, to). An offset given twice is settled once. */
export function toRanges(offsets: number[]): number[] {
  if (offsets.length === 1) return [offsets[0] as number, (offsets[0] as number) + 1];
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
