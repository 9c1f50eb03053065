import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededPrng } from '@sluice/common/prng';
import { pause } from '../faults/kill-rounds.ts';
import { type Load, until } from '../faults/load.ts';
import {
  checkHistory,
  formatVerdict,
  isClean,
  lonelyLosses,
  type QueueFigures,
  type Verdict,
} from '../faults/queue-checker.ts';
import { loadCluster } from './cluster-load.ts';
import { type ClusterOptions, ClusterUnderTest } from './cluster-under-test.ts';
import type { FaultKind } from './fault.ts';
import { type Gaps, measureGaps, median } from './gaps.ts';
import { StandstillWatch } from './standstill.ts';

export interface RoundsOptions {
  rounds: number;
  seed: number;
  /** How long clients work before each fault and after it. */
  calmMs: number;
  /** By how much bounds are widened, where other things run on the machine. */
  patience?: number;
  /** False: leaders may be where the fault left them. It takes ten seconds until a store that was away is trusted to stay. */
  awaitsBalance?: boolean;
  onRound?(report: RoundReport): void;
  /** What cannot wait for the end of the round. */
  say?(text: string): void;
}

export interface RoundReport {
  round: number;
  what: string;
  gaps: Gaps;
  restMs: number;
  /** By how much this process was late at most: the times are no better than that. */
  lateMs: number;
  /** What was not as promised, besides how long things took. */
  beyond: string[];
  /** Which promises were broken, besides those of queues. */
  broke: string[];
  /** Of everything so far. */
  verdict: Verdict;
}

export interface FaultReport {
  fault: string;
  seed: number;
  rounds: RoundReport[];
  verdict: Verdict | undefined;
  gapMedianMs: number;
  gapWorstMs: number;
  resumeWorstMs: number;
  restWorstMs: number;
  /** Nothing was lost, invented, repeated, resurrected or disordered; how soon it was well again is another matter. */
  isSafe: boolean;
  /** Consumers that lost their connection while no fault was made. */
  lonelyLosses: number;
  /** Empty when it held. */
  broken: string[];
  /** Where the history and the logs are, when it did not. */
  kept: string | undefined;
}

const REST_PATIENCE_MS = 120_000;
const DRAIN_MS_MAX = 60_000;
const KNOWN_MS_MAX = 5_000;
const FLOW_MS_MAX = 30_000;

/** A cluster under load, on which faults are made. */
export interface Ground {
  cluster: ClusterUnderTest;
  load: Load;
}

export async function prepareGround(options: ClusterOptions | undefined, seed: number): Promise<Ground> {
  const cluster = await ClusterUnderTest.start(options);
  try {
    return { cluster, load: await loadCluster(cluster, seed) };
  } catch (cause) {
    await cluster.dispose();
    throw cause;
  }
}

export async function leaveGround({ cluster, load }: Ground): Promise<void> {
  load.end();
  await cluster.dispose();
}

/**
 * One fault, round after round, on one cluster under one load: calm, the fault, healing, rest, calm, drain, check. The
 * history grows over all rounds: a message of the first may not vanish or come back in the last.
 */
export async function faultRounds(ground: Ground, fault: FaultKind, options: RoundsOptions): Promise<FaultReport> {
  const prng = new SeededPrng(options.seed);
  const rounds: RoundReport[] = [];
  const broken: string[] = [];
  const { cluster, load } = ground;
  const watch = new StandstillWatch(cluster, load, options.say ?? (() => {}));
  let verdict: Verdict | undefined;
  try {
    for (let round = 1; round <= options.rounds; round++) {
      watch.takeLateMs();
      const judged = await oneRound(fault, ground, prng, round, options);
      const report = { ...judged, lateMs: watch.takeLateMs() };
      verdict = report.verdict;
      rounds.push(report);
      options.onRound?.(report);
      broken.push(...report.broke);
      if (isClean(verdict) === (fault.mustLose !== true)) continue;
      if (fault.mustLose !== true) broken.push(formatVerdict(verdict));
      break;
    }
  } catch (cause) {
    // Not drained, so nothing can be said of what is missing.
    broken.push(String(cause));
  } finally {
    watch.stop();
  }
  const report: FaultReport = {
    fault: fault.id,
    seed: options.seed,
    rounds,
    verdict,
    gapMedianMs: median(rounds.map(({ gaps }) => gaps.publisherMs)),
    gapWorstMs: Math.max(0, ...rounds.map(({ gaps }) => gaps.publisherMs)),
    resumeWorstMs: Math.max(0, ...rounds.map(({ gaps }) => gaps.resumeMs)),
    restWorstMs: Math.max(0, ...rounds.map(({ restMs }) => restMs)),
    isSafe:
      rounds.length === options.rounds &&
      verdict !== undefined &&
      isClean(verdict) &&
      rounds.every(({ broke }) => broke.length === 0),
    lonelyLosses: lonelyLosses(load.history),
    broken,
    kept: undefined,
  };
  broken.push(...beyondBounds(fault, report, options.patience ?? 1));
  if (broken.length > 0) report.kept = keep(cluster, load, report);
  return report;
}

async function oneRound(
  fault: FaultKind,
  { cluster, load }: Ground,
  prng: SeededPrng,
  round: number,
  { calmMs, awaitsBalance = true }: RoundsOptions,
): Promise<Omit<RoundReport, 'lateMs'>> {
  const { history } = load;
  load.start();
  const publishers = new Set<string>();
  const known = history.published.size;
  await until('every publisher to be heard', performance.now() + FLOW_MS_MAX, async () => {
    let n = 0;
    for (const { publisher = '', outcome } of history.published.values()) {
      if (n++ >= known && outcome === 'ok') publishers.add(publisher);
    }
    return publishers.size === load.publishers;
  });
  await pause(calmMs / 2 + prng.below(calmMs / 2));
  const fromMs = performance.now();
  const interval = { kind: fault.id, fromMs, toMs: Number.POSITIVE_INFINITY };
  history.faults.push(interval);
  let healedMs: number | undefined;
  const healed = () => {
    healedMs = performance.now();
  };
  const beyond: string[] = [];
  const broke: string[] = [];
  const what = await fault.strike({
    ...{ cluster, load, prng, round, healed },
    beyond: (told) => beyond.push(`round ${round}: ${told}`),
    broke: (told) => broke.push(`round ${round}: ${told}`),
  });
  healedMs ??= performance.now();
  const strikeEndMs = performance.now();
  const restMs =
    strikeEndMs -
    Math.min(strikeEndMs, healedMs) +
    (await cluster.atRest(REST_PATIENCE_MS, { balanced: awaitsBalance }));
  interval.toMs = performance.now();
  await pause(calmMs);
  const untilMs = performance.now();
  const figures = await load.drain(() => cluster.rest(cluster.gateways()[0]?.name as string), DRAIN_MS_MAX);
  const verdict = checkHistory(history, figures);
  verdict.miscounted.push(...(await disagreements(cluster, load, figures)));
  return { round, what, gaps: measureGaps(history, fromMs, healedMs, untilMs), restMs, beyond, broke, verdict };
}

/**
 * Whoever is asked says the same of queues in which nothing moves. While a leadership moves, and some still do after a
 * restart of all stores, a node says that it does not know; not for long.
 */
async function disagreements(
  cluster: ClusterUnderTest,
  load: Load,
  expected: ReadonlyMap<string, QueueFigures>,
): Promise<string[]> {
  const found: string[] = [];
  for (const { name, isRunning } of cluster.nodes) {
    if (!isRunning) continue;
    const told = await until(`${name} to know every queue`, performance.now() + KNOWN_MS_MAX, async () => {
      const now = await load.figures(cluster.rest(name));
      return [...now.values()].every((figures) => figures !== undefined) && now;
    });
    for (const [queue, figures] of told) {
      for (const key of ['depth_messages', 'inflight_messages', 'published_total', 'accepted_total'] as const) {
        const [says, known] = [figures?.[key], expected.get(queue)?.[key]];
        if (says !== known) found.push(`${name} says ${key} of ${queue} is ${says}, another node said ${known}`);
      }
    }
  }
  return found;
}

function beyondBounds(
  { bounds, noDuplicates = false, keepsHeld = false, mustLose = false }: FaultKind,
  report: FaultReport,
  patience: number,
): string[] {
  const found = report.rounds.flatMap(({ beyond }) => beyond);
  const { verdict, gapMedianMs, gapWorstMs, resumeWorstMs, restWorstMs } = report;
  if (mustLose) return verdict?.lost.length === 0 ? ['nothing was lost, so the test proves nothing'] : [];
  const over = (what: string, ms: number, limitMs: number | undefined) => {
    if (limitMs !== undefined && ms > limitMs * patience)
      found.push(`${what} ${Math.round(ms)} ms, allowed are ${limitMs}`);
  };
  over('the median of the longest waits of a publisher is', gapMedianMs, bounds.gapMedianMs);
  over('a publisher waited', gapWorstMs, bounds.gapWorstMs);
  over('until every queue took and gave again it took', resumeWorstMs, bounds.resumeMs);
  over('until everything was at rest it took', restWorstMs, bounds.restMs);
  // Where the machine is busy with other things a gateway may be too late to say what its clients hold.
  if (keepsHeld && patience === 1 && (verdict?.takenBack ?? 0) > 0)
    found.push(`${verdict?.takenBack} messages were taken from consumers that were there: none may be`);
  if (noDuplicates && (verdict?.duplicates ?? 0) > 0) found.push(`${verdict?.duplicates} duplicates, none is allowed`);
  return found;
}

/** The history and the logs, for whoever looks for the cause. */
function keep(cluster: ClusterUnderTest, load: Load, report: FaultReport): string {
  const folder = join(tmpdir(), `sluice-faults-${report.fault}-${report.seed}-${Date.now()}`);
  mkdirSync(folder);
  for (const { name, logFile } of cluster.logs) {
    if (existsSync(logFile)) copyFileSync(logFile, join(folder, `${name}.log`));
  }
  const { history } = load;
  const origin = { startedAt: new Date(performance.timeOrigin).toISOString() };
  const lines = [
    { ...origin, broken: report.broken },
    ...history.faults.map((fault) => ({ fault })),
    ...history.drainsMs.map((drainedMs) => ({ drainedMs })),
    ...[...history.published].map(([id, published]) => ({ id, ...published })),
    ...history.deliveries.map((delivery) => ({ delivery })),
  ];
  writeFileSync(join(folder, 'history.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return folder;
}
