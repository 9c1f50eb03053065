import { parseArgs } from 'node:util';
import { wholeNumber } from '../harness/whole-number.mjs';
import { randomDamage } from './random-damage.ts';

// npm run faults:damage -- --trials 50 --seed 1
const { values } = parseArgs({
  options: { trials: { type: 'string', default: '50' }, seed: { type: 'string', default: '1' } },
});

const counts = await randomDamage({
  trials: wholeNumber(values.trials, 'trials'),
  seed: wholeNumber(values.seed, 'seed', 0),
  onTrial(trial, what, { kind, text }) {
    console.log(`trial ${trial}: ${what}: ${kind}${text === '' ? '' : `: ${text.slice(0, 1_000)}`}`);
  },
});
const figures = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
const silent = counts.get('silent') ?? 0;
console.log(`${silent === 0 ? 'held' : 'BROKEN'}: ${values.trials} random damages: ${figures}`);
process.exit(silent === 0 ? 0 : 1);
