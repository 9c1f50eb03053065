import { parseArgs } from 'node:util';
import { SCENARIOS } from './scenarios.ts';
import type { Verdict } from './simulation.ts';

// npm run sim -- --seeds 2000 --from 1 --seconds 20 --scenario raft
// npm run sim -- --scenario raft --replay 17 --verbose
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    /** Virtual seconds of the time in which anything may fail. */
    seconds: { type: 'string', default: '20' },
    /** Real seconds after which no further seed is begun. */
    budget: { type: 'string', default: '86400' },
    scenario: { type: 'string', default: [...SCENARIOS.keys()].join(',') },
    replay: { type: 'string' },
    /** Seeds that are run twice and must come out the same. */
    twice: { type: 'string', default: '1' },
    'keep-going': { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

const names = values.scenario.split(',');
for (const name of names) {
  if (SCENARIOS.has(name)) continue;
  console.error(`there is no scenario ${name}: ${[...SCENARIOS.keys()].join(', ')}`);
  process.exit(2);
}
process.exit((await (values.replay === undefined ? runSeeds() : replay(Number(values.replay)))) ? 0 : 1);

async function runSeeds(): Promise<boolean> {
  const [from, count, twice] = [Number(values.from), Number(values.seeds), Number(values.twice)];
  const startedMs = performance.now();
  let runs = 0;
  let virtualMs = 0;
  let failures = 0;
  let saidMs = startedMs;
  for (let seed = from; seed < from + count; seed++) {
    const spentMs = performance.now() - startedMs;
    if (spentMs > Number(values.budget) * 1000) break;
    for (const name of names) {
      const verdict = await run(name, seed);
      runs++;
      virtualMs += verdict.virtualMs;
      if (verdict.failure !== undefined) {
        failures++;
        report(verdict);
        if (!values['keep-going']) return false;
      } else if (seed < from + twice) {
        const again = await run(name, seed);
        if (again.traceHash !== verdict.traceHash) {
          console.log(`${name} seed ${seed} came out as ${verdict.traceHash} and as ${again.traceHash}`);
          return false;
        }
      }
      if (values.verbose) console.log(`${name} seed ${seed} ${verdict.traceHash}: ${verdict.summary}`);
    }
    if (performance.now() - saidMs > 5_000) {
      saidMs = performance.now();
      console.log(`seed ${seed}: ${rate()}, ${failures} failed`);
    }
  }
  console.log(
    `${failures === 0 ? 'held' : 'BROKEN'}: ${runs} runs from seed ${from} on, ${rate()}, ${failures} failed`,
  );
  return failures === 0;

  function rate(): string {
    const seconds = (performance.now() - startedMs) / 1000;
    const { user, system } = process.cpuUsage();
    const cpu = `${((user + system) / 1e6 / Math.max(1, runs)).toFixed(2)} s of CPU a run`;
    return `${(runs / seconds).toFixed(1)} runs/s, ${cpu}, ${(virtualMs / 1000 / seconds).toFixed(0)} virtual seconds a second`;
  }
}

async function replay(seed: number): Promise<boolean> {
  let held = true;
  for (const name of names) {
    const onLine = values.verbose ? (line: string) => console.log(line) : undefined;
    const verdict = await run(name, seed, onLine);
    if (verdict.failure !== undefined) {
      held = false;
      report(verdict);
    } else {
      console.log(`${name} seed ${seed} held, ${verdict.traceHash}: ${verdict.summary}`);
    }
  }
  return held;
}

function run(name: string, seed: number, onLine?: (line: string) => void): Promise<Verdict> {
  const scenario = SCENARIOS.get(name);
  if (scenario === undefined) throw new Error(`there is no scenario ${name}`);
  return scenario(seed, { safetyMs: Number(values.seconds) * 1000, onLine });
}

function report({ scenario, seed, failure, lastLines, virtualMs }: Verdict): void {
  console.log(`\n${scenario} seed ${seed} BROKEN after ${(virtualMs / 1000).toFixed(1)} virtual seconds`);
  for (const line of lastLines) console.log(`  ${line}`);
  console.log(`${failure?.stack}`);
  console.log(`again: npm run sim -- --scenario ${scenario} --seconds ${values.seconds} --replay ${seed} --verbose\n`);
}
