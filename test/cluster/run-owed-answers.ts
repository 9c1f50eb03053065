import { Command } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { format, isOwedNothing, owedAnswers } from './answers/owed-answers.ts';

const options = new Command('npm run faults:answers --')
  .description('every publish is answered or its connection ends, whatever becomes of nodes and links')
  .option('--minutes <N>', 'how long', wholeNumber(), 10)
  .option('--seed <N>', 'faults and clients are drawn by it', wholeNumber(0), 1)
  .option('--clients <N>', 'how many', wholeNumber(), 48)
  .parse()
  .opts<{ minutes: number; seed: number; clients: number }>();

const verdict = await owedAnswers({
  forMs: options.minutes * 60_000,
  seed: options.seed,
  clients: options.clients,
  say: (text) => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`),
});
console.log(`${isOwedNothing(verdict) ? 'held' : 'BROKEN'}: ${format(verdict)}`);
process.exit(isOwedNothing(verdict) ? 0 : 1);
