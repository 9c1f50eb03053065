import { parseArgs } from 'node:util';
import { wholeNumber } from '../harness/whole-number.mjs';
import type { LayoutName } from './cluster-under-test.ts';
import { formatKills, gatewayKills, isExact } from './gateway-kills.ts';

// npm run faults:gateways -- --rounds 100 --seed 1 --layout tiers
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    layout: { type: 'string', default: 'tiers' },
    clients: { type: 'string', default: '4' },
  },
});

const verdict = await gatewayKills({
  rounds: wholeNumber(values.rounds, 'rounds'),
  seed: wholeNumber(values.seed, 'seed', 0),
  layout: values.layout as LayoutName,
  clients: wholeNumber(values.clients, 'clients'),
  onRound: (line) => console.log(line),
});
console.log(`${isExact(verdict) ? 'held' : 'BROKEN'}: ${values.rounds} rounds: ${formatKills(verdict)}`);
process.exit(isExact(verdict) ? 0 : 1);
