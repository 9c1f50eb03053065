import type { Delivery, Fault, History, Published, QueueUnderTest } from './history.ts';

/**
 * Judges a history after the last drain, linear in its size:
 *
 * - lost: acknowledged, and a queue that takes its topic never delivered it (a last-value queue: nor a newer value);
 * - invented: delivered, and never published on that topic with those bytes, or by a queue that does not take it;
 * - repeated: delivered again although no fault excuses it. Excused are as many as the client sent it again, and one
 *   for each fault that found it delivered and its acknowledgement younger than `SETTLE_MS`, or missing;
 * - resurrected: delivered again after a moment at which every queue was empty; no fault excuses that;
 * - backwards: a key of a last-value queue showed an older value after a newer one;
 * - disordered: a publisher's message was delivered for the first time after a later one of it, and no fault explains it;
 * - miscounted: the broker's own figures of a drained queue do not add up.
 *
 * A gateway also sends again, what was unanswered when a leader was lost; that is stored once, and excuses nothing.
 */
export function checkHistory(history: History, statistics: ReadonlyMap<string, QueueFigures>): Verdict {
  const verdict: Verdict = {
    publishes: history.published.size,
    acknowledged: history.acknowledged,
    deliveries: history.deliveries.length,
    duplicates: 0,
    copies: 0,
    takenBack: 0,
    lost: [],
    invented: [],
    repeated: [],
    resurrected: [],
    backwards: [],
    disordered: [],
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
    if (queue.order !== undefined) findDisorder(history, queue, verdict);
    const figures = statistics.get(queue.name);
    // Everything that entered a drained queue was delivered: what is more than there are ids was stored more than once.
    if (figures !== undefined && !queue.isLastValue) verdict.copies += Math.max(0, figures.published_total - byId.size);
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
  /** Of these: what queues took in more than once, by their own figures; the others are deliveries of one message again. */
  copies: number;
  /** Of the deliveries again: those whose consumer kept its connection, so that only a change of leader explains them. */
  takenBack: number;
  lost: string[];
  invented: string[];
  repeated: string[];
  resurrected: string[];
  backwards: string[];
  disordered: string[];
  miscounted: string[];
}

const VIOLATIONS = [
  'lost',
  'invented',
  'repeated',
  'resurrected',
  'backwards',
  'disordered',
  'miscounted',
] as const satisfies (keyof Verdict)[];

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

/** Consumers that lost their connection while nothing was done to anybody: none, where machines are quick enough. */
export function lonelyLosses(history: History): number {
  const made = history.faults.filter(({ queue }) => queue === undefined);
  return history.faults.filter(
    ({ queue, fromMs, toMs }) =>
      queue !== undefined && !made.some((fault) => fault.fromMs <= toMs && fault.toMs >= fromMs),
  ).length;
}

export function isClean(verdict: Verdict): boolean {
  return VIOLATIONS.every((kind) => verdict[kind].length === 0);
}

/** Of histories that have nothing to do with each other. */
export function addVerdicts(a: Verdict, b: Verdict): Verdict {
  const sum: Verdict = {
    ...a,
    publishes: a.publishes + b.publishes,
    acknowledged: a.acknowledged + b.acknowledged,
    deliveries: a.deliveries + b.deliveries,
    duplicates: a.duplicates + b.duplicates,
    copies: a.copies + b.copies,
    takenBack: a.takenBack + b.takenBack,
  };
  for (const kind of VIOLATIONS) sum[kind] = [...a[kind], ...b[kind]];
  return sum;
}

/** One line of figures, and the first few of each kind of violation. */
export function formatVerdict(verdict: Verdict): string {
  const { publishes, acknowledged, deliveries, duplicates, copies, takenBack } = verdict;
  const counts = VIOLATIONS.map((kind) => `${verdict[kind].length} ${kind}`).join(', ');
  const lines = [
    `${publishes} published, ${acknowledged} acknowledged, ${deliveries} delivered, ${duplicates} duplicates (${copies} stored twice, ${takenBack} taken from a consumer that was there); ${counts}`,
  ];
  for (const kind of VIOLATIONS) for (const what of verdict[kind].slice(0, 3)) lines.push(`  ${kind}: ${what}`);
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
  let ofClients = copiesExcused(history.published.get(first.id) as Published);
  let ofLeaders = 0;
  for (let i = 1; i < deliveries.length; i++) {
    const [before, after] = [deliveries[i - 1] as Delivery, deliveries[i] as Delivery];
    const faults = history.faults.filter((fault) => excuses(fault, before, after));
    if (faults.some(({ queue }) => queue !== undefined)) ofClients++;
    else if (faults.length > 0) ofLeaders++;
    const drainMs = history.drainsMs.find((atMs) => before.atMs < atMs && after.atMs > atMs);
    if (drainMs !== undefined) verdict.resurrected.push(`${describe(after)} after a drain`);
  }
  const excused = ofClients + ofLeaders;
  verdict.takenBack += Math.min(ofLeaders, Math.max(0, extra - ofClients));
  if (extra > excused) verdict.repeated.push(`${describe(first)}: ${extra} times more, ${excused} excused`);
}

/** The consumer may process what it had received until the fault was over. */
function excuses(fault: Fault, before: Delivery, after: Delivery): boolean {
  if (fault.queue !== undefined && fault.queue !== before.queue) return false;
  if (before.atMs > fault.toMs || after.atMs < fault.fromMs) return false;
  return before.acceptedAtMs === undefined || before.acceptedAtMs > fault.fromMs - SETTLE_MS;
}

/** How often a publish may have been stored beyond once: for each time its client sent it again. */
function copiesExcused({ sends }: Published): number {
  return Math.max(0, sends - 1);
}

/**
 * Deliveries that the client never saw are not in the history: the holder of a message can die with it on its way, and
 * then its first delivery seen comes late. So a fault excuses what was overtaken while it lasted, or just before.
 * Where the only consumer came after all faults, nothing is excused.
 */
function findDisorder(history: History, queue: QueueUnderTest, verdict: Verdict): void {
  const seen = new Set<string>();
  /** By consumer and publisher: first deliveries that were later than all before, in order. */
  const fronts = new Map<string, { place: number; atMs: number }[]>();
  for (const delivery of history.deliveries) {
    if (delivery.queue !== queue.name || seen.has(delivery.id)) continue;
    seen.add(delivery.id);
    const { publisher, place, outcome } = history.published.get(delivery.id) ?? {};
    // What was refused may be stored all the same, whenever.
    if (publisher === undefined || place === undefined || outcome !== 'ok') continue;
    const stream = `${delivery.consumer} ${publisher}`;
    const front = fronts.get(stream);
    const newest = front?.at(-1);
    if (front === undefined || newest === undefined) fronts.set(stream, [{ place, atMs: delivery.atMs }]);
    else if (place > newest.place) front.push({ place, atMs: delivery.atMs });
    else {
      const overtaker = front.find((before) => before.place > place) as { place: number; atMs: number };
      const isExcused =
        queue.order === 'consumer' &&
        history.faults.some(
          ({ fromMs, toMs, queue: of = queue.name }) =>
            of === queue.name &&
            overtaker.atMs > fromMs - SETTLE_MS &&
            overtaker.atMs <= toMs &&
            delivery.atMs >= fromMs,
        );
      if (!isExcused) verdict.disordered.push(`${describe(delivery)} after ${publisher}'s ${overtaker.place}`);
    }
  }
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
  for (const published of history.published.values()) {
    if (!queue.takes(published.topic)) continue;
    if (published.outcome === 'ok') least++;
    if (published.sends > 0) most += 1 + copiesExcused(published);
  }
  if (figures.published_total < least || figures.published_total > most) {
    found.push(`${name}: ${figures.published_total} entered, where clients know of ${least} to ${most}`);
  }
  return found;
}

function describe({ id, queue, topic, consumer }: Delivery): string {
  return `${id} on ${topic}, delivered by ${queue} to ${consumer}`;
}
