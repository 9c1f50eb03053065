import { parseArgs } from 'node:util';
import { wholeNumber } from '../harness/whole-number.mjs';
import { powerLossRounds } from './power-loss.ts';
import { formatVerdict, isClean } from './queue-checker.ts';

// npm run faults:power -- --rounds 20 [--no-sync]: as root, on a machine with loop devices and mkfs.ext4
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    load: { type: 'string', default: '3000' },
    'no-sync': { type: 'boolean', default: false },
  },
});

const sync = !values['no-sync'];
let lossyRounds = 0;
const verdict = await powerLossRounds({
  rounds: wholeNumber(values.rounds, 'rounds'),
  seed: wholeNumber(values.seed, 'seed', 0),
  loadMsMax: wholeNumber(values.load, 'load'),
  sync,
  onRound({ round, loadMs, losses, verdict, refused }) {
    if (verdict.lost.length > 0) lossyRounds++;
    const refusal = refused === undefined ? '' : `; it refused to start: ${refused}`;
    console.log(
      `round ${round}: power lost ${losses} times, first after ${loadMs} ms; ${formatVerdict(verdict)}${refusal}`,
    );
  },
});
const figures = `${values.rounds} rounds of power loss: ${formatVerdict(verdict)}`;
if (sync) console.log(`${isClean(verdict) ? 'held' : 'BROKEN'}: ${figures}`);
else
  console.log(
    `${lossyRounds > 0 ? 'lost, as it must without syncing' : 'NOTHING LOST, so the test proves nothing'}: in ${lossyRounds} of ${figures}`,
  );
process.exit(sync === isClean(verdict) && (sync || lossyRounds > 0) ? 0 : 1);
