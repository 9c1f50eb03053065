import { matches } from '@sluice/mqtt/topic/topic-filter';
import { Violation } from '../simulation.ts';
import type { RetainedValue, RetainedValues } from './retained-values.ts';

/**
 * What one subscription gets of what is retained, from SUBSCRIBE to SUBSCRIBE, and what it is owed: of each topic the
 * newest value that was acknowledged before, or a newer one; and of what was under way in that moment nothing is missed,
 * neither live nor by reading, where no gateway is harmed and none is slow to store.
 */
export class SubscriptionRead {
  readonly who: string;
  readonly #options: SubscriptionOptions;
  readonly #values: RetainedValues;
  /** When what is read was asked for; undefined: it never was. */
  #askedMs: number | undefined;
  /** Its first SUBSCRIBE. */
  #firstMs = Number.POSITIVE_INFINITY;
  #subscribedMs = Number.POSITIVE_INFINITY;
  #isThere = false;
  /** How often it was promised what is retained. */
  #reads = 0;
  /** By topic: how often it came as retained. */
  readonly #readOf = new Map<string, number>();
  /** By topic: the newest that came since the last SUBSCRIBE. */
  #got = new Map<string, number>();
  /** And of those the newest that came live. */
  #live = new Map<string, number>();
  readonly #matching = new Map<string, boolean>();
  /** When anything came that may have been read. */
  heardMs = 0;

  /** A new route is known to every gateway by then. */
  static readonly ROUTE_MS = 200;
  /** A live message of before the SUBSCRIBE may be on its way that long. */
  static readonly WAY_MS = 1_000;

  constructor(who: string, options: SubscriptionOptions, values: RetainedValues) {
    this.who = who;
    this.#options = options;
    this.#values = values;
  }

  get filter(): string {
    return this.#options.filter;
  }

  /** A SUBSCRIBE is sent; `retainHandling` decides with what was there whether anything is read. */
  asked(retainHandling: 0 | 1 | 2, nowMs: number): void {
    const isRead = retainHandling === 0 || (retainHandling === 1 && !this.#isThere);
    this.#isThere = true;
    this.#firstMs = Math.min(this.#firstMs, nowMs);
    this.#got = new Map();
    this.#live = new Map();
    this.#subscribedMs = Number.POSITIVE_INFINITY;
    if (isRead) {
      this.#reads++;
      this.#askedMs = nowMs;
    } else this.#askedMs = undefined;
  }

  subscribed(nowMs: number): void {
    this.#subscribedMs = nowMs;
    this.heardMs = Math.max(this.heardMs, nowMs);
  }

  unsubscribed(): void {
    this.#isThere = false;
    this.#askedMs = undefined;
    this.#subscribedMs = Number.POSITIVE_INFINITY;
  }

  get mayBind(): boolean {
    return this.#options.mayBind;
  }

  get process(): string {
    return this.#options.process;
  }

  get isSubscribed(): boolean {
    return this.#subscribedMs < Number.POSITIVE_INFINITY;
  }

  get subscribedMs(): number {
    return this.#subscribedMs;
  }

  came(message: ArrivedMessage, nowMs: number, wayMsMax: number): void {
    const { topic, id, retain, sizeBytes, qos } = message;
    // What comes live says nothing of the reading.
    if (retain) this.heardMs = nowMs;
    const value = this.#values.find(id, topic);
    const { retainAsPublished, isStrict } = this.#options;
    if (value.sizeBytes !== sizeBytes) throw this.#violation('no invention', value, `came with ${sizeBytes} bytes`);
    if (qos !== Math.min(value.qos, this.#options.qos)) throw this.#violation('QoS', value, `came at QoS ${qos}`);
    this.#looksAtExpiry(value, message, nowMs, wayMsMax);
    if (retainAsPublished && !retain) throw this.#violation('retain as published', value, 'came without RETAIN');
    if (retain && !retainAsPublished) this.#wasRead(value, nowMs);
    else {
      const mayBeRead = retainAsPublished && this.#reads > 0;
      const isOld = value.acknowledgedMs + SubscriptionRead.WAY_MS < this.#firstMs;
      if (isStrict && isOld && !mayBeRead) throw this.#violation('retain handling', value, 'came as if it were new');
      // Before its SUBACK a subscription that was there may have brought it.
      if (!retainAsPublished && this.isSubscribed) this.#live.set(topic, Math.max(id, this.#live.get(topic) ?? 0));
    }
    this.#got.set(topic, Math.max(id, this.#got.get(topic) ?? 0));
  }

  /** It came with RETAIN to who has that for nothing but what is read. */
  #wasRead(value: RetainedValue, nowMs: number): void {
    const { topic, id } = value;
    const times = (this.#readOf.get(topic) ?? 0) + 1;
    this.#readOf.set(topic, times);
    if (times > this.#reads) {
      throw this.#violation(
        'retain handling',
        value,
        `came as retained for time ${times}, asked for ${this.#reads} times`,
      );
    }
    if (value.sizeBytes === 0) throw this.#violation('retained', value, 'is empty, and came as retained');
    const live = this.#live.get(topic) ?? 0;
    // What was taken first may have been sent last, and at another QoS there is no order [MQTT-4.6.0-6].
    if (live > id && !this.#options.mayBind)
      throw this.#violation('retained', value, `came behind ${live}, which came live`);
    const due = this.#askedMs === undefined ? undefined : this.#values.newestBefore(topic, this.#askedMs);
    if (due === undefined || id >= due.id) return;
    if (value.acknowledgedMs === Number.POSITIVE_INFINITY) {
      // It may have been stored behind that.
      this.#got.set(topic, this.#values.of(topic).at(-1)?.id ?? 0);
      return;
    }
    throw this.#violation('retained', value, `came at ${nowMs}, ${due.id} was acknowledged at ${due.acknowledgedMs}`);
  }

  /** [MQTT-3.3.2-6], and nothing is read that has expired. */
  #looksAtExpiry(value: RetainedValue, { expiryS }: ArrivedMessage, nowMs: number, wayMsMax: number): void {
    if ((expiryS === undefined) !== (value.expiryS === 0)) {
      throw this.#violation('expiry', value, `came with an expiry of ${expiryS} s`);
    }
    if (expiryS === undefined) return;
    const oldestMs = nowMs - value.sentMs;
    const youngestMs = nowMs - wayMsMax - value.acknowledgedMs;
    const goneMs = (value.expiryS - expiryS) * 1_000;
    // Written behind a SUBACK that waits for the stores, it may be old when that goes out.
    const isHeld = this.#options.isKept;
    if (youngestMs > value.expiryS * 1_000 && !isHeld) {
      const said = `for ${value.expiryS} s, acknowledged at ${value.acknowledgedMs}`;
      throw this.#violation('expiry', value, `(${said}) had expired when it was sent, before ${nowMs}`);
    }
    if (expiryS < 0 || goneMs > oldestMs + 1_000 || (goneMs < youngestMs - 1_000 && !isHeld)) {
      throw this.#violation('expiry', value, `has ${expiryS} s left after ${oldestMs} ms`);
    }
  }

  /** Topics of which it has not got what it is owed. */
  *missing(nowMs: number): Iterable<Owed> {
    if (!this.isSubscribed) return;
    for (const topic of this.#values.names()) {
      const owed = this.#owed(topic, nowMs);
      if (owed !== undefined) yield owed;
    }
  }

  isMissing(topic: string, nowMs: number): boolean {
    return this.isSubscribed && this.#owed(topic, nowMs) !== undefined;
  }

  /** The newest that is owed, unless it or a newer one is there. */
  #owed(topic: string, nowMs: number): Owed | undefined {
    if (!this.#matches(topic)) return undefined;
    const got = this.#got.get(topic) ?? 0;
    const values = this.#values.of(topic);
    const due = this.#askedMs === undefined ? undefined : this.#values.newestBefore(topic, this.#askedMs);
    const last = due?.id ?? 0;
    // What took its place may be gone, and what nobody answered be stored at any time since.
    let isReplaced = false;
    for (let i = values.length - 1; i >= 0; i--) {
      const value = values[i] as RetainedValue;
      if (value.id <= got) return undefined;
      const isNewer = value.id > last;
      if (isNewer && !isUnknown(value)) {
        if (this.#isOwedLive(value, nowMs)) return { topic, id: value.id, isRead: false };
        if (!isReplaced && this.#isOwedEither(value, nowMs)) return { topic, id: value.id, isRead: false };
      }
      if ((isNewer || isUnknown(value)) && mayLeaveNothing(value, nowMs)) isReplaced = true;
    }
    if (due === undefined || isReplaced || mayLeaveNothing(due, nowMs)) return undefined;
    return { topic, id: due.id, isRead: true };
  }

  /** Published when every gateway knew of the subscription. */
  #isOwedLive(value: RetainedValue, nowMs: number): boolean {
    if (!this.#options.isStrict || hasExpired(value, nowMs)) return false;
    return value.sentMs >= this.#subscribedMs + SubscriptionRead.ROUTE_MS;
  }

  /** It was under way while somebody subscribed who reads: it comes live or is there when it is read. */
  #isOwedEither(value: RetainedValue, nowMs: number): boolean {
    const { isStrict, process } = this.#options;
    const askedMs = this.#askedMs;
    if (!isStrict || askedMs === undefined || mayLeaveNothing(value, nowMs)) return false;
    return value.process === process || !this.#values.isSlowAt(value.process, askedMs, value.acknowledgedMs);
  }

  #matches(topic: string): boolean {
    let isMatch = this.#matching.get(topic);
    if (isMatch === undefined) {
      isMatch = matches(this.filter, topic);
      this.#matching.set(topic, isMatch);
    }
    return isMatch;
  }

  #violation(checker: string, { id, topic }: RetainedValue, what: string): Violation {
    return new Violation(checker, `${this.who} (${this.filter}): ${id} of ${topic} ${what}`);
  }
}

function isUnknown({ acknowledgedMs }: RetainedValue): boolean {
  return acknowledgedMs === Number.POSITIVE_INFINITY;
}

function hasExpired({ expiryS, sentMs }: RetainedValue, nowMs: number): boolean {
  return expiryS > 0 && nowMs >= sentMs + expiryS * 1_000;
}

/** By now; what is empty clears. */
function mayLeaveNothing(value: RetainedValue, nowMs: number): boolean {
  return value.sizeBytes === 0 || hasExpired(value, nowMs);
}

export interface Owed {
  readonly topic: string;
  readonly id: number;
  /** From what is retained, not live. */
  readonly isRead: boolean;
}

export interface SubscriptionOptions {
  readonly filter: string;
  readonly qos: number;
  readonly retainAsPublished: boolean;
  /** Of the gateway that it is at. */
  readonly process: string;
  /** A packet id is stored before what has it is sent, and that may take as long as a partition needs. */
  readonly mayBind: boolean;
  /** Its session outlives the connection. */
  readonly isKept: boolean;
  /** Nothing live is lost. */
  readonly isStrict: boolean;
}

export interface ArrivedMessage {
  readonly topic: string;
  readonly id: number;
  readonly qos: number;
  readonly retain: boolean;
  readonly sizeBytes: number;
  readonly expiryS: number | undefined;
}
