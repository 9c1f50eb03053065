import { parseArgs } from 'node:util';
import { wholeNumber } from '../harness/whole-number.mjs';
import { lagRounds } from './lag-truth.ts';

// npm run lag:check -- --moves 50
const { values } = parseArgs({
  options: {
    moves: { type: 'string', default: '50' },
    queues: { type: 'string', default: '30' },
    messages: { type: 'string', default: '200' },
  },
});

const plan = {
  moves: wholeNumber(values.moves, 'moves'),
  queues: wholeNumber(values.queues, 'queues'),
  messages: wholeNumber(values.messages, 'messages'),
};
const { moves, rounds, compared, lagErrorS } = await lagRounds(plan, (line) => console.log(line));
console.log(`${plan.queues} queues, ${rounds} rounds, ${moves} moves of leaders: ${compared} counts were exact,`);
console.log(`no lag in seconds was off by more than ${lagErrorS.toFixed(3)} s`);
process.exit(0);
