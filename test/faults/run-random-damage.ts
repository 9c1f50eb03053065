import { Command } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { randomDamage } from './random-damage.ts';

const { trials, seed } = new Command('npm run faults:damage --')
  .description('files of a broker are damaged: they are repaired, refused by name, or told; never silent')
  .option('--trials <N>', 'how many damages', wholeNumber(), 50)
  .option('--seed <N>', 'what is damaged is drawn by it', wholeNumber(0), 1)
  .parse()
  .opts<{ trials: number; seed: number }>();

const counts = await randomDamage({
  trials,
  seed,
  onTrial(trial, what, { kind, text }) {
    console.log(`trial ${trial}: ${what}: ${kind}${text === '' ? '' : `: ${text.slice(0, 1_000)}`}`);
  },
});
const figures = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
const silent = counts.get('silent') ?? 0;
console.log(`${silent === 0 ? 'held' : 'BROKEN'}: ${trials} random damages: ${figures}`);
process.exit(silent === 0 ? 0 : 1);
