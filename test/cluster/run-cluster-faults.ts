import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { formatVerdict } from '../faults/queue-checker.ts';
import { FAULTS } from './all-faults.ts';
import { type FaultReport, faultRounds, leaveGround, prepareGround } from './fault-rounds.ts';

// npm run faults:cluster -- --fault F1,F3 --rounds 20 --seed 1 --ledger FILE
const { values } = parseArgs({
  options: {
    fault: { type: 'string', default: FAULTS.map(({ id }) => id).join(',') },
    rounds: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    calm: { type: 'string', default: '2000' },
    ledger: { type: 'string' },
  },
});

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
let allHeld = true;
for (const id of values.fault.split(',')) {
  const fault = FAULTS.find((known) => known.id === id);
  if (fault === undefined)
    throw new Error(`there is no fault ${id}: choose of ${FAULTS.map((known) => known.id).join(', ')}`);
  const missing = (fault.needs ?? []).filter((tool) => !tool.isPresent());
  if (missing.length > 0) {
    console.log(`${id} LEFT OUT: ${missing.map(({ name, install }) => `${name} is missing (${install})`).join(', ')}`);
    continue;
  }
  console.log(`${id}: ${fault.title}`);
  const startedMs = Date.now();
  const ground = await prepareGround(fault.cluster, Number(values.seed)).catch((cause: Error) => cause);
  if (ground instanceof Error) {
    allHeld = false;
    console.log(`BROKEN ${id}: the cluster did not form: ${ground.message}`);
    continue;
  }
  const report = await faultRounds(ground, fault, {
    rounds: Number(values.rounds),
    seed: Number(values.seed),
    calmMs: Number(values.calm),
    onRound({ round, what, gaps, restMs, verdict }) {
      const { publisherMs, anybodyMs, resumeMs, resumedLast } = gaps;
      const waits = `gap ${Math.round(publisherMs)} ms (anybody ${Math.round(anybodyMs)}), resumed in ${Math.round(resumeMs)} ms (${resumedLast}), at rest in ${Math.round(restMs)} ms`;
      console.log(`  ${round}: ${what}; ${waits}; so far ${formatVerdict(verdict)}`);
    },
  });
  await leaveGround(ground);
  if (report.broken.length > 0) allHeld = false;
  console.log(summary(report));
  for (const what of report.broken) console.log(`  BROKEN: ${what}`);
  if (report.kept !== undefined) console.log(`  history and logs: ${report.kept}`);
  if (values.ledger !== undefined) appendFileSync(values.ledger, `${JSON.stringify(ledgerLine(report, startedMs))}\n`);
}
process.exit(allHeld ? 0 : 1);

function summary(report: FaultReport): string {
  const { fault, verdict, rounds, gapMedianMs, gapWorstMs, resumeWorstMs, restWorstMs, broken } = report;
  const waits = `gap median ${Math.round(gapMedianMs)} ms, worst ${Math.round(gapWorstMs)} ms; resumed within ${Math.round(resumeWorstMs)} ms, at rest within ${Math.round(restWorstMs)} ms; ${report.lonelyLosses} connections of consumers lost without a fault`;
  const figures = verdict === undefined ? 'no verdict' : formatVerdict(verdict).split('\n')[0];
  return `${broken.length === 0 ? 'held' : report.isSafe ? 'BEYOND BOUNDS' : 'BROKEN'} ${fault}: ${rounds.length} rounds, ${figures}; ${waits}`;
}

function ledgerLine(report: FaultReport, startedMs: number): Record<string, unknown> {
  const { fault, seed, verdict, rounds, broken } = report;
  const round = Math.round;
  return {
    at: new Date(startedMs).toISOString(),
    commit,
    fault,
    seed,
    rounds: rounds.length,
    held: broken.length === 0,
    safe: report.isSafe,
    published: verdict?.publishes,
    acknowledged: verdict?.acknowledged,
    delivered: verdict?.deliveries,
    duplicates: verdict?.duplicates,
    copies: verdict?.copies,
    lost: verdict?.lost.length,
    invented: verdict?.invented.length,
    repeated: verdict?.repeated.length,
    resurrected: verdict?.resurrected.length,
    backwards: verdict?.backwards.length,
    disordered: verdict?.disordered.length,
    miscounted: verdict?.miscounted.length,
    lonelyLosses: report.lonelyLosses,
    gapMedianMs: round(report.gapMedianMs),
    gapWorstMs: round(report.gapWorstMs),
    resumeWorstMs: round(report.resumeWorstMs),
    restWorstMs: round(report.restWorstMs),
    seconds: round((Date.now() - startedMs) / 1_000),
    broken: broken.map((what) => what.slice(0, 500)),
  };
}
