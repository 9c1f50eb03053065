import type { RetainedAsk, RetainedPage, RetainedPlace } from '@sluice/rpc/contract/retained';
import type { RetainedLookups } from './retained-lookups.ts';
import { partitionOfTopic } from './topic-partition.ts';

/** Who reads. Each `more` is followed by one page, or by `stalled`. */
export interface RetainedListener {
  /** In the form of queue records; those of one topic once. With `hasFailed`, what is left was not to be had. */
  page(records: readonly Uint8Array[], isLast: boolean, hasFailed: boolean): void;
  /** What is left is in partitions that do not answer now: no page comes before `again`, and another `more` after that. */
  stalled(): void;
  again(): void;
}

/**
 * One filter on its way through the partitions: a topic is in one of them, a filter with a wildcard asks them all. It
 * holds a place for each that is left, and nothing of what was read.
 */
export class RetainedLookup {
  readonly filter: string;
  /** What is left to be read; only after `begin`. */
  places: readonly RetainedPlace[] = [];
  isClosed = false;
  /** So often in a row, without having got further in between. */
  stalls = 0;
  readonly #lookups: RetainedLookups;
  readonly #listener: RetainedListener;
  #hasBegun = false;
  #partitionCount = 0;

  constructor(lookups: RetainedLookups, filter: string, listener: RetainedListener) {
    this.#lookups = lookups;
    this.filter = filter;
    this.#listener = listener;
  }

  /** Asks for the next page. Not before the one asked for has come, and not after the last. */
  more(): void {
    if (!this.isClosed) this.#lookups.want(this);
  }

  /** Nothing more comes. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#lookups.ended(this);
  }

  /** Something of that topic may come. */
  mayBring(topic: string): boolean {
    return !this.#hasBegun || this.mayBe(partitionOfTopic(Buffer.from(topic), this.#partitionCount));
  }

  /** What is left, in that partition. */
  mayBe(partition: number): boolean {
    return !this.#hasBegun || this.places.some((place) => place.partition === partition);
  }

  begin(partitionCount: number): void {
    if (this.#hasBegun || partitionCount === 0) return;
    this.#hasBegun = true;
    this.#partitionCount = partitionCount;
    if (hasWildcard(this.filter)) {
      this.places = Array.from({ length: partitionCount }, (_, i) => ({ partition: i + 1, at: START }));
    } else this.places = [{ partition: partitionOfTopic(Buffer.from(this.filter), partitionCount), at: START }];
  }

  /** What was asked for and is left comes first, so that a partition is read to its end before another is begun. */
  advance({ places: asked }: RetainedAsk, { left, elsewhere }: RetainedPage): void {
    const isElsewhere = (partition: number): boolean => elsewhere.some((one) => one.partition === partition);
    const wasAsked = (partition: number): boolean => asked.some((one) => one.partition === partition);
    this.places = [
      // Views into the answer, which would be kept whole.
      ...left
        .filter(({ partition }) => !isElsewhere(partition))
        .map(({ partition, at }) => ({ partition, at: at.slice() })),
      ...this.places.filter(({ partition }) => !wasAsked(partition) || isElsewhere(partition)),
    ];
  }

  give(records: readonly Uint8Array[]): void {
    this.stalls = 0;
    const isLast = this.places.length === 0;
    if (isLast) this.close();
    this.#listener.page(records, isLast, false);
  }

  stall(): void {
    this.stalls++;
    this.#listener.stalled();
  }

  again(): void {
    if (!this.isClosed) this.#listener.again();
  }

  giveUp(): void {
    this.close();
    this.#listener.page([], true, true);
  }
}

const START = new Uint8Array(0);

function hasWildcard(filter: string): boolean {
  return filter.includes('#') || filter.includes('+');
}
