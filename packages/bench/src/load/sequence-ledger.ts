import { SequenceSet } from './sequence-set.ts';

/**
 * What came, noted while it comes. Whoever shares a queue sees a part each, and only together can they say what is lost;
 * whoever subscribes for himself must see all. So consumers note into the ledger of their audience, and the ledgers of
 * all processes are held against what was acknowledged by `sequence-verdict`.
 *
 * @hotpath
 */
export class AudienceLedger {
  readonly audience: number;
  readonly #received: SequenceSet[];
  #duplicates: number;
  #outOfOrder: number;
  #foreign: number;
  #distinct: number;
  readonly #next: number[];
  #reached: number;

  constructor(audience: number) {
    this.audience = audience;
    this.#received = [];
    this.#next = [];
    this.#reached = 0;
    this.#duplicates = 0;
    this.#outOfOrder = 0;
    this.#foreign = 0;
    this.#distinct = 0;
  }

  /** Different messages so far. */
  get distinct(): number {
    return this.#distinct;
  }

  /** How far every publisher's sequence has come, added up: what was lost on the way is behind it, not before it. */
  get reached(): number {
    return this.#reached;
  }

  /** True when it is seen for the first time. */
  note(publisher: number, sequence: number): boolean {
    let set = this.#received[publisher];
    if (set === undefined) {
      set = new SequenceSet();
      this.#received[publisher] = set;
    }
    if (!set.add(sequence)) {
      this.#duplicates++;
      return false;
    }
    this.#distinct++;
    const next = this.#next[publisher] ?? 0;
    if (sequence >= next) {
      this.#reached += sequence + 1 - next;
      this.#next[publisher] = sequence + 1;
    }
    return true;
  }

  noteOutOfOrder(): void {
    this.#outOfOrder++;
  }

  noteForeign(): void {
    this.#foreign++;
  }

  account(): AudienceAccount {
    const received: AudienceAccount['received'] = [];
    this.#received.forEach((set, publisher) => {
      received.push({ publisher, bits: set.bits });
    });
    return {
      audience: this.audience,
      duplicates: this.#duplicates,
      outOfOrder: this.#outOfOrder,
      foreign: this.#foreign,
      received,
    };
  }
}

/**
 * What one consumer saw of each publisher: a message that comes for the first time after a later one of its key is out of
 * order. `sequence % keys` is the key; a queue of its own for each.
 */
export class OrderWatch {
  readonly #keys: number;
  /** By publisher and key. */
  readonly #highest: number[];

  constructor(keys: number) {
    this.#keys = keys;
    this.#highest = [];
  }

  /** `isFirst`: nobody had it before. One that comes again may come at any time. */
  isOutOfOrder(publisher: number, sequence: number, isFirst: boolean): boolean {
    const place = publisher * this.#keys + (sequence % this.#keys);
    const highest = this.#highest[place];
    if (highest === undefined || sequence > highest) {
      this.#highest[place] = sequence;
      return false;
    }
    return isFirst;
  }
}

/**
 * The same for a queue that keeps the newest value of each key: what was superseded may stay away. The newest must
 * come, and no value after a newer one of its key. `sequence % keys` is the key.
 */
export class LatestLedger {
  readonly #keys: number;
  readonly #newest: Map<number, Float64Array>;
  #outOfOrder: number;

  constructor(keys: number) {
    this.#keys = keys;
    this.#newest = new Map();
    this.#outOfOrder = 0;
  }

  note(publisher: number, sequence: number): void {
    let newest = this.#newest.get(publisher);
    if (newest === undefined) {
      newest = new Float64Array(this.#keys).fill(-1);
      this.#newest.set(publisher, newest);
    }
    const key = sequence % this.#keys;
    if (sequence < (newest[key] as number)) this.#outOfOrder++;
    else newest[key] = sequence;
  }

  account(): LatestAccount {
    return { outOfOrder: this.#outOfOrder, newest: [...this.#newest] };
  }
}

export interface AudienceAccount {
  /** Consumers with the same number share what there is; with different ones each get all. */
  audience: number;
  duplicates: number;
  outOfOrder: number;
  foreign: number;
  /** By publisher: bits of a `SequenceSet`. */
  received: { publisher: number; bits: Uint8Array }[];
}

export interface LatestAccount {
  outOfOrder: number;
  newest: [publisher: number, byKey: Float64Array][];
}
