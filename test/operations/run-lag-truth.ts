import { Command } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { lagRounds } from './lag-truth.ts';

const plan = new Command('npm run lag:check --')
  .description('depth and lag in the metrics are those of the queues, whoever leads them')
  .option('--moves <N>', 'how often a partition gets another leader', wholeNumber(), 50)
  .option('--queues <N>', 'how many', wholeNumber(), 30)
  .option('--messages <N>', 'to each of them', wholeNumber(), 200)
  .parse()
  .opts<{ moves: number; queues: number; messages: number }>();

const { moves, rounds, compared, lagErrorS } = await lagRounds(plan, (line) => console.log(line));
console.log(`${plan.queues} queues, ${rounds} rounds, ${moves} moves of leaders: ${compared} counts were exact,`);
console.log(`no lag in seconds was off by more than ${lagErrorS.toFixed(3)} s`);
process.exit(0);
