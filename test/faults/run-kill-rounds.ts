import { Command } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { killRounds } from './kill-rounds.ts';
import { formatVerdict, isClean } from './queue-checker.ts';

const options = new Command('npm run faults:kill --')
  .description('a broker under load is killed again and again: nothing acknowledged is lost, nothing invented')
  .option('--rounds <N>', 'how often', wholeNumber(), 20)
  .option('--seed <N>', 'when and what is drawn by it', wholeNumber(0), 1)
  .option('--load <MS>', 'the longest load before a kill', wholeNumber(), 3_000)
  .parse()
  .opts<{ rounds: number; seed: number; load: number }>();

const verdict = await killRounds({
  rounds: options.rounds,
  seed: options.seed,
  loadMsMax: options.load,
  onRound({ round, loadMs, downMs, startKills, restartMs, verdict }) {
    const times = `killed after ${loadMs} ms, down ${downMs} ms, killed ${startKills} times while starting, ready in ${Math.round(restartMs)} ms`;
    console.log(`round ${round}: ${times}; so far ${formatVerdict(verdict)}`);
  },
});
console.log(`${isClean(verdict) ? 'held' : 'BROKEN'}: ${options.rounds} rounds of SIGKILL: ${formatVerdict(verdict)}`);
process.exit(isClean(verdict) ? 0 : 1);
