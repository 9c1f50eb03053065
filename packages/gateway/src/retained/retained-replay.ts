import type { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import { publishedFrom } from '../live/forwarded-message.ts';
import type { RetainedListener, RetainedMessages, RetainedPages } from './retained-messages.ts';

/**
 * The retained messages of one new subscription. They come a page at a time, and the next page is asked for when this one
 * was sent: a filter of `#` over a million topics holds one page here, and a slow client holds the reading, not the memory.
 *
 * The subscription is live before anything is read, so a retained message that comes live meanwhile is likely newer than
 * what a page brings of its topic, and of such a topic nothing is sent: of one publisher that is always so. Of two at
 * different gateways it need not be: the one's may have been given to the stores before the subscription and be stored behind
 * the other's, which came live. Stamps do not tell, since clocks differ. The log does: such topics are read once more, when
 * all that had come live is stored. What is there still was behind it, and is sent; what is there instead comes live.
 */
export class RetainedReplay implements RetainedListener {
  readonly filter: string;
  hasBegun = false;
  /** What is left of it cannot be read now. */
  isStalled = false;
  /** Of the question to other gateways what they have given to the stores (`live-mesh`). */
  askedVersion = 0;
  readonly #owner: ReplayOwner;
  #retained: RetainedMessages | undefined;
  #pages: RetainedPages | undefined;
  #records: readonly Uint8Array[] = NONE;
  #next = 0;
  /** That record, once somebody has looked at it. */
  #message: PublishedMessage | undefined;
  #isLast = false;
  #isClosed = false;
  /** By topic: whose message came live last. */
  #overtaken: Map<string, string> | undefined;
  /** By topic: what was left out for somebody else's. */
  #doubted: Map<string, string> | undefined;
  #isSecondLook = false;
  /** Topics to be read once more. */
  #left: string[] = NOTHING_LEFT;

  /** Beyond it an older message may follow a newer one of the same topic. */
  static readonly OVERTAKEN_MAX = 4_096;

  constructor(filter: string, owner: ReplayOwner) {
    this.filter = filter;
    this.#owner = owner;
  }

  /** Nothing is read yet, but it counts among those that are read for. */
  open(retained: RetainedMessages): void {
    if (this.#isClosed || this.#pages !== undefined) return;
    this.#retained = retained;
    this.#pages = retained.open(this.filter, this);
  }

  begin(): void {
    if (!this.#isClosed) this.#more();
  }

  get isDone(): boolean {
    return this.#isLast && this.#next === this.#records.length && this.#left.length === 0;
  }

  /** Done, but for topics that only a second look decides. */
  get isInDoubt(): boolean {
    return this.#doubted !== undefined && !this.#isSecondLook;
  }

  /** To begin when all that came live until now is stored: `askedVersion`. */
  lookAgain(askedVersion: number): void {
    this.#isSecondLook = true;
    this.#left = [...(this.#doubted?.keys() ?? [])];
    this.#overtaken = undefined;
    this.askedVersion = askedVersion;
    this.hasBegun = false;
  }

  page(records: readonly Uint8Array[], isLast: boolean): void {
    if (this.#isClosed) return;
    this.#records = records;
    this.#next = 0;
    this.#isLast = isLast;
    if (records.length === 0 && !this.isDone) this.#more();
    else this.#owner.pageCame();
  }

  stalled(): void {
    if (this.#isClosed) return;
    this.isStalled = true;
    this.#owner.stalled(this);
  }

  /** To begin once more, where it was: `askedVersion`. */
  again(): void {
    if (this.#isClosed) return;
    this.isStalled = false;
    this.hasBegun = false;
    this.#owner.again(this);
  }

  /** A retained message of that client came live for this subscription. */
  overtaken(topic: string, publisher: string): void {
    // It may stand still for hours: nothing is remembered of what is read already.
    if (this.isStalled && !this.#isSecondLook && this.#pages?.mayBring(topic) === false) return;
    this.#overtaken ??= new Map();
    if (this.#overtaken.size < RetainedReplay.OVERTAKEN_MAX || this.#overtaken.has(topic)) {
      this.#overtaken.set(topic, publisher);
    }
  }

  /** The message to be sent, until it is `taken`; undefined: the next page is on its way, or nothing is left. */
  first(nowMs: number): PublishedMessage | undefined {
    while (this.#next < this.#records.length) {
      this.#message ??= publishedFrom(this.#records[this.#next] as Uint8Array);
      const { expiresAtMs } = this.#message;
      const isExpired = expiresAtMs !== 0 && expiresAtMs <= nowMs;
      if (!isExpired && this.#isWanted(this.#message)) return this.#message;
      this.taken();
    }
    return undefined;
  }

  /** What `first` gave is sent, or not wanted. */
  taken(): void {
    this.#message = undefined;
    if (++this.#next === this.#records.length) this.#turnPage();
  }

  close(): void {
    this.#isClosed = true;
    this.#records = NONE;
    this.#next = 0;
    this.#left = NOTHING_LEFT;
    this.#message = undefined;
    this.#pages?.close();
  }

  #isWanted({ topic, publisher }: PublishedMessage): boolean {
    const overtaker = this.#overtaken?.get(topic);
    if (this.#isSecondLook) return overtaker === undefined && this.#doubted?.get(topic) === this.#identity();
    if (overtaker === undefined) return true;
    if (overtaker !== publisher) {
      this.#doubted ??= new Map();
      this.#doubted.set(topic, this.#identity());
    }
    return false;
  }

  /** Of the record at hand among all of its topic. */
  #identity(): string {
    const { publishedAtMs, publisher } = new EncodedRecord(this.#records[this.#next] as Uint8Array);
    return `${publishedAtMs} ${publisher}`;
  }

  #turnPage(): void {
    this.#records = NONE;
    this.#next = 0;
    this.#more();
  }

  #more(): void {
    if (this.#isLast) {
      const topic = this.#left.shift();
      if (topic === undefined) return;
      this.#isLast = false;
      this.#pages = this.#retained?.open(topic, this);
    }
    this.#pages?.more();
  }
}

/** Whose subscription it is. */
export interface ReplayOwner {
  pageCame(): void;
  stalled(replay: RetainedReplay): void;
  again(replay: RetainedReplay): void;
}

const NONE: readonly Uint8Array[] = [];
/** Nobody pushes to it. */
const NOTHING_LEFT: string[] = [];
