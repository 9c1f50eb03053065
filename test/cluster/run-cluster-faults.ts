import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatVerdict } from '../faults/queue-checker.ts';
import { wholeNumber } from '../harness/whole-number.mjs';
import { FAULTS } from './all-faults.ts';
import type { FaultKind } from './fault.ts';
import { faultRounds, leaveGround, prepareGround } from './fault-rounds.ts';
import { formatTable, outcomeOf, type Row, roundLine, rowOf, runLine } from './ledger.ts';

const options = new Command('npm run faults:cluster --')
  .description('faults on a cluster of real processes under load: nothing acknowledged is lost, and all goes on')
  .addOption(new Option('--fault <IDS>', 'which, with commas between').argParser(faultsOf).default(FAULTS, 'all'))
  .option('--rounds <N>', 'of each', wholeNumber(), 3)
  .option('--seed <N>', 'what fails, and when, is drawn by it', wholeNumber(0), 1)
  .option('--calm <MS>', 'load between two faults', wholeNumber(0), 2_000)
  .option('--ledger <FILE>', 'each round is added to it, a line of JSON')
  .addHelpText('after', `\nFaults:\n${FAULTS.map(({ id, title }) => `  ${id.padEnd(4)} ${title}`).join('\n')}`)
  .parse()
  .opts<{ fault: readonly FaultKind[]; rounds: number; seed: number; calm: number; ledger?: string }>();

const commit = commitOf();
const { fault: faults, rounds, seed, calm: calmMs } = options;
const rows: Row[] = [];
for (const [i, fault] of faults.entries()) rows.push(await run(fault, `${i + 1} of ${faults.length}`));
console.log(`\n${formatTable(rows, { seed, commit })}`);
process.exit(rows.every(({ outcome }) => outcome === 'held' || outcome === 'LEFT OUT') ? 0 : 1);

/** For the ledger; sources that were unpacked from an archive have none. */
function commitOf(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return 'no commit';
  }
}

function faultsOf(text: string): FaultKind[] {
  return text.split(',').map((id) => {
    const found = FAULTS.find((known) => known.id === id);
    if (found === undefined)
      throw new InvalidArgumentError(
        `There is no fault ${id}: choose of ${FAULTS.map((known) => known.id).join(', ')}.`,
      );
    return found;
  });
}

async function run(fault: FaultKind, place: string): Promise<Row> {
  const { id, title } = fault;
  const missing = (fault.needs ?? []).filter((tool) => !tool.isPresent());
  if (missing.length > 0) {
    const why = missing.map(({ name, install }) => `${name} is missing (${install})`).join(', ');
    say(`${id} LEFT OUT: ${why}`);
    return { fault: id, outcome: 'LEFT OUT', why: [why] };
  }
  say(`${id} (${place}): ${title}; ${rounds} rounds`);
  const startedMs = Date.now();
  const ground = await prepareGround(fault.cluster, seed).catch((cause: Error) => cause);
  if (ground instanceof Error) {
    say(`${id} BROKEN: the cluster did not form: ${ground.message}`);
    return { fault: id, outcome: 'BROKEN', why: ['the cluster did not form'] };
  }
  const report = await faultRounds(ground, fault, {
    ...{ rounds, seed, calmMs },
    say: (text) => say(`  ${text}`),
    onRound(round) {
      const { what, gaps, restMs, lateMs, beyond, verdict } = round;
      const ms = Math.round;
      say(`  round ${round.round} of ${rounds}: ${what}`);
      say(
        `    a publisher waited ${ms(gaps.publisherMs)} ms at most, all of them together ${ms(gaps.anybodyMs)} ms; every queue worked again after ${ms(gaps.resumeMs)} ms (last ${gaps.resumedLast}), at rest after ${ms(restMs)} ms; this process was late by at most ${ms(lateMs)} ms`,
      );
      say(`    so far ${formatVerdict(verdict)}`);
      for (const told of beyond) say(`    BEYOND BOUNDS: ${told}`);
      note(roundLine(round, { fault: id, seed, commit }));
    },
  });
  await leaveGround(ground);
  say(`${id} ${outcomeOf(report)}`);
  for (const what of report.broken) say(`  because: ${what}`);
  if (report.kept !== undefined) say(`  history and logs: ${report.kept}`);
  note(runLine(report, { commit, startedMs }));
  return rowOf(report);
}

/** With the time, so that what is said can be laid beside the logs of the nodes. */
function say(text: string): void {
  console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);
}

function note(line: Record<string, unknown>): void {
  if (options.ledger !== undefined) appendFileSync(options.ledger, `${JSON.stringify(line)}\n`);
}
