import { parseArgs } from 'node:util';
import { wholeNumber } from '../harness/whole-number.mjs';
import { killRounds } from './kill-rounds.ts';
import { formatVerdict, isClean } from './queue-checker.ts';

// npm run faults:kill -- --rounds 20 --seed 1
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    load: { type: 'string', default: '3000' },
  },
});

const verdict = await killRounds({
  rounds: wholeNumber(values.rounds, 'rounds'),
  seed: wholeNumber(values.seed, 'seed', 0),
  loadMsMax: wholeNumber(values.load, 'load'),
  onRound({ round, loadMs, downMs, startKills, restartMs, verdict }) {
    const times = `killed after ${loadMs} ms, down ${downMs} ms, killed ${startKills} times while starting, ready in ${Math.round(restartMs)} ms`;
    console.log(`round ${round}: ${times}; so far ${formatVerdict(verdict)}`);
  },
});
console.log(`${isClean(verdict) ? 'held' : 'BROKEN'}: ${values.rounds} rounds of SIGKILL: ${formatVerdict(verdict)}`);
process.exit(isClean(verdict) ? 0 : 1);
