// npm run planted [-- --only TEXT --from N]: plants each bug in turn; exits with 1 when the tests let one live.
import { Command } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { tryToKill } from './kill.ts';
import { PLANTED } from './lists.ts';

const { only, from } = new Command('npm run planted --')
  .description('plant each known bug in turn and see that the tests kill it')
  .option('--only <TEXT>', 'only bugs whose name or file contains this', '')
  .option('--from <N>', 'of these, from the one that has this number on', wholeNumber(), 1)
  .parse()
  .opts<{ only: string; from: number }>();

const survivors: string[] = [];
const chosen = PLANTED.flatMap(({ tests, bugs }) => bugs.map((bug) => ({ tests, bug }))).filter(({ bug }) =>
  `${bug.file} ${bug.name}`.includes(only),
);
for (const [i, { tests, bug }] of chosen.entries()) {
  if (i + 1 < from) continue;
  const { killed, by, seconds } = await tryToKill(bug, tests);
  process.stdout.write(`${i + 1}/${chosen.length} ${killed ? 'killed' : 'LIVES '} ${seconds} s  ${bug.name}\n`);
  if (killed) process.stdout.write(`         by ${by}\n`);
  else survivors.push(`${bug.name} (${bug.file})`);
}
const tried = Math.max(0, chosen.length - from + 1);
process.stdout.write(`${tried - survivors.length} of ${tried} planted bugs killed\n`);
for (const survivor of survivors) process.stdout.write(`lives: ${survivor}\n`);
process.exitCode = survivors.length === 0 && tried > 0 ? 0 : 1;
