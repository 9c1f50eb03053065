import { parseArgs } from 'node:util';
import { wholeNumber } from '../harness/whole-number.mjs';
import { format, isOwedNothing, owedAnswers } from './answers/owed-answers.ts';

// npm run faults:answers -- --minutes 10 --seed 1 --clients 48
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    clients: { type: 'string', default: '48' },
  },
});

const verdict = await owedAnswers({
  forMs: wholeNumber(values.minutes, 'minutes') * 60_000,
  seed: wholeNumber(values.seed, 'seed', 0),
  clients: wholeNumber(values.clients, 'clients'),
  say: (text) => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`),
});
console.log(`${isOwedNothing(verdict) ? 'held' : 'BROKEN'}: ${format(verdict)}`);
process.exit(isOwedNothing(verdict) ? 0 : 1);
