import { Violation } from '../simulation.ts';

/**
 * What is retained, topic by topic. Each topic has one publisher that sends the next value when the last one was answered
 * or its connection was lost; so the values have an order, and only those that nobody answered may be stored late.
 *
 * Whoever subscribes gets of each topic the last value that was acknowledged, or a newer one; an older one only when nobody
 * knows what became of that.
 */
export class RetainedCheck {
  readonly #topics = new Map<string, Value[]>();
  replays = 0;

  /** @param id ascending */
  published(topic: string, id: number, text: string): void {
    const values = this.#topics.get(topic) ?? [];
    if (values.length === 0) this.#topics.set(topic, values);
    values.push({ id, text, acknowledgedMs: Number.POSITIVE_INFINITY });
  }

  acknowledged(topic: string, id: number, atMs: number): void {
    const value = this.#topics.get(topic)?.find((each) => each.id === id);
    if (value !== undefined) value.acknowledgedMs = atMs;
  }

  /** It came to a subscription that was asked for at `askedMs`. */
  replayed(who: string, topic: string, text: string, askedMs: number): void {
    this.replays++;
    const values = this.#topics.get(topic) ?? [];
    const value = values.find((each) => each.text === text && text !== '');
    if (value === undefined) throw new Violation('no invention', `${who} got ${text} as retained of ${topic}`);
    const due = lastBefore(values, askedMs);
    if (due === undefined || value.id >= due.id || value.acknowledgedMs === Number.POSITIVE_INFINITY) return;
    throw new Violation(
      'retained',
      `${who} got ${text} of ${topic}, ${due.id} was acknowledged at ${due.acknowledgedMs}`,
    );
  }

  /**
   * Whether it stands in for what was kept when it comes live to that subscription. Whatever is published between the
   * SUBSCRIBE and the reading has replaced it by then, and nothing older follows.
   */
  standsIn(topic: string, text: string, askedMs: number): boolean {
    const values = this.#topics.get(topic) ?? [];
    const value = values.findLast((each) => each.text === text);
    return value !== undefined && value.id >= (lastBefore(values, askedMs)?.id ?? 0);
  }

  /**
   * Topics that somebody who subscribed at `askedMs` must have got something of: from what is kept, or live in its stead.
   */
  due(askedMs: number): string[] {
    const due: string[] = [];
    for (const [topic, values] of this.#topics) {
      const last = lastBefore(values, askedMs);
      if (last === undefined || last.text === '') continue;
      const mayBeCleared = values.some((each) => each.text === '' && each.acknowledgedMs === Number.POSITIVE_INFINITY);
      if (!mayBeCleared) due.push(topic);
    }
    return due;
  }

  /** How many may be kept. */
  get topics(): number {
    return this.#topics.size;
  }
}

function lastBefore(values: readonly Value[], atMs: number): Value | undefined {
  return values.findLast(({ acknowledgedMs }) => acknowledgedMs < atMs);
}

interface Value {
  readonly id: number;
  /** Empty: what was kept is to go. */
  readonly text: string;
  acknowledgedMs: number;
}
