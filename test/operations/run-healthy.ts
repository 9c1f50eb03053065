// npm run healthy: the cluster of `npm run cluster` under the work of the demos, with the shipped rules: no alert may fire.
import { Command } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { watchHealthy } from './healthy.ts';

const { minutes } = new Command('npm run healthy --')
  .description('watch a healthy cluster with the shipped alert rules, and fail when one fires')
  .option('--minutes <NUMBER>', 'how long', wholeNumber(), 30)
  .parse()
  .opts<{ minutes: number }>();

const beganMs = performance.now();
const say = (text: string): void => {
  process.stdout.write(`${((performance.now() - beganMs) / 1_000).toFixed(0).padStart(5)} s  ${text}\n`);
};
const health = await watchHealthy({ minutes, say });
for (const alert of health.passing) say(`came near: ${alert}`);
for (const alert of health.fired) say(`FIRED: ${alert}`);
for (const problem of health.void) say(`SAYS NOTHING: ${problem}`);
const isGood = health.fired.length === 0 && health.void.length === 0;
say(`${health.fired.length} alerts fired in ${minutes} minutes, ${health.acknowledged} messages worked off`);
process.exit(isGood ? 0 : 1);
