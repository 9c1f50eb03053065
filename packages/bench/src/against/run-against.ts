import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { HopFigures } from '../hops/measure-hop.ts';
import { BenchRun } from '../run/bench-run.ts';
import type { FigureName, Measurement } from '../run/measurement.ts';
import type { Peer } from '../run/peer.ts';
import type { StartedProcesses } from '../run/started-processes.ts';
import type { Workload } from '../run/workload.ts';
import type { Pair } from './ratios.ts';

export interface AgainstRun {
  /** Trees that are built. */
  before: string;
  now: string;
  /** The same broker of either tree. */
  peerOf(name: Side, tree: string): Peer;
  workloads: readonly Workload[];
  rounds: number;
  directory: string;
  processes: StartedProcesses;
  say(text: string): void;
}

export type Side = 'before' | 'now';

const BIN = 'packages/bench/dist/bin.js';
const HOPS = 'packages/bench/dist/hops/all-hops.js';
const HOPS_MS_MAX = 300_000;
const FIGURES: readonly [FigureName, string][] = [
  ['cpuUs', 'µs a message'],
  ['firstCpuUs', 'µs a message, first'],
  ['secondCpuUs', 'µs a message, second'],
  ['thirdCpuUs', 'µs a message, third'],
  ['rate', 'msg/s'],
  ['rssMb', 'MB'],
];
const execute = promisify(execFile);

/** Rounds of both trees by turns: brokers under this tree's load, then the hops of each tree in a process of its own. */
export async function runAgainst(run: AgainstRun): Promise<{ pairs: Pair[]; notes: string[] }> {
  const { before, now, peerOf, workloads, rounds, directory, processes, say } = run;
  const bench = new BenchRun({
    peers: [peerOf('before', before), peerOf('now', now)],
    workloads,
    rounds,
    budgetMs: Number.POSITIVE_INFINITY,
    directory,
    processes,
    say,
  });
  const measurements = await bench.run();
  const notes = [...new Set(measurements.flatMap(({ peer, notes }) => notes.map((note) => `${peer}: ${note}`)))];
  const pairs = pairsOf(measurements);
  if (existsSync(join(before, HOPS))) pairs.push(...(await hopPairs(run)));
  else notes.push('the commit before has no hops');
  return { pairs, notes };
}

/** What one side has not measured in a round is in no pair. */
export function pairsOf(measurements: readonly Measurement[]): Pair[] {
  const pairs: Pair[] = [];
  for (const { peer, workload, round, figures } of measurements) {
    if (peer !== 'before') continue;
    const other = measurements.find(
      (each) => each.peer === 'now' && each.workload === workload && each.round === round,
    );
    for (const [name, what] of FIGURES) {
      const [one, two] = [figures[name], other?.figures[name]];
      if (one !== undefined && two !== undefined) pairs.push({ what: `${workload}: ${what}`, before: one, now: two });
    }
  }
  return pairs;
}

async function hopPairs({ before, now, rounds, directory, say }: AgainstRun): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round}/${rounds}  hops`);
    const old = new Map((await hopsOf(before, directory)).map((hop) => [hop.name, hop]));
    for (const { name, nsLeast, bytes } of await hopsOf(now, directory)) {
      const hop = old.get(name);
      if (hop === undefined || name.startsWith('best-')) continue;
      pairs.push({ what: `${name}: ns`, before: hop.nsLeast, now: nsLeast });
      if (hop.bytes >= BYTES_MIN) pairs.push({ what: `${name}: bytes`, before: hop.bytes, now: bytes });
    }
  }
  return pairs;
}
/** Less than an object is the measuring itself. */
const BYTES_MIN = 32;

async function hopsOf(tree: string, directory: string): Promise<HopFigures[]> {
  const own = join(directory, 'hops');
  await mkdir(own);
  try {
    const json = join(own, 'hops.json');
    const args = [join(tree, BIN), '--hops', '--quick', '--json', json, '--data', own];
    await execute(process.execPath, args, { timeout: HOPS_MS_MAX });
    return (JSON.parse(await readFile(json, 'utf8')) as { hops: HopFigures[] }).hops;
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}
