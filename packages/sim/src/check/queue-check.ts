import { Violation } from '../simulation.ts';

/** One message on its way through a queue. */
export interface Message {
  id: number;
  queueId: number;
  publisher: string;
  /** By publisher, queue and key, ascending from 1. */
  sequence: number;
  /** Where its gateway sends it. */
  partition?: number;
  /** Last-value queues. */
  key: string | undefined;
  /** By the clock of the world; absent: never. */
  expiresAtMs?: number | undefined;
}

export interface Delivery {
  id: number;
  queueId: number;
  partition: number;
  offset: number;
  /** One attachment of one worker: gone with a channel, a leader, a gateway. */
  attachment: number;
  /** Store process that handed it out. */
  store: string;
  deliveryCount: number;
  sentAtMs: number;
  /** Its content as it arrived. */
  text: string;
}

/**
 * What a queue promises, checked as deliveries come in and once more in the end. Each check is linear in the history.
 *
 * A message is published once, through one life of one gateway, so it is stored once at most, whatever becomes of stores
 * and leaders. Strict: nothing was done to anybody, so it is also delivered again only when it was given back.
 */
export class QueueCheck {
  readonly #strict: () => boolean;
  /** Only leaders move: whoever holds a message keeps it, and nothing is repeated. */
  readonly #keepsHolders: () => boolean;
  readonly #messages = new Map<number, Message>();
  readonly #acknowledged = new Set<number>();
  readonly #refused = new Set<number>();
  /** `queue:partition:offset` */
  readonly #places = new Map<string, number>();
  readonly #placeOf = new Map<number, string>();
  readonly #delivered = new Map<number, number>();
  /** By a worker, whether or not any store has heard of it. */
  readonly #accepted = new Set<number>();
  /** By place. */
  readonly #holders = new Map<string, { attachment: number; store: string }>();
  /** Those that begun and did not end, and whether the store still has its end of them. */
  readonly #attached = new Map<number, () => boolean>();
  /** Given back by whoever held it: may come again. */
  readonly #returned = new Set<string>();
  readonly #lastOffset = new Map<string, number>();
  readonly #newestOfKey = new Map<string, number>();
  /** Their limits change: what was accepted may be dropped for newer ones, and is counted. */
  readonly #limited = new Set<number>();
  /** Somebody asked for their removal: what they held may be gone. */
  readonly #doomed = new Set<number>();
  /** When a queue was certainly removed, as far as anybody may still hand out of it. */
  readonly #goneAtMs = new Map<number, number>();
  readonly #floors = new Map<string, { atMs: number; head: number }[]>();
  #attachments = 0;
  duplicates = 0;
  deliveries = 0;
  /** In the end, of queues whose limits change: those that were acknowledged, and never delivered. */
  readonly missing = new Map<number, number[]>();

  constructor(strict: () => boolean, keepsHolders: () => boolean = strict) {
    this.#strict = strict;
    this.#keepsHolders = keepsHolders;
  }

  get acknowledgements(): number {
    return this.#acknowledged.size;
  }

  acknowledgedByQueue(): Map<number, number> {
    const counts = new Map<number, number>();
    for (const id of this.#acknowledged) {
      const { queueId } = this.#messages.get(id) as Message;
      counts.set(queueId, (counts.get(queueId) ?? 0) + 1);
    }
    return counts;
  }

  published(message: Message): void {
    this.#messages.set(message.id, message);
  }

  acknowledged(id: number): void {
    this.#acknowledged.add(id);
  }

  /** Certainly not stored. */
  refused(id: number): void {
    this.#refused.add(id);
  }

  /** Somebody asks for the queue's removal. */
  doomed(queueId: number): void {
    this.#doomed.add(queueId);
  }

  isDoomed(queueId: number): boolean {
    return this.#doomed.has(queueId);
  }

  isLimited(queueId: number): boolean {
    return this.#limited.has(queueId);
  }

  limited(queueId: number): void {
    this.#limited.add(queueId);
  }

  /** From now on nothing of it is handed out by anybody. */
  gone(queueId: number, atMs: number): void {
    this.#goneAtMs.set(queueId, atMs);
  }

  /** A number for an attachment that begins. */
  attach(isWhole: () => boolean = () => true): number {
    const attachment = ++this.#attachments;
    this.#attached.set(attachment, isWhole);
    return attachment;
  }

  detached(attachment: number): void {
    this.#attached.delete(attachment);
  }

  /** The leader has applied this, and would tell it: everything below `head` is settled for ever. */
  floor(queueId: number, partition: number, head: number, atMs: number): void {
    const key = `${queueId}:${partition}`;
    const floors = this.#floors.get(key) ?? [];
    if (floors.length === 0) this.#floors.set(key, floors);
    const last = floors.at(-1);
    if (last === undefined || head > last.head) floors.push({ atMs, head });
  }

  delivered(delivery: Delivery): void {
    const { id, queueId, partition, offset, attachment } = delivery;
    this.deliveries++;
    const message = this.#messages.get(id);
    const place = `${queueId}:${partition}:${offset}`;
    if (message === undefined || message.queueId !== queueId || delivery.text !== textOf(message)) {
      throw new Violation('no invention', `${place} holds ${delivery.text}, which nobody published there`);
    }
    if (this.#refused.has(id)) throw new Violation('refused and stored', `${place} holds ${id}, which was refused`);
    const before = this.#places.get(place);
    if (before !== undefined && before !== id) {
      throw new Violation('log matching', `${place} held ${before} and holds ${id}`);
    }
    this.#places.set(place, id);
    const other = this.#placeOf.get(id);
    if (other !== undefined && other !== place) {
      throw new Violation('stored once', `${message.publisher}'s ${id} is at ${other} and at ${place}`);
    }
    this.#placeOf.set(id, place);
    this.#notTooLate(delivery, message, place);
    this.#notResurrected(delivery, place);
    this.#oneHolder(delivery, place);
    this.#inOrder(delivery, message);
    this.#holders.set(place, { attachment, store: delivery.store });
    const times = (this.#delivered.get(id) ?? 0) + 1;
    this.#delivered.set(id, times);
    if (times > 1) {
      if (!this.#returned.delete(place)) {
        this.duplicates++;
        if (this.#strict()) throw new Violation('duplicate without a fault', `${place} holds ${id}, again`);
        if (this.#keepsHolders()) {
          throw new Violation('repeated by a change of leader', `${delivery.store} handed ${place} (${id}) out again`);
        }
      }
    }
  }

  /** The worker is done with it: accepted, or given back. */
  settled(delivery: Delivery, isAccepted: boolean): void {
    const place = `${delivery.queueId}:${delivery.partition}:${delivery.offset}`;
    if (this.#holders.get(place)?.attachment === delivery.attachment) this.#holders.delete(place);
    if (!isAccepted) this.#returned.add(place);
  }

  /** It is too large for its client, who was sent nothing. */
  unsent(delivery: Delivery): void {
    this.settled(delivery, false);
  }

  /** Its consumer is gone with a leader, its client has it all the same. */
  orphaned(delivery: Delivery): void {
    if (!this.#keepsHolders()) this.settled(delivery, false);
  }

  /** A client refuses what it has, whether anybody leads to hear it or not. */
  refusedBy(place: { queueId: number; partition: number; offset: number }): void {
    this.#returned.add(`${place.queueId}:${place.partition}:${place.offset}`);
  }

  /** A client is done with what it has, whether anybody leads to hear it or not. */
  acceptedBy(place: { queueId: number; partition: number; offset: number }): void {
    const id = this.idAt(place);
    if (id !== undefined) this.#accepted.add(id);
  }

  isAccepted(id: number): boolean {
    return this.#accepted.has(id);
  }

  /** Where it was first seen. */
  placeOf(id: number): string | undefined {
    return this.#placeOf.get(id);
  }

  idAt({ queueId, partition, offset }: { queueId: number; partition: number; offset: number }): number | undefined {
    return this.#places.get(`${queueId}:${partition}:${offset}`);
  }

  /** Everything below it was settled for ever before `beforeMs`, as a leader had applied. */
  settledUpTo(queueId: number, partition: number, beforeMs: number): number {
    const floors = this.#floors.get(`${queueId}:${partition}`) ?? [];
    return floors.findLast(({ atMs }) => atMs < beforeMs)?.head ?? 0;
  }

  /** A worker never holds more than it said it could. */
  within(held: number, window: number, who: string): void {
    if (held > window) throw new Violation('window', `${who} holds ${held} of ${window}`);
  }

  /** Whether it is too late is asked in the moment in which it is handed out. */
  #notTooLate({ sentAtMs, queueId, store }: Delivery, { expiresAtMs }: Message, place: string): void {
    if (expiresAtMs !== undefined && sentAtMs >= expiresAtMs) {
      throw new Violation('expiry', `${store} handed ${place} out at ${sentAtMs}, it expired at ${expiresAtMs}`);
    }
    const goneAtMs = this.#goneAtMs.get(queueId);
    if (goneAtMs !== undefined && sentAtMs > goneAtMs) {
      throw new Violation('removed and delivered', `${store} handed ${place} out at ${sentAtMs}, gone at ${goneAtMs}`);
    }
  }

  #notResurrected({ queueId, partition, offset, sentAtMs, store }: Delivery, place: string): void {
    const floors = this.#floors.get(`${queueId}:${partition}`) ?? [];
    for (let i = floors.length - 1; i >= 0; i--) {
      const floor = floors[i] as { atMs: number; head: number };
      if (floor.atMs >= sentAtMs) continue;
      if (floor.head <= offset) return;
      const when = `settled up to ${floor.head} at ${floor.atMs}`;
      throw new Violation('no resurrection', `${store} handed ${place} out at ${sentAtMs}, ${when}`);
    }
  }

  #oneHolder({ attachment, store, id }: Delivery, place: string): void {
    const holder = this.#holders.get(place);
    if (holder === undefined || holder.attachment === attachment) return;
    // A store that lost the channel knows so before its gateway does, when that is cut off or stands still.
    if (this.#attached.get(holder.attachment)?.() !== true) return;
    // And what it sent before reaches a gateway that stood still after others were given it.
    if (this.#attached.get(attachment)?.() === false) return;
    // Another store may know nothing of the first one's consumers yet; one store knows its own.
    if (holder.store !== store && !this.#strict()) return;
    throw new Violation('single holder', `${place} (${id}) is held by ${holder.attachment} and given to ${attachment}`);
  }

  /** One attachment gets what was never handed out before in the order of the log. */
  #inOrder({ partition, offset, attachment, deliveryCount, id }: Delivery, message: Message): void {
    const { queueId, key, publisher, sequence } = message;
    if (deliveryCount === 1 && !this.#delivered.has(id)) {
      const line = `${attachment}:${queueId}:${partition}`;
      const last = this.#lastOffset.get(line) ?? -1;
      if (offset < last) throw new Violation('order of delivery', `attachment ${line} got ${offset} after ${last}`);
      this.#lastOffset.set(line, offset);
    }
    if (key === undefined) return;
    const line = `${attachment}:${queueId}:${publisher}:${key}`;
    const newest = this.#newestOfKey.get(line) ?? 0;
    if (sequence < newest) {
      throw new Violation('latest wins', `${line} got value ${sequence} after ${newest}`);
    }
    this.#newestOfKey.set(line, Math.max(newest, sequence));
  }

  /** After everything was delivered that will be. `nowMs`: what would have expired by then need not have been. */
  atTheEnd(nowMs = 0): void {
    this.#nothingLost(nowMs);
    this.#publishOrder();
    this.#lastValueIsLast();
  }

  #nothingLost(nowMs: number): void {
    const newest = new Map<string, number>();
    for (const id of this.#delivered.keys()) {
      const { key, queueId, publisher, sequence } = this.#messages.get(id) as Message;
      if (key === undefined) continue;
      const line = `${queueId}:${publisher}:${key}`;
      newest.set(line, Math.max(newest.get(line) ?? 0, sequence));
    }
    for (const id of this.#acknowledged) {
      if (this.#delivered.has(id)) continue;
      const { key, queueId, publisher, sequence, expiresAtMs } = this.#messages.get(id) as Message;
      if (this.#doomed.has(queueId) || (expiresAtMs ?? Number.POSITIVE_INFINITY) <= nowMs) continue;
      // A newer value of its key stands for it.
      if (key !== undefined && (newest.get(`${queueId}:${publisher}:${key}`) ?? 0) > sequence) continue;
      if (this.#limited.has(queueId)) {
        const missing = this.missing.get(queueId);
        if (missing === undefined) this.missing.set(queueId, [id]);
        else missing.push(id);
        continue;
      }
      throw new Violation('acknowledged and lost', `${id} of queue ${queueId} (${publisher} ${sequence})`);
    }
  }

  /** Where each is stored, in the order of its publisher; what was superseded unseen has left no trace. */
  #publishOrder(): void {
    const stored = [...this.#places].map(([place, id]) => {
      const [queueId, partition, offset] = place.split(':').map(Number) as [number, number, number];
      const { publisher, sequence, key } = this.#messages.get(id) as Message;
      return { line: `${queueId}:${partition}:${publisher}:${key ?? ''}`, sequence, offset };
    });
    stored.sort((a, b) => a.offset - b.offset);
    const last = new Map<string, number>();
    for (const { line, sequence, offset } of stored) {
      const before = last.get(line) ?? 0;
      if (sequence < before) throw new Violation('publish order', `${line}: ${sequence} at ${offset} behind ${before}`);
      last.set(line, sequence);
    }
  }

  /** The newest place of a key holds the newest value that was acknowledged. */
  #lastValueIsLast(): void {
    const last = new Map<string, { offset: number; sequence: number }>();
    for (const [place, id] of this.#places) {
      const [queueId, , offset] = place.split(':').map(Number) as [number, number, number];
      const { publisher, sequence, key } = this.#messages.get(id) as Message;
      if (key === undefined) continue;
      const line = `${queueId}:${publisher}:${key}`;
      if (offset > (last.get(line)?.offset ?? -1)) last.set(line, { offset, sequence });
    }
    for (const id of this.#acknowledged) {
      const { queueId, publisher, sequence, key } = this.#messages.get(id) as Message;
      const line = `${queueId}:${publisher}:${key}`;
      if (key === undefined || this.#doomed.has(queueId) || this.#limited.has(queueId)) continue;
      if (sequence <= (last.get(line)?.sequence ?? 0)) continue;
      throw new Violation('latest wins', `${line} ends with ${last.get(line)?.sequence}, ${sequence} was acknowledged`);
    }
  }
}

/** What a message's payload begins with: everything that must come out as it went in. */
export function textOf({ id, queueId, publisher, sequence, key }: Message): string {
  return `${id}/${queueId}/${publisher}/${sequence}/${key ?? ''}`;
}
