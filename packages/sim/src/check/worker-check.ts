import { Violation } from '../simulation.ts';
import { type Delivery, type Message, QueueCheck } from './queue-check.ts';

/**
 * What a queue promises to workers that speak MQTT, beside what it promises to all: a job is over when a worker has said so
 * by a PUBACK, and by nothing else; it is counted how often it was handed out; and who has nothing to do is given work that
 * waits, whoever else is slow.
 */
export class WorkerCheck extends QueueCheck {
  readonly #nowMs: () => number;
  readonly #isCalm: () => boolean;
  readonly #messages = new Map<number, Message>();
  /** By a worker, whether or not its gateway has heard of it. */
  readonly #finished = new Set<number>();
  readonly #settled = new Set<number>();
  readonly #times = new Map<number, { deliveries: number; count: number }>();
  /** Acknowledged and in nobody's hands: since when. */
  readonly #waiting = new Map<number, number>();
  /** Handed out to somebody who has not had it yet: since when. */
  readonly #onItsWay = new Map<number, number>();
  /** Of those, whose consumer has gone with its leader. */
  readonly #orphans = new Set<number>();
  readonly #heads = new Map<string, number>();
  finished = 0;
  returned = 0;

  /** Without a fault, who can take work for so long has some, if it has waited for so long. */
  static readonly ROOM_MS_MAX = 2_000;
  static readonly WAIT_MS_MAX = 5_000;
  /** A client that is not there any more is found by its keep-alive, and takes work until then. */
  static readonly ON_ITS_WAY_MS_MAX = 12_000;

  constructor(parts: { nowMs: () => number; isCalm: () => boolean; keepsHolders: boolean }) {
    super(parts.isCalm, () => parts.keepsHolders);
    this.#nowMs = parts.nowMs;
    this.#isCalm = parts.isCalm;
  }

  override published(message: Message): void {
    super.published(message);
    this.#messages.set(message.id, message);
  }

  override acknowledged(id: number): void {
    super.acknowledged(id);
    if (!this.#times.has(id)) this.#waiting.set(id, this.#nowMs());
  }

  override delivered(delivery: Delivery): void {
    const { id, deliveryCount } = delivery;
    // It was with a gateway when its leader went, also by a hand-over, and its client was gone: nobody has it, nobody says so.
    if (this.#onItsWay.has(id) && (this.#orphans.has(id) || !this.#isCalm())) this.refusedBy(delivery);
    this.#orphans.delete(id);
    super.delivered(delivery);
    this.#waiting.delete(id);
    this.#onItsWay.set(id, this.#nowMs());
    const deliveries = (this.#times.get(id)?.deliveries ?? 0) + 1;
    // A leader that dies takes counts with it that it has not told yet, and counts what its consumers never saw.
    if (this.#isCalm() && deliveryCount < deliveries) {
      throw new Violation('delivery count', `${id} was handed out ${deliveries} times, and says ${deliveryCount}`);
    }
    this.#times.set(id, { deliveries, count: deliveryCount });
  }

  override settled(delivery: Delivery, isAccepted: boolean): void {
    super.settled(delivery, isAccepted);
    const { id } = delivery;
    this.#onItsWay.delete(id);
    if (!isAccepted) {
      this.#waiting.set(id, this.#nowMs());
      return;
    }
    this.#mustBeFinished(id, 'its gateway');
    this.#waiting.delete(id);
    this.#settled.add(id);
  }

  override orphaned(delivery: Delivery): void {
    super.orphaned(delivery);
    this.#orphans.add(delivery.id);
  }

  /** That does not count as handed out. */
  override unsent(delivery: Delivery): void {
    super.unsent(delivery);
    const times = this.#times.get(delivery.id);
    if (times !== undefined) this.#times.set(delivery.id, { ...times, deliveries: times.deliveries - 1 });
  }

  override floor(queueId: number, partition: number, head: number, atMs: number): void {
    super.floor(queueId, partition, head, atMs);
    const key = `${queueId}:${partition}`;
    const before = this.#heads.get(key) ?? 0;
    for (let offset = before; offset < head; offset++) {
      const id = this.idAt({ queueId, partition, offset });
      if (id !== undefined) this.#mustBeFinished(id, 'its store');
    }
    if (head > before) this.#heads.set(key, head);
  }

  /** A worker has it. */
  reached(id: number): void {
    this.#onItsWay.delete(id);
  }

  /** A worker sends its PUBACK. */
  finishes(id: number): void {
    if (!this.#finished.has(id)) this.finished++;
    this.#finished.add(id);
  }

  /** Its worker is gone or refuses it: it comes again, unless its gateway knew already that it is over. */
  givenBack(id: number): void {
    if (this.#settled.has(id)) return;
    this.returned++;
    const place = this.placeOf(id);
    if (place === undefined) return;
    const [queueId, partition, offset] = place.split(':').map(Number) as [number, number, number];
    this.refusedBy({ queueId, partition, offset });
  }

  /** As its client is told: the newest count that any store said, or one before. */
  counted(id: number, told: number): void {
    const count = this.#times.get(id)?.count ?? 0;
    if (told <= count) return;
    throw new Violation('delivery count', `${id} says ${told} to its client, and ${count} to its gateway`);
  }

  /** A worker of the queue could have taken more since then. */
  idleSince(queueId: number, sinceMs: number, who: string): void {
    if (!this.#isCalm()) return;
    this.#isNotPassedBy(this.#waiting, WorkerCheck.WAIT_MS_MAX, queueId, sinceMs, who);
    this.#isNotPassedBy(this.#onItsWay, WorkerCheck.ON_ITS_WAY_MS_MAX, queueId, sinceMs, who);
  }

  #isNotPassedBy(
    jobs: ReadonlyMap<number, number>,
    patienceMs: number,
    queueId: number,
    sinceMs: number,
    who: string,
  ): void {
    const beforeMs = this.#nowMs() - patienceMs;
    if (sinceMs > this.#nowMs() - WorkerCheck.ROOM_MS_MAX) return;
    for (const [id, waitsSinceMs] of jobs) {
      const message = this.#messages.get(id) as Message;
      if (message.queueId !== queueId || waitsSinceMs > beforeMs || this.#mayGoUnseen(message)) continue;
      throw new Violation('idle', `${who} has room since ${sinceMs}, and ${id} waits since ${waitsSinceMs}`);
    }
  }

  override atTheEnd(nowMs: number): void {
    super.atTheEnd(nowMs);
    for (const id of this.#times.keys()) this.#mustBeFinished(id, 'its queue, which is empty');
  }

  #mustBeFinished(id: number, byWhom: string): void {
    const message = this.#messages.get(id);
    if (message === undefined || this.#finished.has(id) || this.#mayGoUnseen(message)) return;
    throw new Violation('settled without a PUBACK', `${id} of queue ${message.queueId} is over for ${byWhom}`);
  }

  /** By a newer value, its time, or the end of its queue. */
  #mayGoUnseen({ key, expiresAtMs, queueId }: Message): boolean {
    return key !== undefined || (expiresAtMs ?? Number.POSITIVE_INFINITY) <= this.#nowMs() || this.isDoomed(queueId);
  }
}
