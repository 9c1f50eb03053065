import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { QUEUE_SETTING_DEFAULTS, type QueueSettings } from '@sluice/meta/queue-subsystem-config';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { PeekPage, QueueStatistics } from '@sluice/rpc/contract/queue-management';
import { Violation } from '../simulation.ts';
import { type Delivery, type Message, QueueCheck } from './queue-check.ts';
import { type Change, SettingTimes } from './setting-times.ts';
import { DROP_REASONS, type DropReason, unexplainedDrops } from './unexplained-drops.ts';

/**
 * What a queue promises whose operators purge it, and change its period, its limits and everything else that can be
 * changed while it is in use. A message that was acknowledged may then go without having been delivered; so each that is
 * missing must have had a reason, and no reason may stand for more of them than the queue counted for it.
 *
 * What was acknowledged before a purge was asked for is not handed out, nor shown, once that was answered. Nothing goes
 * by the period before its time. Figures that an operator is told add up, never go back, and lie between what had been
 * answered when they were asked for and what had been asked for when they came.
 */
export class RetentionCheck extends QueueCheck {
  readonly #nowMs: () => number;
  readonly #isCalm: () => boolean;
  readonly settings: SettingTimes<ChangedSettings>;
  readonly #names = new Map<number, string>();
  readonly #kept = new Map<number, Kept>();
  readonly #byQueue = new Map<number, Kept[]>();
  readonly #purges = new Map<number, Purge[]>();
  /** By queue, the newest figures that somebody was told, and when. */
  readonly #told = new Map<number, { atMs: number; figures: QueueStatistics }>();
  purgedMessages = 0;
  answers = 0;

  /** Above it a queue has been looked at and what is too old has gone, where nothing is done to anybody. */
  static readonly EXPIRE_MS_MAX = 3_000;

  /** `areHeard`: a change of settings that was answered is in force everywhere. */
  constructor(options: { nowMs(): number; isCalm(): boolean; keepsHolders: boolean }) {
    super(options.isCalm, () => options.keepsHolders);
    this.#nowMs = options.nowMs;
    this.#isCalm = options.isCalm;
    this.settings = new SettingTimes<ChangedSettings>(DEFAULTS, options.keepsHolders);
  }

  override published(message: Message): void {
    super.published(message);
    const { id, queueId } = message;
    const kept: Kept = { message, publishedAtMs: this.#nowMs(), ackedAtMs: Infinity };
    this.#kept.set(id, kept);
    this.limited(queueId);
    const all = this.#byQueue.get(queueId);
    if (all === undefined) this.#byQueue.set(queueId, [kept]);
    else all.push(kept);
  }

  override acknowledged(id: number): void {
    super.acknowledged(id);
    const kept = this.#kept.get(id) as Kept;
    kept.ackedAtMs = Math.min(kept.ackedAtMs, this.#nowMs());
  }

  override delivered(delivery: Delivery): void {
    super.delivered(delivery);
    const { id, queueId, sentAtMs, store, partition, offset } = delivery;
    const kept = this.#kept.get(id) as Kept;
    const place = `${queueId}:${partition}:${offset} (${id})`;
    const purgedAtMs = this.#purgedBefore(queueId, sentAtMs);
    if (kept.ackedAtMs < purgedAtMs) {
      const when = `acknowledged at ${kept.ackedAtMs}, purged at ${purgedAtMs}`;
      throw new Violation('purged and delivered', `${store} handed ${place} out at ${sentAtMs}: ${when}`);
    }
    const name = this.#names.get(queueId);
    if (name === undefined || !this.#isCalm()) return;
    const sinceMs = sentAtMs - RetentionCheck.EXPIRE_MS_MAX;
    const periodMs = Math.max(...this.settings.valuesBetween(name, 'dataRetentionMs', sinceMs, sentAtMs));
    if (sentAtMs - kept.ackedAtMs > periodMs + RetentionCheck.EXPIRE_MS_MAX) {
      const when = `acknowledged at ${kept.ackedAtMs}, with a period of ${periodMs} ms`;
      throw new Violation('kept too long', `${store} handed ${place} out at ${sentAtMs}: ${when}`);
    }
  }

  /** The queue is there from beginning to end: its settings are what is asked for by its name. */
  lasts(queue: QueueDefinition): void {
    this.#names.set(queue.queueId, queue.name);
    this.settings.began(queue.name, queue);
  }

  purgeAsked(queueId: number): Purge {
    const purge: Purge = { askedAtMs: this.#nowMs(), answeredAtMs: Infinity, count: undefined };
    const purges = this.#purges.get(queueId);
    if (purges === undefined) this.#purges.set(queueId, [purge]);
    else purges.push(purge);
    return purge;
  }

  purged(purge: Purge, count: number): void {
    purge.answeredAtMs = this.#nowMs();
    purge.count = count;
    this.purgedMessages += count;
  }

  changed(change: Change<ChangedSettings>, version: number): void {
    this.settings.done(change, version, this.#nowMs());
  }

  /** How many a worker may have at once, by any limit that it may still hold something under. */
  windowOf(name: string, window: number, sinceMs: number): number {
    if (![...this.#names.values()].includes(name)) return window;
    const limits = this.settings.valuesBetween(name, 'localMaxInflight', sinceMs, this.#nowMs());
    return Math.min(window, Math.max(...limits));
  }

  /** A row that a leader has applied. @throws Violation */
  look(queue: Readonly<QueueState>, partition: number, atMs: number): void {
    const { queueId, depth, depthBytes, keyCount, droppedExpired, droppedPurged, droppedOverflow } = queue;
    const where = `${queue.name} in ${partition} at ${atMs}`;
    const least = Math.min(...Object.values(queue).filter((value): value is number => typeof value === 'number'));
    if (least < 0) throw new Violation('counted', `${where} has ${least} of something`);
    if ((depth === 0) !== (depthBytes === 0) || keyCount > depth || (queue.isLastValue && keyCount !== depth)) {
      throw new Violation('counted', `${where} holds ${depth} in ${depthBytes} bytes, under ${keyCount} keys`);
    }
    const name = this.#names.get(queueId);
    if (name === undefined) return;
    const kept = (this.#byQueue.get(queueId) ?? []).filter(({ message }) => message.partition === partition);
    const most = (reason: DropReason, counted: number): void => {
      if (counted === 0) return;
      const possible = kept.filter((each) => this.#mayHaveGone(name, each, reason, atMs)).length;
      if (counted <= possible) return;
      throw new Violation('dropped', `${where} counts ${counted} by ${reason}, ${possible} may have gone so`);
    };
    most('purged', droppedPurged);
    most('retention', droppedExpired);
    most('overflow', droppedOverflow);
  }

  /** What an operator was told. @throws Violation */
  told(queueId: number, name: string, told: QueueStatistics, askedAtMs: number): void {
    this.answers++;
    const said = (what: string): Violation => new Violation('figures', `${name} at ${this.#nowMs()}: ${what}`);
    const { depthMessages, depthBytes, publishedTotal, acceptedTotal, purgedTotal, oldestPublishedAtMs } = told;
    for (const [key, value] of Object.entries(told)) {
      if (typeof value === 'number' && value < 0) throw said(`${key} is ${value}`);
    }
    const gone = acceptedTotal + told.expiredTotal + told.overwrittenTotal + told.droppedTotal + purgedTotal;
    if (publishedTotal !== depthMessages + gone) {
      throw said(`${publishedTotal} came, ${depthMessages} are there and ${gone} went`);
    }
    if ((depthMessages === 0) !== (depthBytes === 0)) throw said(`${depthMessages} messages have ${depthBytes} bytes`);
    if (depthMessages === 0 && oldestPublishedAtMs !== null)
      throw said(`none, and the oldest is ${told.lagSeconds} s old`);
    const rows = told.partitions.reduce((sum, row) => sum + row.depthMessages, 0);
    if (rows !== depthMessages) throw said(`${depthMessages} messages, and ${rows} by partition`);
    for (const { headOffset, tailOffset, depthMessages: depth } of told.partitions) {
      if (depth > tailOffset - headOffset || (depth === 0 && headOffset !== tailOffset)) {
        throw said(`${depth} messages from ${headOffset} to ${tailOffset}`);
      }
    }
    this.#isYoung(name, told.lagSeconds * 1_000, askedAtMs, said);
    const kept = this.#byQueue.get(queueId) ?? [];
    const acknowledged = kept.filter(({ ackedAtMs }) => ackedAtMs < askedAtMs).length;
    if (publishedTotal < acknowledged) throw said(`${publishedTotal} came, ${acknowledged} had been acknowledged`);
    if (publishedTotal > kept.length) throw said(`${publishedTotal} came, ${kept.length} were published`);
    const accepted = kept.filter(({ message }) => this.isAccepted(message.id)).length;
    if (acceptedTotal > accepted) throw said(`${acceptedTotal} are accepted, by workers ${accepted}`);
    const purged = this.#answeredBefore(queueId, askedAtMs).reduce((sum, { count }) => sum + (count ?? 0), 0);
    if (purgedTotal < purged) throw said(`${purgedTotal} are purged, ${purged} were told of before`);
    this.#neverLess(queueId, told, askedAtMs, said);
  }

  /** What there is to be seen is not what was purged before. @throws Violation */
  peeked(queueId: number, { messages }: PeekPage, askedAtMs: number): void {
    const purgedAtMs = this.#purgedBefore(queueId, askedAtMs);
    let last = -1;
    for (const { payload, offset } of messages) {
      const id = Number.parseInt(Buffer.from(payload).toString(), 10);
      const kept = this.#kept.get(id);
      if (kept?.message.queueId !== queueId || offset <= last) {
        throw new Violation('figures', `queue ${queueId} shows ${id} at ${offset}, behind ${last}`);
      }
      last = offset;
      if (kept.ackedAtMs >= purgedAtMs) continue;
      throw new Violation('purged and shown', `${id} of queue ${queueId}, purged at ${purgedAtMs}, at ${askedAtMs}`);
    }
  }

  /** With what leaders counted in the end, by queue and partition. @throws Violation */
  endsWith(queue: Readonly<QueueState>, partition: number): void {
    const { queueId, published, accepted } = queue;
    const name = this.#names.get(queueId);
    const kept = (this.#byQueue.get(queueId) ?? []).filter(({ message }) => message.partition === partition);
    const where = `${queue.name} (${queueId}) in ${partition}`;
    const acknowledged = kept.filter(({ ackedAtMs }) => ackedAtMs < Infinity).length;
    if (published < acknowledged || published > kept.length) {
      throw new Violation('counted', `${where}: ${published} came, ${acknowledged} of ${kept.length} are acknowledged`);
    }
    const done = kept.filter(({ message }) => this.isAccepted(message.id)).length;
    if (accepted > done) throw new Violation('counted', `${where}: ${accepted} are accepted, by workers ${done}`);
    const isMissing = new Set(this.missing.get(queueId) ?? []);
    const missing = kept.filter(({ message }) => isMissing.has(message.id));
    const nowMs = this.#nowMs();
    const reasons = missing.map((each) => this.#reasonsOf(name ?? queue.name, each, nowMs));
    const { droppedPurged: purged, droppedExpired: retention, droppedOverflow: overflow, overwritten } = queue;
    const left = unexplainedDrops(reasons, { purged, retention, overflow, overwritten });
    if (left !== undefined) throw new Violation('acknowledged and lost', `${where}: ${missing.length}, ${left}`);
  }

  /** A definition in the end. @throws Violation */
  isDefined(definition: QueueDefinition): void {
    const { name, limits } = definition;
    for (const key of ['dataRetentionMs', 'localMaxInflight', 'dispatchStrategy'] as const) {
      const mayBe: unknown[] = this.settings.mayEndWith(name, key);
      if (mayBe.includes(definition[key])) continue;
      throw new Violation('metadata', `${key} of ${name} is ${definition[key]} in the end, and may be ${mayBe}`);
    }
    const mayBe = this.settings.mayEndWith(name, 'limits').map((each) => JSON.stringify(each));
    if (mayBe.includes(JSON.stringify(limits))) return;
    throw new Violation('metadata', `limits of ${name} are ${JSON.stringify(limits)} in the end, and may be ${mayBe}`);
  }

  #reasonsOf(name: string, kept: Kept, nowMs: number): Set<DropReason> {
    const reasons = new Set<DropReason>();
    for (const reason of DROP_REASONS) {
      if (this.#mayHaveGone(name, kept, reason, nowMs)) reasons.add(reason);
    }
    return reasons;
  }

  #mayHaveGone(name: string, { message, publishedAtMs }: Kept, reason: DropReason, byMs: number): boolean {
    const { queueId, key, publisher, sequence, expiresAtMs } = message;
    switch (reason) {
      case 'purged':
        return (this.#purges.get(queueId) ?? []).some(
          ({ askedAtMs, answeredAtMs }) => askedAtMs <= byMs && publishedAtMs <= answeredAtMs,
        );
      case 'retention':
        // Whole batches of messages that have expired by themselves are dropped and counted in the same way.
        if (expiresAtMs !== undefined && expiresAtMs <= byMs) return true;
        // The stamp of the log is whole milliseconds.
        for (const { value, fromMs, untilMs } of this.settings.times(name, 'dataRetentionMs')) {
          if (fromMs <= byMs && Math.min(untilMs, byMs) - Math.floor(publishedAtMs) >= value) return true;
        }
        return false;
      case 'overflow':
        for (const { value, fromMs, untilMs } of this.settings.times(name, 'limits')) {
          const isLimit = value.overflow === 'drop_oldest' && (value.countMax !== null || value.bytesMax !== null);
          if (isLimit && fromMs <= byMs && untilMs >= publishedAtMs) return true;
        }
        return false;
      case 'overwritten':
        return (
          key !== undefined &&
          (this.#byQueue.get(queueId) ?? []).some(
            ({ message: other }) => other.key === key && other.publisher === publisher && other.sequence > sequence,
          )
        );
    }
  }

  #answeredBefore(queueId: number, atMs: number): Purge[] {
    return (this.#purges.get(queueId) ?? []).filter(({ answeredAtMs }) => answeredAtMs < atMs);
  }

  /** What was stored before that is purged as of `atMs`. */
  #purgedBefore(queueId: number, atMs: number): number {
    return Math.max(-Infinity, ...this.#answeredBefore(queueId, atMs).map(({ askedAtMs }) => askedAtMs));
  }

  /** Of the oldest message that is there, where nothing is done to anybody. */
  #isYoung(name: string, ageMs: number, askedAtMs: number, said: (what: string) => Violation): void {
    if (!this.#isCalm()) return;
    const sinceMs = askedAtMs - RetentionCheck.EXPIRE_MS_MAX;
    const periodMs = Math.max(...this.settings.valuesBetween(name, 'dataRetentionMs', sinceMs, this.#nowMs()));
    if (ageMs <= periodMs + RetentionCheck.EXPIRE_MS_MAX) return;
    throw said(`the oldest is ${ageMs} ms old, with a period of ${periodMs} ms`);
  }

  #neverLess(queueId: number, figures: QueueStatistics, askedAtMs: number, said: (what: string) => Violation): void {
    const former = this.#told.get(queueId);
    if (former !== undefined && former.atMs < askedAtMs) {
      for (const key of LASTING_TOTALS) {
        if (figures[key] >= former.figures[key]) continue;
        throw said(`${key} is ${figures[key]}, and was ${former.figures[key]} at ${former.atMs}`);
      }
    }
    this.#told.set(queueId, { atMs: this.#nowMs(), figures });
  }
}

export type ChangedSettings = Pick<
  QueueSettings,
  'dataRetentionMs' | 'limits' | 'localMaxInflight' | 'dispatchStrategy'
>;

const { dataRetentionMs, limits, localMaxInflight, dispatchStrategy } = QUEUE_SETTING_DEFAULTS;
const DEFAULTS: ChangedSettings = { dataRetentionMs, limits, localMaxInflight, dispatchStrategy };

/** Of the replicated machine: they outlive leaders. */
const LASTING_TOTALS = [
  'publishedTotal',
  'publishedBytesTotal',
  'acceptedTotal',
  'expiredTotal',
  'overwrittenTotal',
  'droppedTotal',
  'purgedTotal',
] as const;

interface Kept {
  readonly message: Message;
  readonly publishedAtMs: number;
  ackedAtMs: number;
}

export interface Purge {
  readonly askedAtMs: number;
  /** Infinity: nobody knows whether and when. */
  answeredAtMs: number;
  count: number | undefined;
}
