import type { Delivery, Fault, History, QueueUnderTest } from './history.ts';

/**
 * Judges a history after the last drain, linear in its size:
 *
 * - lost: acknowledged, and a queue that takes its topic never delivered it (a last-value queue: nor a newer value);
 * - invented: delivered, and never published on that topic with those bytes, or by a queue that does not take it;
 * - repeated: delivered again although no fault excuses it. Excused are as many as the client sent it again, and one
 *   for each fault that found it delivered and its acknowledgement younger than `SETTLE_MS`, or missing;
 * - backwards: a key of a last-value queue showed an older value after a newer one;
 * - miscounted: the broker's own figures of a drained queue do not add up.
 */
export function checkHistory(history: History, statistics: ReadonlyMap<string, QueueFigures>): Verdict {
  const verdict: Verdict = {
    publishes: history.published.size,
    acknowledged: history.acknowledged,
    deliveries: history.deliveries.length,
    duplicates: 0,
    lost: [],
    invented: [],
    repeated: [],
    backwards: [],
    miscounted: [],
  };
  for (const queue of history.queues) {
    const byId = new Map<string, Delivery[]>();
    const newest = new Map<string, number>();
    for (const delivery of history.deliveries) {
      if (delivery.queue !== queue.name) continue;
      if (!isGenuine(history, queue, delivery)) {
        verdict.invented.push(describe(delivery));
        continue;
      }
      const before = byId.get(delivery.id);
      if (before === undefined) byId.set(delivery.id, [delivery]);
      else before.push(delivery);
      if (queue.isLastValue) noteValue(history, delivery, newest, verdict);
    }
    findLost(history, queue, byId, newest, verdict);
    for (const deliveries of byId.values()) findRepeated(history, deliveries, verdict);
    const figures = statistics.get(queue.name);
    if (figures !== undefined) verdict.miscounted.push(...miscounts(history, queue, figures));
  }
  return verdict;
}

/** Acknowledgements younger than this may not have reached the log when the process died. */
export const SETTLE_MS = 2_000;

export interface Verdict {
  publishes: number;
  acknowledged: number;
  deliveries: number;
  /** Deliveries beyond the first of an id in a queue, excused ones included. */
  duplicates: number;
  lost: string[];
  invented: string[];
  repeated: string[];
  backwards: string[];
  miscounted: string[];
}

/** What `GET …/stats` says of a queue, as far as it is checked. */
export interface QueueFigures {
  depth_messages: number;
  inflight_messages: number;
  published_total: number;
  accepted_total: number;
  expired_total: number;
  overwritten_total: number;
  dropped_total: number;
  purged_total: number;
}

export function isClean(verdict: Verdict): boolean {
  return [verdict.lost, verdict.invented, verdict.repeated, verdict.backwards, verdict.miscounted].every(
    (violations) => violations.length === 0,
  );
}

/** One line of figures, and the first few of each kind of violation. */
export function formatVerdict(verdict: Verdict): string {
  const { publishes, acknowledged, deliveries, duplicates } = verdict;
  const kinds = ['lost', 'invented', 'repeated', 'backwards', 'miscounted'] as const;
  const counts = kinds.map((kind) => `${verdict[kind].length} ${kind}`).join(', ');
  const lines = [
    `${publishes} published, ${acknowledged} acknowledged, ${deliveries} delivered, ${duplicates} duplicates; ${counts}`,
  ];
  for (const kind of kinds) for (const what of verdict[kind].slice(0, 3)) lines.push(`  ${kind}: ${what}`);
  return lines.join('\n');
}

function isGenuine(history: History, queue: QueueUnderTest, delivery: Delivery): boolean {
  const published = history.published.get(delivery.id);
  if (published === undefined || published.sends === 0) return false;
  return published.hash === delivery.hash && published.topic === delivery.topic && queue.takes(delivery.topic);
}

function noteValue(history: History, delivery: Delivery, newest: Map<string, number>, verdict: Verdict): void {
  const { key = '', sequence = 0 } = history.published.get(delivery.id) ?? {};
  const seen = newest.get(key) ?? -1;
  if (sequence < seen) verdict.backwards.push(`${describe(delivery)} came after value ${seen} of ${key}`);
  else newest.set(key, sequence);
}

function findLost(
  history: History,
  queue: QueueUnderTest,
  byId: ReadonlyMap<string, Delivery[]>,
  newest: ReadonlyMap<string, number>,
  verdict: Verdict,
): void {
  for (const [id, { topic, key = '', sequence = 0, outcome }] of history.published) {
    if (outcome !== 'ok' || !queue.takes(topic) || byId.has(id)) continue;
    if (queue.isLastValue && (newest.get(key) ?? -1) > sequence) continue;
    verdict.lost.push(`${id} on ${topic}, acknowledged, never delivered by ${queue.name}`);
  }
}

function findRepeated(history: History, deliveries: readonly Delivery[], verdict: Verdict): void {
  const extra = deliveries.length - 1;
  if (extra === 0) return;
  verdict.duplicates += extra;
  const [first] = deliveries as [Delivery];
  let excused = Math.max(0, (history.published.get(first.id)?.sends ?? 1) - 1);
  for (let i = 1; i < deliveries.length; i++) {
    const [before, after] = [deliveries[i - 1] as Delivery, deliveries[i] as Delivery];
    if (history.faults.some((fault) => excuses(fault, before, after))) excused++;
  }
  if (extra > excused) verdict.repeated.push(`${describe(first)}: ${extra} times more, ${excused} excused`);
}

/** The consumer may process what it had received until the fault was over. */
function excuses(fault: Fault, before: Delivery, after: Delivery): boolean {
  if (before.atMs > fault.toMs || after.atMs < fault.fromMs) return false;
  return before.acceptedAtMs === undefined || before.acceptedAtMs > fault.fromMs - SETTLE_MS;
}

/** A drained queue holds nothing, and everything that entered it left it in one of the ways there are. */
function miscounts(history: History, queue: QueueUnderTest, figures: QueueFigures): string[] {
  const found: string[] = [];
  const { name } = queue;
  if (figures.depth_messages !== 0) found.push(`${name} holds ${figures.depth_messages} messages after the drain`);
  if (figures.inflight_messages !== 0) found.push(`${name} has ${figures.inflight_messages} in flight after the drain`);
  const left =
    figures.accepted_total +
    figures.expired_total +
    figures.overwritten_total +
    figures.dropped_total +
    figures.purged_total;
  if (figures.published_total !== left + figures.depth_messages) {
    found.push(`${name}: ${figures.published_total} entered, ${left} left, ${figures.depth_messages} are there`);
  }
  let least = 0;
  let most = 0;
  for (const { topic, outcome, sends } of history.published.values()) {
    if (!queue.takes(topic)) continue;
    if (outcome === 'ok') least++;
    most += sends;
  }
  if (figures.published_total < least || figures.published_total > most) {
    found.push(`${name}: ${figures.published_total} entered, where clients know of ${least} to ${most}`);
  }
  return found;
}

function describe({ id, queue, topic, consumer }: Delivery): string {
  return `${id} on ${topic}, delivered by ${queue} to ${consumer}`;
}
