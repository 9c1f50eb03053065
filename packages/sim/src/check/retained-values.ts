import { Violation } from '../simulation.ts';

/**
 * What was published with RETAIN, topic by topic. Each topic has one publisher that sends the next value when the last one
 * was answered or its connection is lost: so values have an order, and only one that nobody answered may be stored late.
 */
export class RetainedValues {
  readonly #topics = new Map<string, RetainedValue[]>();
  readonly #byId = new Map<number, RetainedValue>();
  /** By process: those that took long, or were not answered; whoever is waited for has them under way. */
  readonly #slow = new Map<string, RetainedValue[]>();
  readonly #underWay = new Set<RetainedValue>();
  acknowledgements = 0;

  /** @param value ascending by id */
  published(value: Omit<RetainedValue, 'acknowledgedMs'>): void {
    const published = { ...value, acknowledgedMs: Number.POSITIVE_INFINITY };
    const values = this.#topics.get(value.topic) ?? [];
    if (values.length === 0) this.#topics.set(value.topic, values);
    values.push(published);
    this.#byId.set(value.id, published);
    this.#underWay.add(published);
  }

  acknowledged(id: number, atMs: number): void {
    const value = this.#byId.get(id);
    if (value === undefined) return;
    value.acknowledgedMs = atMs;
    this.acknowledgements++;
    this.#underWay.delete(value);
    if (atMs - value.sentMs <= SLOW_MS) return;
    const slow = this.#slow.get(value.process) ?? [];
    if (slow.length === 0) this.#slow.set(value.process, slow);
    slow.push(value);
  }

  get topics(): number {
    return this.#topics.size;
  }

  *names(): Iterable<string> {
    yield* this.#topics.keys();
  }

  of(topic: string): readonly RetainedValue[] {
    return this.#topics.get(topic) ?? [];
  }

  find(id: number, topic: string): RetainedValue {
    const value = this.#byId.get(id);
    if (value?.topic !== topic)
      throw new Violation('no invention', `${id} came of ${topic}, where nobody published it`);
    return value;
  }

  /** The newest that was acknowledged by then. */
  newestBefore(topic: string, atMs: number): RetainedValue | undefined {
    return this.of(topic).findLast(({ acknowledgedMs }) => acknowledgedMs < atMs);
  }

  /** In that time its gateway had one under way that took longer than anybody waits for with certainty. */
  isSlowAt(process: string, fromMs: number, toMs: number): boolean {
    const overlaps = ({ sentMs, acknowledgedMs }: RetainedValue): boolean => sentMs <= toMs && acknowledgedMs >= fromMs;
    if (this.#slow.get(process)?.some(overlaps) === true) return true;
    for (const value of this.#underWay) if (value.process === process && overlaps(value)) return true;
    return false;
  }

  /** Whoever reads there waits for what was published there before, until it is answered: so long at most. */
  isHeldUpAt(process: string, sinceMs: number, nowMs: number): boolean {
    const isSlow = ({ sentMs, acknowledgedMs }: RetainedValue): boolean =>
      acknowledgedMs >= sinceMs && Math.min(nowMs, acknowledgedMs) - sentMs > SLOW_MS;
    if (this.#slow.get(process)?.some(isSlow) === true) return true;
    for (const value of this.#underWay) if (value.process === process && isSlow(value)) return true;
    return false;
  }
}

/**
 * Who reads waits 2 s for other gateways, and perhaps for the answer to the question before as well: what is stored within
 * this, on wires that are slow on top of it, is waited for with certainty.
 */
const SLOW_MS = 600;

export interface RetainedValue {
  readonly id: number;
  readonly topic: string;
  /** Of the gateway that it was given to. */
  readonly process: string;
  readonly sentMs: number;
  readonly qos: number;
  /** 0: what was retained is to go. */
  readonly sizeBytes: number;
  /** 0: never. */
  readonly expiryS: number;
  /** Infinite: nobody knows what became of it. */
  acknowledgedMs: number;
}
