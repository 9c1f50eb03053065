import type { History } from '../faults/history.ts';

/** How long clients were without what they wanted, in milliseconds. */
export interface Gaps {
  /** Between two acknowledgements to one publisher: of the publisher that waited longest. */
  publisherMs: number;
  /** Between two acknowledgements to anybody. */
  anybodyMs: number;
  /** From the healing until a queue took a message again and gave one to a consumer: of the slowest queue. */
  resumeMs: number;
  resumedLast: string;
}

/** Of a fault that lasted from `fromMs`, was healed at `healedMs`, while clients went on until `untilMs`. */
export function measureGaps(history: History, fromMs: number, healedMs: number, untilMs: number): Gaps {
  const byPublisher = new Map<string, number[]>();
  const everybody: number[] = [];
  for (const { publisher = '', outcome, answeredAtMs } of history.published.values()) {
    if (outcome !== 'ok' || answeredAtMs === undefined || answeredAtMs > untilMs) continue;
    const times = byPublisher.get(publisher) ?? [];
    byPublisher.set(publisher, times);
    times.push(answeredAtMs);
    everybody.push(answeredAtMs);
  }
  const gaps: Gaps = {
    publisherMs: 0,
    anybodyMs: longest(everybody, fromMs, untilMs),
    resumeMs: 0,
    resumedLast: '',
  };
  for (const times of byPublisher.values())
    gaps.publisherMs = Math.max(gaps.publisherMs, longest(times, fromMs, untilMs));
  for (const queue of history.queues) {
    let takenMs = Number.POSITIVE_INFINITY;
    for (const { topic, answeredAtMs = 0, outcome } of history.published.values()) {
      if (outcome === 'ok' && answeredAtMs >= healedMs && queue.takes(topic)) takenMs = Math.min(takenMs, answeredAtMs);
    }
    let givenMs = Number.POSITIVE_INFINITY;
    for (const { queue: of, atMs } of history.deliveries) {
      if (of === queue.name && atMs >= healedMs) givenMs = Math.min(givenMs, atMs);
    }
    const resumeMs = Math.max(takenMs, givenMs) - healedMs;
    // Nobody consumes the backlog until the drain.
    const counted = queue.order === 'stored' ? takenMs - healedMs : resumeMs;
    if (counted <= gaps.resumeMs) continue;
    gaps.resumeMs = counted;
    gaps.resumedLast = queue.name;
  }
  return gaps;
}

/** The longest time without an event that touches `fromMs`…`untilMs`. */
function longest(times: number[], fromMs: number, untilMs: number): number {
  times.sort((a, b) => a - b);
  let before = Number.NEGATIVE_INFINITY;
  let gap = 0;
  for (const atMs of [...times, untilMs]) {
    if (before !== Number.NEGATIVE_INFINITY && atMs >= fromMs) gap = Math.max(gap, atMs - before);
    before = atMs;
  }
  return gap;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}
