import { Command, InvalidArgumentError, Option } from 'commander';
import type { LayoutName } from '../cluster/cluster-under-test.ts';
import { wholeNumber } from '../harness/whole-number.mjs';
import { FIRST_NODE_LOST } from './first-node-lost.ts';
import { DEAD_LEAVES, DISK_LOST, GIVEN_UP, LOG_DAMAGED, LOG_ROTTEN } from './lost-data.ts';
import { formatPlay, type Play, play, seconds } from './play.ts';
import { resize } from './resize.ts';
import { DRAINED, NO_COORDINATORS } from './service.ts';

const PLAYS = {
  resize,
  'first-lost': () => FIRST_NODE_LOST,
  'disk-lost': () => DISK_LOST,
  'log-damaged': () => LOG_DAMAGED,
  'log-rotten': () => LOG_ROTTEN,
  'given-up': () => GIVEN_UP,
  'dead-leaves': () => DEAD_LEAVES,
  drain: () => DRAINED,
  'no-coordinators': () => NO_COORDINATORS,
} satisfies Record<string, (options: { steps: number[]; form: LayoutName }) => Play>;
type PlayName = keyof typeof PLAYS;
const names = Object.keys(PLAYS) as PlayName[];

const options = new Command('npm run scaling --')
  .description('stores come and go under load, and lose their disks: nothing is lost')
  .addOption(
    new Option('--play <NAMES>', `which, with commas between: ${names.join(', ')}`)
      .argParser(playsOf)
      .default(['resize'], 'resize'),
  )
  .addOption(
    new Option('--steps <COUNTS>', 'numbers of stores, one after the other')
      .argParser(stepsOf)
      .default([3, 5, 3], '3,5,3'),
  )
  .addOption(new Option('--form <NAME>', 'who has which roles').choices(['compact', 'tiers']).default('compact'))
  .option('--seed <N>', 'what the load does is drawn by it', wholeNumber(0), 1)
  .option('--keep', 'data and logs stay where they are', false)
  .parse()
  .opts<{ play: PlayName[]; steps: number[]; form: LayoutName; seed: number; keep: boolean }>();
const { steps, form, seed, keep } = options;

let allHeld = true;
for (const name of options.play) {
  const chosen = PLAYS[name]({ steps, form });
  const fromMs = performance.now();
  const say = (text: string): void => console.log(`${seconds(performance.now() - fromMs).padStart(8)}  ${text}`);
  say(`${name}${name === 'resize' ? ` (${form}) 1 -> ${steps.join(' -> ')}` : ''}`);
  const report = await play(chosen, { seed, say, keep });
  console.log(`${name} ${formatPlay(report)}`);
  if (report.broken.length > 0) allHeld = false;
}
process.exit(allHeld ? 0 : 1);

function playsOf(text: string): PlayName[] {
  return text.split(',').map((name) => {
    const found = names.find((known) => known === name);
    if (found === undefined) throw new InvalidArgumentError(`There is no play ${name}: choose of ${names.join(', ')}.`);
    return found;
  });
}

function stepsOf(text: string): number[] {
  const steps = text.split(',').map(Number);
  if (steps.every((count) => Number.isInteger(count) && count >= 1 && count <= 9)) return steps;
  throw new InvalidArgumentError('Numbers of stores from 1 to 9, such as 3,5,3.');
}
