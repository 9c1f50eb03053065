import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { Violation } from '../simulation.ts';
import { type Message, QueueCheck, textOf } from './queue-check.ts';

/** When a group was asked for, in the attempt that brought it, and when all of it was there. */
export interface GroupSpan {
  readonly askedMs: number;
  readonly endedMs: number;
}

/** What a backup has, or a cluster that was made of it. */
export interface BackupContents {
  readonly queues: readonly QueueDefinition[];
  /** By message, its place. */
  readonly places: ReadonlyMap<number, string>;
  /** What expired by then need not be there. */
  readonly atMs: number;
}

/**
 * What a backup promises: each partition as of one moment, behind which is everything that was acknowledged before it was
 * asked for. What is done between question and end may be in it or not; what is done later is not, and what was settled
 * before does not come back.
 *
 * It knows of each message when it was published, acknowledged and accepted, as those heard of it who did that: the moment
 * that the backup itself names is not asked, for it would excuse its own mistakes.
 */
export class BackupCheck extends QueueCheck {
  readonly #nowMs: () => number;
  readonly #isCalm: () => boolean;
  readonly #fates = new Map<number, Fate>();
  readonly #doomedMs = new Map<number, number>();
  readonly #removedMs = new Map<number, number>();

  /** Without a fault, what a worker accepted is settled within this time. */
  static readonly SETTLED_MS_MAX = 3_000;

  constructor(parts: { nowMs: () => number; isCalm: () => boolean; keepsHolders: boolean }) {
    super(parts.isCalm, () => parts.keepsHolders);
    this.#nowMs = parts.nowMs;
    this.#isCalm = parts.isCalm;
  }

  override published(message: Message): void {
    super.published(message);
    const never = Number.POSITIVE_INFINITY;
    this.#fates.set(message.id, { message, publishedMs: this.#nowMs(), acknowledgedMs: never, acceptedMs: never });
  }

  override acknowledged(id: number): void {
    super.acknowledged(id);
    const fate = this.#fates.get(id);
    if (fate !== undefined) fate.acknowledgedMs = Math.min(fate.acknowledgedMs, this.#nowMs());
  }

  override acceptedBy(place: { queueId: number; partition: number; offset: number }): void {
    super.acceptedBy(place);
    const fate = this.#fates.get(this.idAt(place) ?? 0);
    if (fate !== undefined) fate.acceptedMs = Math.min(fate.acceptedMs, this.#nowMs());
  }

  override doomed(queueId: number): void {
    super.doomed(queueId);
    if (!this.#doomedMs.has(queueId)) this.#doomedMs.set(queueId, this.#nowMs());
  }

  override gone(queueId: number, atMs: number): void {
    super.gone(queueId, atMs);
    this.#removedMs.set(queueId, atMs);
  }

  /** The message that was published with this text. */
  named(text: string): number {
    const message = this.#fates.get(Number.parseInt(text, 10))?.message;
    if (message === undefined || textOf(message) !== text) {
      throw new Violation('backup', `it has ${text}, which nobody published`);
    }
    return message.id;
  }

  messages(): Message[] {
    return [...this.#fates.values()].map(({ message }) => message);
  }

  /**
   * `spans`: by group, that of the metadata is 0. `lasting`: as they were made, and nobody changed them.
   * @returns how many of its messages it knows.
   */
  holds(contents: BackupContents, spans: ReadonlyMap<number, GroupSpan>, lasting: readonly QueueDefinition[]): number {
    let known = 0;
    const metadata = spanOf(spans, 0);
    this.#definitions(contents.queues, metadata, lasting);
    const newest = this.#newestThatStand(contents, spans);
    for (const fate of this.#fates.values()) {
      const span = spanOf(spans, fate.message.partition as number);
      const place = contents.places.get(fate.message.id);
      if (place !== undefined) {
        this.#mayBeThere(fate, place, span);
        known++;
      } else if (!this.#mayBeMissing(fate, span, metadata, contents.atMs, newest)) {
        const { id, queueId, partition, publisher } = fate.message;
        const when = `acknowledged at ${fate.acknowledgedMs}, partition ${partition} asked for at ${span.askedMs}`;
        throw new Violation('backup', `${id} of queue ${queueId} (${publisher}) is not in it: ${when}`);
      }
    }
    return known;
  }

  #definitions(queues: readonly QueueDefinition[], metadata: GroupSpan, lasting: readonly QueueDefinition[]): void {
    const byId = new Map(queues.map((queue) => [queue.queueId, queue]));
    for (const queue of lasting) {
      const found = byId.get(queue.queueId);
      if (JSON.stringify(found) !== JSON.stringify(queue)) {
        throw new Violation('backup', `${queue.name} was ${JSON.stringify(queue)} and is ${JSON.stringify(found)}`);
      }
    }
    for (const { message, acknowledgedMs } of this.#fates.values()) {
      const { queueId } = message;
      if (acknowledgedMs >= metadata.askedMs || byId.has(queueId)) continue;
      if (this.#doomedBy(queueId, metadata.endedMs)) continue;
      throw new Violation('backup', `queue ${queueId} is not in it, and took messages before ${metadata.askedMs}`);
    }
    for (const { queueId, name } of queues) {
      if ((this.#removedMs.get(queueId) ?? Number.POSITIVE_INFINITY) >= metadata.askedMs) continue;
      throw new Violation('backup', `queue ${name} (${queueId}) is in it, and was removed before it was begun`);
    }
  }

  #mayBeThere({ message, publishedMs, acceptedMs }: Fate, place: string, { askedMs, endedMs }: GroupSpan): void {
    const { id } = message;
    if (publishedMs > endedMs) {
      throw new Violation('backup', `${id} is in it, published at ${publishedMs}, and it ended at ${endedMs}`);
    }
    const before = this.placeOf(id);
    if (before !== undefined && before !== place) {
      throw new Violation('backup', `${id} was at ${before}, and is at ${place}`);
    }
    const [queueId, partition, offset] = place.split(':').map(Number) as [number, number, number];
    if (this.settledUpTo(queueId, partition, askedMs) > offset) {
      throw new Violation('backup', `${id} at ${place} is in it, settled before ${askedMs}`);
    }
    if (this.#isCalm() && acceptedMs < askedMs - BackupCheck.SETTLED_MS_MAX) {
      throw new Violation('backup', `${id} at ${place} is in it, accepted at ${acceptedMs}, asked for at ${askedMs}`);
    }
  }

  #mayBeMissing(
    { message, acknowledgedMs, acceptedMs }: Fate,
    { askedMs, endedMs }: GroupSpan,
    metadata: GroupSpan,
    nowMs: number,
    newest: ReadonlyMap<string, number>,
  ): boolean {
    const { queueId, expiresAtMs, sequence } = message;
    if (acknowledgedMs >= askedMs || acceptedMs <= endedMs) return true;
    if (this.#doomedBy(queueId, metadata.endedMs)) return true;
    if ((expiresAtMs ?? Number.POSITIVE_INFINITY) <= nowMs) return true;
    // A newer value of its key stands for it.
    return message.key !== undefined && (newest.get(lineOf(message)) ?? 0) > sequence;
  }

  /** By line of a key, the newest value that is there, or that somebody had accepted. */
  #newestThatStand({ places }: BackupContents, spans: ReadonlyMap<number, GroupSpan>): Map<string, number> {
    const newest = new Map<string, number>();
    for (const { message, acceptedMs } of this.#fates.values()) {
      if (message.key === undefined) continue;
      const { endedMs } = spanOf(spans, message.partition as number);
      if (!places.has(message.id) && acceptedMs > endedMs) continue;
      const line = lineOf(message);
      newest.set(line, Math.max(newest.get(line) ?? 0, message.sequence));
    }
    return newest;
  }

  #doomedBy(queueId: number, atMs: number): boolean {
    return (this.#doomedMs.get(queueId) ?? Number.POSITIVE_INFINITY) <= atMs;
  }
}

function lineOf({ queueId, publisher, key }: Message): string {
  return `${queueId}:${publisher}:${key}`;
}

function spanOf(spans: ReadonlyMap<number, GroupSpan>, group: number): GroupSpan {
  const span = spans.get(group);
  if (span === undefined) throw new Violation('backup', `group ${group} is not in it`);
  return span;
}

interface Fate {
  readonly message: Message;
  readonly publishedMs: number;
  /** Infinity: never. */
  acknowledgedMs: number;
  acceptedMs: number;
}
