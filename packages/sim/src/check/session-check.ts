import { Violation } from '../simulation.ts';

/** One PUBLISH at QoS 1 over one connection of a publisher. */
export interface SessionMessage {
  id: number;
  topic: string;
  /** One connection: whoever comes again is another one. */
  publisher: string;
  /** By publisher and topic, ascending. */
  sequence: number;
  sentAtMs: number;
  /** As it must arrive. */
  text: string;
}

/** What the checker needs to know of a connection of the subscriber. */
export interface SessionConnection {
  readonly connectSentMs: number;
}

/**
 * What a kept session promises, as its client sees it: a subscription that was answered misses nothing that is acknowledged
 * to a publisher from then on, whoever of them is connected where, as long as the session lives.
 *
 * A subscription is known by its Subscription Identifier, a new one each time that its filter is subscribed to; asked for
 * again because nobody answered, it keeps it. What a client did without hearing of it again is doubtful, and owed nothing.
 */
export class SessionCheck {
  readonly #isStrict: () => boolean;
  readonly #messages = new Map<number, SessionMessage>();
  readonly #acknowledgedMs = new Map<number, number>();
  readonly #resent = new Set<number>();
  /**
   * By message: the streams that its gateway knew when it came, each as its partition and filter; of one that was brought
   * again, those that each gateway knew: what the first one stored everywhere it knew of may be over for the others.
   */
  readonly #heard = new Map<number, ReadonlySet<string>>();
  readonly #subscriptions = new Map<number, CheckedSubscription>();
  /** By connection: what it was sent, by subscription and message. */
  readonly #sent = new WeakMap<SessionConnection, Set<string>>();
  readonly #subscriptionIds = { last: 0 };
  deliveries = 0;
  duplicates = 0;
  /** Published through a gateway that had not heard of the subscription when it was answered. */
  unheard = 0;

  /** `isStrict`: nothing was done to anybody. */
  constructor(isStrict: () => boolean) {
    this.#isStrict = isStrict;
  }

  get acknowledgements(): number {
    return this.#acknowledgedMs.size;
  }

  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  // ---- publishers

  published(message: SessionMessage): void {
    this.#messages.set(message.id, message);
  }

  /** Begun at QoS 2 over another connection. */
  resent(id: number): void {
    this.#resent.add(id);
  }

  /** It came to its gateway, which stores it in these streams. */
  routed(id: number, streams: ReadonlySet<string>): void {
    const before = this.#heard.get(id);
    this.#heard.set(id, before === undefined ? streams : new Set([...streams].filter((stream) => before.has(stream))));
  }

  acknowledged(id: number, atMs: number): void {
    this.#acknowledgedMs.set(id, atMs);
  }

  // ---- subscribers

  /**
   * `former`: one of the same filter that may be there all the same, and goes on under the new identifier.
   * @returns its Subscription Identifier.
   */
  asked(clientId: string, partition: number, filter: string, atMs: number, former?: number): number {
    const id = ++this.#subscriptionIds.last;
    this.#subscriptions.set(id, {
      id,
      former: former === undefined ? undefined : this.#subscription(former),
      clientId,
      filter,
      stream: `${partition} ${filter}`,
      askedMs: atMs,
      sinceMs: Number.POSITIVE_INFINITY,
      leavingMs: Number.POSITIVE_INFINITY,
      leftMs: Number.POSITIVE_INFINITY,
      goneMs: Number.POSITIVE_INFINITY,
      goneFor: undefined,
      isDoubtful: false,
      received: new Map(),
      newest: new Map(),
    });
    return id;
  }

  /** Its partition and filter. */
  streamOf(id: number): string {
    return this.#subscription(id).stream;
  }

  askedMs(id: number): number {
    return this.#subscription(id).askedMs;
  }

  subscribed(id: number, atMs: number): void {
    const subscription = this.#subscription(id);
    subscription.sinceMs = Math.min(subscription.sinceMs, atMs);
  }

  leaving(id: number, atMs: number): void {
    const subscription = this.#subscription(id);
    subscription.leavingMs = Math.min(subscription.leavingMs, atMs);
  }

  left(id: number, atMs: number): void {
    const subscription = this.#subscription(id);
    subscription.leftMs = Math.min(subscription.leftMs, atMs);
  }

  /** Its session was over when `connection` came, as that was told at `atMs`. */
  gone(id: number, connection: SessionConnection, atMs: number): void {
    const subscription = this.#subscription(id);
    if (atMs >= subscription.goneMs) return;
    subscription.goneMs = atMs;
    subscription.goneFor = connection;
  }

  doubtful(id: number): void {
    this.#subscription(id).isDoubtful = true;
  }

  /** The session says that it was not there, or that it was. */
  present(clientId: string, isPresent: boolean, mustBe: boolean, mustNotBe: boolean): void {
    if (isPresent && mustNotBe)
      throw new Violation('session', `${clientId} asked for a new session and got an old one`);
    if (!isPresent && mustBe) throw new Violation('session', `${clientId} lost its session before it could expire`);
  }

  /** `isOnce`: at QoS 2, and no packet id that the client has already. */
  delivered(
    connection: SessionConnection,
    subscriptionId: number,
    text: string,
    isAgain: boolean,
    isOnce = false,
  ): number {
    this.deliveries++;
    const id = Number.parseInt(text, 10);
    const message = this.#messages.get(id);
    const subscription = this.#subscription(subscriptionId);
    const where = `${subscription.clientId} by ${subscription.filter} (${subscriptionId})`;
    if (message === undefined || message.text !== text || !covers(subscription.filter, message.topic)) {
      throw new Violation('no invention', `${where} got ${text}, which nobody published there`);
    }
    this.#inItsTime(subscription, message, connection, where);
    this.#oncePerConnection(connection, subscription, message, isAgain, where);
    const received = subscription.received.get(id);
    if (received === undefined) this.#inOrder(subscription, message, where);
    else {
      this.duplicates++;
      if (isOnce && !subscription.isDoubtful) {
        throw new Violation('exactly once', `${where} got ${text} a second time (DUP ${isAgain})`);
      }
      if (received.isSettled && this.#isStrict()) {
        throw new Violation('duplicate without a fault', `${where} had acknowledged ${text}, and got it again`);
      }
    }
    if (received === undefined) subscription.received.set(id, { isSettled: false });
    return id;
  }

  /** Acknowledged over a connection that then ended in order. */
  settled(subscriptionId: number, id: number): void {
    const received = this.#subscription(subscriptionId).received.get(id);
    if (received !== undefined) received.isSettled = true;
  }

  #inItsTime(
    subscription: CheckedSubscription,
    { id, sentAtMs, text }: SessionMessage,
    connection: SessionConnection,
    where: string,
  ): void {
    const { askedMs, leftMs, goneMs, goneFor, isDoubtful } = subscription;
    if ((this.#acknowledgedMs.get(id) ?? Number.POSITIVE_INFINITY) < askedMs) {
      throw new Violation('before its time', `${where} got ${text}, acknowledged before it was subscribed to`);
    }
    if (isDoubtful) return;
    if (sentAtMs > leftMs) throw new Violation('unsubscribed', `${where} got ${text}, published after UNSUBACK`);
    // Another connection, asked for before that was told, may have had the session until then: when two are made at once,
    // nobody but the store knows which came first, and what it brought to the first is still on its way.
    if (connection === goneFor || connection.connectSentMs >= goneMs) {
      throw new Violation('session', `${where} got ${text}, its session was over before`);
    }
  }

  #oncePerConnection(
    connection: SessionConnection,
    { id: subscriptionId }: CheckedSubscription,
    { id, text }: SessionMessage,
    isAgain: boolean,
    where: string,
  ): void {
    let sent = this.#sent.get(connection);
    if (sent === undefined) {
      sent = new Set();
      this.#sent.set(connection, sent);
    }
    const key = `${subscriptionId}:${id}`;
    if (sent.has(key)) throw new Violation('twice', `${where} got ${text} twice over one connection (DUP ${isAgain})`);
    sent.add(key);
  }

  #inOrder(
    { newest, sinceMs, former, stream }: CheckedSubscription,
    { id, publisher, topic, sequence, sentAtMs, text }: SessionMessage,
    where: string,
  ): void {
    // Sent again, in its place, under the identifier of now.
    for (let before = former; before !== undefined; before = before.former) if (before.received.has(id)) return;
    // First brought when nobody wanted it, as far as its gateway knew, and again when somebody did: behind what came in
    // between.
    const wasHeard = this.#heard.get(id)?.has(stream) !== false;
    if (this.#resent.has(id) && (sentAtMs < sinceMs || !wasHeard)) return;
    const line = `${publisher} ${topic}`;
    const last = newest.get(line) ?? 0;
    if (sequence < last) throw new Violation('order of delivery', `${where} got ${text} after ${last} of ${line}`);
    newest.set(line, sequence);
  }

  // ---- in the end

  /** What is owed and did not come, of all or of one client. */
  *owed(clientId?: string): Generator<string> {
    for (const subscription of this.#subscriptions.values()) {
      if (clientId !== undefined && subscription.clientId !== clientId) continue;
      if (!isInForce(subscription)) continue;
      for (const [id, atMs] of this.#acknowledgedMs) {
        const message = this.#messages.get(id) as SessionMessage;
        if (message.sentAtMs < subscription.sinceMs || !covers(subscription.filter, message.topic)) continue;
        if (subscription.received.has(id)) continue;
        if (this.#heard.get(id)?.has(subscription.stream) !== true) continue;
        yield `${message.text}, acknowledged at ${atMs}, by ${subscription.filter} (${subscription.id}) to ${subscription.clientId}`;
      }
    }
  }

  /** After everything came that will come. `mayMiss`: gateways may have been out of reach when somebody subscribed. */
  atTheEnd(mayMiss: boolean): void {
    for (const what of this.owed()) throw new Violation('acknowledged and lost', what);
    for (const subscription of this.#subscriptions.values()) {
      if (!isInForce(subscription)) continue;
      for (const id of this.#acknowledgedMs.keys()) {
        const { sentAtMs, topic, text } = this.#messages.get(id) as SessionMessage;
        if (sentAtMs < subscription.sinceMs || !covers(subscription.filter, topic)) continue;
        if (subscription.received.has(id)) continue;
        this.unheard++;
        if (mayMiss) continue;
        const { filter, clientId, sinceMs } = subscription;
        throw new Violation(
          'unheard',
          `${text} of ${sentAtMs} missed ${filter} of ${clientId}, answered at ${sinceMs}`,
        );
      }
    }
  }

  #subscription(id: number): CheckedSubscription {
    const subscription = this.#subscriptions.get(id);
    if (subscription === undefined) throw new Violation('no invention', `nobody subscribed with identifier ${id}`);
    return subscription;
  }
}

/** Answered, and neither left nor in doubt. */
function isInForce({ sinceMs, leavingMs, goneMs, isDoubtful }: CheckedSubscription): boolean {
  const never = Number.POSITIVE_INFINITY;
  return sinceMs !== never && leavingMs === never && goneMs === never && !isDoubtful;
}

/** The naive meaning of a topic filter. */
export function covers(filter: string, topic: string): boolean {
  const levels = topic.split('/');
  const wanted = filter.split('/');
  for (const [i, level] of wanted.entries()) {
    if (level === '#') return true;
    if (i >= levels.length || (level !== '+' && level !== levels[i])) return false;
  }
  return wanted.length === levels.length;
}

interface CheckedSubscription {
  readonly id: number;
  /** Which it may be the same as. */
  readonly former: CheckedSubscription | undefined;
  readonly clientId: string;
  readonly filter: string;
  readonly stream: string;
  /** When it was first asked for, answered, left, and said to be left; infinity: never. */
  readonly askedMs: number;
  sinceMs: number;
  leavingMs: number;
  leftMs: number;
  /** Which connection was told that its session was over, and when. */
  goneMs: number;
  goneFor: SessionConnection | undefined;
  isDoubtful: boolean;
  readonly received: Map<number, { isSettled: boolean }>;
  /** By publisher and topic: what came first last. */
  readonly newest: Map<string, number>;
}
