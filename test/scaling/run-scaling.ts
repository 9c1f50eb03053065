import { parseArgs } from 'node:util';
import { FIRST_NODE_LOST } from './first-node-lost.ts';
import { DEAD_LEAVES, DISK_LOST, GIVEN_UP, LOG_DAMAGED, LOG_ROTTEN } from './lost-data.ts';
import { formatPlay, type Play, play, seconds } from './play.ts';
import { resize } from './resize.ts';
import { DRAINED, NO_COORDINATORS } from './service.ts';

// npm run scaling -- --steps 3,5,3 --form compact
const { values } = parseArgs({
  options: {
    play: { type: 'string', default: 'resize' },
    steps: { type: 'string', default: '3,5,3' },
    form: { type: 'string', default: 'compact' },
    seed: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
  },
});
const steps = values.steps.split(',').map(Number);
const { form } = values;
if (form !== 'compact' && form !== 'tiers') throw new Error(`--form is compact or tiers, not ${form}`);
if (steps.some((count) => !(count >= 1 && count <= 9))) throw new Error('--steps are numbers of stores, such as 3,5,3');

const PLAYS = new Map<string, Play>([
  ['resize', resize({ steps, form })],
  ['first-lost', FIRST_NODE_LOST],
  ['disk-lost', DISK_LOST],
  ['log-damaged', LOG_DAMAGED],
  ['log-rotten', LOG_ROTTEN],
  ['given-up', GIVEN_UP],
  ['dead-leaves', DEAD_LEAVES],
  ['drain', DRAINED],
  ['no-coordinators', NO_COORDINATORS],
]);

let allHeld = true;
for (const name of values.play.split(',')) {
  const chosen = PLAYS.get(name);
  if (chosen === undefined) throw new Error(`there is no play ${name}: choose of ${[...PLAYS.keys()].join(', ')}`);
  const fromMs = performance.now();
  const say = (text: string): void => console.log(`${seconds(performance.now() - fromMs).padStart(8)}  ${text}`);
  say(`${name}${name === 'resize' ? ` (${form}) 1 -> ${steps.join(' -> ')}` : ''}`);
  const report = await play(chosen, { seed: Number(values.seed), say, keep: values.keep });
  console.log(`${name} ${formatPlay(report)}`);
  if (report.broken.length > 0) allHeld = false;
}
process.exit(allHeld ? 0 : 1);
