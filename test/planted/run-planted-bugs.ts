// npm run planted [-- --only TEXT]: plants each bug in turn; exits with 1 when the tests let one live.
import { Command } from 'commander';
import { tryToKill } from './kill.ts';
import { PLANTED } from './lists.ts';

const { only } = new Command('npm run planted --')
  .description('plant each known bug in turn and see that the tests kill it')
  .option('--only <TEXT>', 'only bugs whose name or file contains this', '')
  .parse()
  .opts<{ only: string }>();

const survivors: string[] = [];
const chosen = PLANTED.flatMap(({ tests, bugs }) => bugs.map((bug) => ({ tests, bug }))).filter(({ bug }) =>
  `${bug.file} ${bug.name}`.includes(only),
);
for (const [i, { tests, bug }] of chosen.entries()) {
  const { killed, by, seconds } = await tryToKill(bug, tests);
  process.stdout.write(`${i + 1}/${chosen.length} ${killed ? 'killed' : 'LIVES '} ${seconds} s  ${bug.name}\n`);
  if (killed) process.stdout.write(`         by ${by}\n`);
  else survivors.push(`${bug.name} (${bug.file})`);
}
process.stdout.write(`${chosen.length - survivors.length} of ${chosen.length} planted bugs killed\n`);
for (const survivor of survivors) process.stdout.write(`lives: ${survivor}\n`);
process.exitCode = survivors.length === 0 && chosen.length > 0 ? 0 : 1;
