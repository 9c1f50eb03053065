import { parseArgs } from 'node:util';
import { formatPlay, play, seconds } from './play.ts';
import { resize } from './resize.ts';

// npm run scaling -- --steps 3,5,3 --form compact
const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '3,5,3' },
    form: { type: 'string', default: 'compact' },
    seed: { type: 'string', default: '1' },
  },
});
const steps = values.steps.split(',').map(Number);
const { form } = values;
if (form !== 'compact' && form !== 'tiers') throw new Error(`--form is compact or tiers, not ${form}`);
if (steps.some((count) => !(count >= 1 && count <= 9))) throw new Error('--steps are numbers of stores, such as 3,5,3');

const fromMs = performance.now();
const say = (text: string): void => console.log(`${seconds(performance.now() - fromMs).padStart(8)}  ${text}`);
say(`one store${form === 'compact' ? ', which is also gateway and coordinator' : ', three coordinators, a gateway'}`);
const report = await play(resize({ steps, form }), { seed: Number(values.seed), say });
console.log(formatPlay(report));
process.exit(report.broken.length === 0 ? 0 : 1);
