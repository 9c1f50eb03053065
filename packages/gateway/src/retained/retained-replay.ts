import type { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import { publishedFrom } from '../live/forwarded-message.ts';
import type { RetainedListener, RetainedMessages, RetainedPages } from './retained-messages.ts';

/**
 * The retained messages of one new subscription. They come a page at a time, and the next page is asked for when this one
 * was sent: a filter of `#` over a million topics holds one page here, and a slow client holds the reading, not the memory.
 *
 * The subscription is live before anything is read. A retained message that comes live meanwhile is newer than what a
 * page may bring of its topic, so of such a topic nothing older is sent.
 */
export class RetainedReplay implements RetainedListener {
  hasBegun = false;
  /** Of the question to other gateways what they have given to the stores (`live-mesh`). */
  askedVersion = 0;
  readonly #filter: string;
  readonly #onPage: () => void;
  #pages: RetainedPages | undefined;
  #records: readonly Uint8Array[] = NONE;
  #next = 0;
  #isLast = false;
  #isClosed = false;
  /** Topics with a newer message. */
  #overtaken: Set<string> | undefined;

  /** Beyond it an older message may follow a newer one of the same topic. */
  static readonly OVERTAKEN_MAX = 4_096;

  constructor(filter: string, onPage: () => void) {
    this.#filter = filter;
    this.#onPage = onPage;
  }

  /** Nothing is read yet, but it counts among those that are read for. */
  open(retained: RetainedMessages): void {
    if (!this.#isClosed) this.#pages ??= retained.open(this.#filter, this);
  }

  begin(): void {
    if (!this.#isClosed) this.#pages?.more();
  }

  get isDone(): boolean {
    return this.#isLast && this.#next === this.#records.length;
  }

  page(records: readonly Uint8Array[], isLast: boolean): void {
    if (this.#isClosed) return;
    this.#records = records;
    this.#next = 0;
    this.#isLast = isLast;
    if (records.length === 0 && !isLast) this.#pages?.more();
    else this.#onPage();
  }

  /** A retained message came live for this subscription. */
  overtaken(topic: string): void {
    this.#overtaken ??= new Set();
    if (this.#overtaken.size < RetainedReplay.OVERTAKEN_MAX) this.#overtaken.add(topic);
  }

  /** The next message to be sent; undefined: the next page is on its way, or nothing is left. */
  take(nowMs: number): PublishedMessage | undefined {
    while (this.#next < this.#records.length) {
      const message = publishedFrom(this.#records[this.#next++] as Uint8Array);
      if (this.#next === this.#records.length) this.#turnPage();
      const isExpired = message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs;
      if (!isExpired && this.#overtaken?.has(message.topic) !== true) return message;
    }
    return undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#records = NONE;
    this.#next = 0;
    this.#pages?.close();
  }

  #turnPage(): void {
    this.#records = NONE;
    this.#next = 0;
    if (!this.#isLast) this.#pages?.more();
  }
}

const NONE: readonly Uint8Array[] = [];
