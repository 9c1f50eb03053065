import type { Verdict } from '../faults/queue-checker.ts';
import type { FaultReport, RoundReport } from './fault-rounds.ts';

/**
 * What is left of a long run: a line for each round and one for each fault, as JSON, and a table for people. `held`: all of
 * it was as promised. `BEYOND BOUNDS`: nothing was lost, invented, repeated or disordered, but something took longer than
 * promised, or the round did not show what it is for. `BROKEN`: a promise about messages was broken, or nobody can say.
 */
export type Outcome = 'held' | 'BEYOND BOUNDS' | 'BROKEN' | 'LEFT OUT';

export interface Row {
  fault: string;
  outcome: Outcome;
  why: readonly string[];
  report?: FaultReport;
}

export function outcomeOf({ broken, isSafe }: FaultReport): Outcome {
  if (broken.length === 0) return 'held';
  return isSafe ? 'BEYOND BOUNDS' : 'BROKEN';
}

export function rowOf(report: FaultReport): Row {
  return { fault: report.fault, outcome: outcomeOf(report), why: report.broken, report };
}

export function roundLine(
  { round, what, gaps, restMs, lateMs, beyond, verdict }: RoundReport,
  of: { fault: string; seed: number; commit: string },
): Record<string, unknown> {
  return {
    ...of,
    round,
    at: new Date().toISOString(),
    what,
    gapMs: Math.round(gaps.publisherMs),
    anybodyGapMs: Math.round(gaps.anybodyMs),
    resumeMs: Math.round(gaps.resumeMs),
    restMs: Math.round(restMs),
    lateMs: Math.round(lateMs),
    beyond,
    // Of this round and all before it.
    ...countsOf(verdict),
  };
}

export function runLine(
  report: FaultReport,
  { commit, startedMs }: { commit: string; startedMs: number },
): Record<string, unknown> {
  const { fault, seed, verdict, rounds, broken } = report;
  return {
    at: new Date(startedMs).toISOString(),
    ...{ commit, fault, seed, rounds: rounds.length },
    outcome: outcomeOf(report),
    ...(verdict === undefined ? {} : countsOf(verdict)),
    lonelyLosses: report.lonelyLosses,
    gapMedianMs: Math.round(report.gapMedianMs),
    gapWorstMs: Math.round(report.gapWorstMs),
    resumeWorstMs: Math.round(report.resumeWorstMs),
    restWorstMs: Math.round(report.restWorstMs),
    seconds: Math.round((Date.now() - startedMs) / 1_000),
    broken: broken.map((what) => what.slice(0, 500)),
    kept: report.kept,
  };
}

function countsOf(verdict: Verdict): Record<string, number> {
  return {
    published: verdict.publishes,
    acknowledged: verdict.acknowledged,
    delivered: verdict.deliveries,
    duplicates: verdict.duplicates,
    copies: verdict.copies,
    takenBack: verdict.takenBack,
    lost: verdict.lost.length,
    invented: verdict.invented.length,
    repeated: verdict.repeated.length,
    resurrected: verdict.resurrected.length,
    backwards: verdict.backwards.length,
    disordered: verdict.disordered.length,
    miscounted: verdict.miscounted.length,
  };
}

const HEAD = [
  ...['fault', 'rounds', 'acknowledged', 'lost', 'invented', 'dup excused', 'taken back', 'not', 'order', 'other'],
  ...['gap median', 'gap worst', 'verdict'],
];

/** One line a fault, then what was wrong with which. */
export function formatTable(rows: readonly Row[], { seed, commit }: { seed: number; commit: string }): string {
  const cells = rows.map(({ fault, outcome, report }) => {
    const verdict = report?.verdict;
    if (report === undefined || verdict === undefined) return [fault, ...Array(HEAD.length - 2).fill('-'), outcome];
    const { lost, invented, repeated, resurrected, backwards, disordered, miscounted, duplicates } = verdict;
    const counts = [
      report.rounds.length,
      verdict.acknowledged,
      ...[lost.length, invented.length, duplicates - repeated.length, verdict.takenBack, repeated.length],
      backwards.length + disordered.length,
      resurrected.length + miscounted.length,
    ];
    const gaps = [report.gapMedianMs, report.gapWorstMs].map((ms) => `${Math.round(ms)} ms`);
    return [fault, ...counts.map(String), ...gaps, outcome];
  });
  const table = [HEAD, ...cells];
  const widths = HEAD.map((_, column) => Math.max(...table.map((row) => (row[column] as string).length)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] as number))
      .join('  ')
      .trimEnd(),
  );
  const wrong = rows.filter(({ outcome }) => outcome !== 'held');
  for (const { fault, outcome, why, report } of wrong) {
    for (const told of why) lines.push(`${fault} ${outcome}: ${told}`);
    if (report?.kept !== undefined) lines.push(`${fault} history and logs: ${report.kept}`);
  }
  const held = rows.length - wrong.length;
  lines.push(`${held} of ${rows.length} held (seed ${seed}, commit ${commit})`);
  return lines.join('\n');
}
