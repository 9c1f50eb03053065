import { Command } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { powerLossRounds } from './power-loss.ts';
import { formatVerdict, isClean } from './queue-checker.ts';

const options = new Command('npm run faults:power --')
  .description('the power of a broker under load fails; as root, on a machine with loop devices and mkfs.ext4')
  .option('--rounds <N>', 'how often', wholeNumber(), 20)
  .option('--seed <N>', 'when and what is drawn by it', wholeNumber(0), 1)
  .option('--load <MS>', 'the longest load before a failure', wholeNumber(), 3_000)
  .option('--no-sync', 'the control: a broker that syncs nothing, which must lose')
  .parse()
  .opts<{ rounds: number; seed: number; load: number; sync: boolean }>();

const { sync } = options;
let lossyRounds = 0;
const verdict = await powerLossRounds({
  rounds: options.rounds,
  seed: options.seed,
  loadMsMax: options.load,
  sync,
  onRound({ round, loadMs, losses, verdict, refused }) {
    if (verdict.lost.length > 0) lossyRounds++;
    const refusal = refused === undefined ? '' : `; it refused to start: ${refused}`;
    console.log(
      `round ${round}: power lost ${losses} times, first after ${loadMs} ms; ${formatVerdict(verdict)}${refusal}`,
    );
  },
});
const figures = `${options.rounds} rounds of power loss: ${formatVerdict(verdict)}`;
if (sync) console.log(`${isClean(verdict) ? 'held' : 'BROKEN'}: ${figures}`);
else
  console.log(
    `${lossyRounds > 0 ? 'lost, as it must without syncing' : 'NOTHING LOST, so the test proves nothing'}: in ${lossyRounds} of ${figures}`,
  );
process.exit(sync === isClean(verdict) && (sync || lossyRounds > 0) ? 0 : 1);
