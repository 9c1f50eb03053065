import { Command, Option } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import type { LayoutName } from './cluster-under-test.ts';
import { formatKills, gatewayKills, isExact } from './gateway-kills.ts';

const options = new Command('npm run faults:gateways --')
  .description('gateways are killed under QoS 2 load of kept sessions: each message comes once')
  .option('--rounds <N>', 'how often', wholeNumber(), 100)
  .option('--seed <N>', 'what is killed, and when, is drawn by it', wholeNumber(0), 1)
  .addOption(new Option('--layout <NAME>', 'who has which roles').choices(['compact', 'tiers']).default('tiers'))
  .option('--clients <N>', 'how many', wholeNumber(), 4)
  .parse()
  .opts<{ rounds: number; seed: number; layout: LayoutName; clients: number }>();

const verdict = await gatewayKills({ ...options, onRound: (line) => console.log(line) });
console.log(`${isExact(verdict) ? 'held' : 'BROKEN'}: ${options.rounds} rounds: ${formatKills(verdict)}`);
process.exit(isExact(verdict) ? 0 : 1);
