import { Command, InvalidArgumentError, Option } from 'commander';
import { SCENARIOS } from './scenarios.ts';
import type { Verdict } from './simulation.ts';

interface Flags {
  seeds: number;
  from: number;
  seconds: number;
  budget: number;
  scenario: readonly string[];
  replay?: number;
  twice: number;
  keepGoing: boolean;
  verbose: boolean;
}

const values = new Command('npm run sim --')
  .description('play whole clusters on a virtual clock, network and disk, a seed each, and check what came of them')
  .option('--seeds <N>', 'how many', wholeNumber(1), 100)
  .option('--from <SEED>', 'the first of them', wholeNumber(0), 1)
  .addOption(
    new Option('--scenario <NAMES>', `with commas between: ${[...SCENARIOS.keys()].join(', ')}`)
      .argParser(scenarioNames)
      .default([...SCENARIOS.keys()], 'all'),
  )
  .option('--seconds <N>', 'virtual seconds in which anything may fail', wholeNumber(1), 20)
  .option('--budget <SECONDS>', 'real time after which no further seed is begun', wholeNumber(1), 86_400)
  .option('--twice <N>', 'the first so many are run twice and must come out the same', wholeNumber(0), 1)
  .option('--replay <SEED>', 'this one alone', wholeNumber(0))
  .option('--keep-going', 'go on after a seed that failed', false)
  .option('--verbose', 'a line for each seed; with --replay, for each event', false)
  .showHelpAfterError('(add --help for how it is used)')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse()
  .opts<Flags>();

const names = values.scenario;
process.exit((await (values.replay === undefined ? runSeeds() : replay(values.replay))) ? 0 : 1);

async function runSeeds(): Promise<boolean> {
  const { from, seeds: count, twice } = values;
  const startedMs = performance.now();
  let runs = 0;
  let virtualMs = 0;
  let failures = 0;
  let saidMs = startedMs;
  for (let seed = from; seed < from + count; seed++) {
    const spentMs = performance.now() - startedMs;
    if (spentMs > values.budget * 1000) break;
    for (const name of names) {
      const verdict = await run(name, seed);
      runs++;
      virtualMs += verdict.virtualMs;
      if (verdict.failure !== undefined) {
        failures++;
        report(verdict);
        if (!values.keepGoing) return false;
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
  return scenario(seed, { safetyMs: values.seconds * 1000, onLine });
}

function report({ scenario, seed, failure, lastLines, virtualMs }: Verdict): void {
  console.log(`\n${scenario} seed ${seed} BROKEN after ${(virtualMs / 1000).toFixed(1)} virtual seconds`);
  for (const line of lastLines) console.log(`  ${line}`);
  console.log(`${failure?.stack}`);
  console.log(`again: npm run sim -- --scenario ${scenario} --seconds ${values.seconds} --replay ${seed} --verbose\n`);
}

function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    if (!/^\d{1,9}$/.test(text) || Number(text) < least) throw new InvalidArgumentError(`a whole number from ${least}`);
    return Number(text);
  };
}

function scenarioNames(text: string): string[] {
  const chosen = text.split(',');
  for (const name of chosen) if (!SCENARIOS.has(name)) throw new InvalidArgumentError(`there is no scenario ${name}`);
  return chosen;
}
