import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { measureAgainst } from './against/against-command.ts';
import { allHops, hopsNamed } from './hops/all-hops.ts';
import { hopsReport, runHops } from './hops/run-hops.ts';
import { ALL_PEERS, PEERS_BY_NAME, peersOn } from './peers/all-peers.ts';
import { type Runtime, SERVER_BIN, sluiceOf } from './peers/sluice.ts';
import { describeMachine } from './report/machine.ts';
import { resultsOf } from './report/peer-results.ts';
import { reportOf } from './report/report.ts';
import { BenchRun } from './run/bench-run.ts';
import { DataDisk } from './run/data-disk.ts';
import type { Peer } from './run/peer.ts';
import { StartedProcesses } from './run/started-processes.ts';
import type { Workload } from './run/workload.ts';
import { allWorkloads, quickWorkloads, shortened } from './run/workloads.ts';

/**
 * `npm run bench`: Sluice and whatever else is installed, under the same load. Progress goes to standard error, the
 * report to standard output.
 */
interface Flags {
  quick?: boolean;
  workload: string[];
  peer: string[];
  node: Runtime[];
  rounds?: number;
  json?: string;
  data: string;
  list?: boolean;
  hops?: string[] | true;
  against?: string | true;
}

const ROUNDS = 3;
const QUICK_ROUNDS = 2;
const QUICK_PEERS = ['sluice-3', 'rabbitmq-3', 'nats-3', 'sluice-1', 'rabbitmq-1', 'redis'];
/** The promise is five minutes; printing and the machine's moods take the rest. */
const QUICK_BUDGET_MS = 285_000;
const AGAINST_WORKLOADS = ['task-4x4', 'images-4x4'];
/** A hop; half as much again to warm up. */
const HOP_MS = { full: 1_000, quick: 250 };
const DISK_REST_MS = 5_000;
const EXIT = { ok: 0, failure: 1, usage: 2, interrupted: 130 } as const;

const program = new Command('npm run bench --')
  .description('measure Sluice beside the brokers installed here, with the same load, taking turns')
  .option('--quick', 'the most telling rows, under five minutes; with --workload: those, shortened')
  .addOption(new Option('--workload <NAME>', 'only this one; may be repeated').argParser(collect).default([], 'all'))
  .addOption(
    new Option('--peer <NAME>', 'only this one; may be repeated').argParser(collect).default([], 'all that are here'),
  )
  .addOption(
    new Option(
      '--node <NAME=PATH>',
      'another version of Node.js, to run Sluice: sluice-1@NAME and sluice-3@NAME; may be repeated',
    )
      .argParser(runtime)
      .default([], 'none'),
  )
  .option('--rounds <N>', `how often everybody takes a turn (default: ${ROUNDS}, quick: ${QUICK_ROUNDS})`, count)
  .option('--json <FILE>', 'every figure of every round, for programs')
  .option('--data <DIR>', 'where brokers keep their data while they run', tmpdir())
  .option('--hops [NAME...]', 'instead of brokers: each step of a message alone, all or those named')
  .option('--against [COMMIT]', 'this tree beside another commit (default: the one before), as ratios; judges nothing')
  .option('--list', 'name peers and workloads, and what is missing')
  .showHelpAfterError('(add --help for how it is used)')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage))
  .parse();

await main(program.opts<Flags>());

async function main(flags: Flags): Promise<void> {
  if (flags.list === true) {
    process.stdout.write(listing());
    return;
  }
  if (flags.hops !== undefined) {
    await measureHops(flags, flags.hops === true ? [] : flags.hops);
    return;
  }
  if (flags.against !== undefined) {
    await compare(flags, flags.against === true ? 'HEAD~1' : flags.against);
    return;
  }
  const isQuick = flags.quick === true;
  const peers = peersOf(flags, isQuick);
  const present = peers.filter((peer) => peer.missing() === undefined);
  for (const peer of peers) {
    const missing = peer.missing();
    if (missing !== undefined) say(`${peer.name} is left out: ${missing}`);
  }
  const processes = new StartedProcesses();
  const directory = mkdtempSync(join(resolve(flags.data), 'sluice-bench-'));
  cleanUpAtEnd(processes, directory);
  const workloads = workloadsOf(flags.workload, isQuick);
  const disk = await restedDisk(directory, workloads);
  const bench = new BenchRun({
    peers: present,
    workloads,
    rounds: flags.rounds ?? (isQuick ? QUICK_ROUNDS : ROUNDS),
    budgetMs: isQuick ? QUICK_BUDGET_MS : Number.POSITIVE_INFINITY,
    directory,
    disk,
    processes,
    say,
  });
  const measurements = await bench.run();
  const machine = describeMachine(directory, disk);
  process.stdout.write(reportOf(measurements, workloads, peers, machine));
  if (flags.json !== undefined) {
    const document = { machine, results: resultsOf(measurements), measurements };
    await writeFile(flags.json, `${JSON.stringify(document, undefined, 2)}\n`);
  }
  const hasFailed = measurements.some(({ notes }) => notes.some((note) => note.startsWith('failed')));
  process.exitCode = hasFailed || measurements.length === 0 ? EXIT.failure : EXIT.ok;
}

/** That of the brokers' data, when any workload writes to it, and what it is given while nobody of ours runs. */
async function restedDisk(directory: string, workloads: readonly Workload[]): Promise<DataDisk | undefined> {
  if (!workloads.some(({ kind }) => kind === 'flow' || kind === 'backlog')) return undefined;
  const disk = await DataDisk.of(directory);
  if (disk === undefined) {
    say('the disk does not count what it is given: bytes are those the kernel counts for processes');
    return undefined;
  }
  say(`what disk ${disk.device} is given at rest: ${DISK_REST_MS / 1000} s`);
  await disk.rest(() => wait(DISK_REST_MS));
  return disk;
}

async function compare(flags: Flags, commit: string): Promise<void> {
  const processes = new StartedProcesses();
  const directory = mkdtempSync(join(resolve(flags.data), 'sluice-against-'));
  cleanUpAtEnd(processes, directory);
  const isMeasured = await measureAgainst({
    commit,
    workloads: workloadsOf(flags.workload.length > 0 ? flags.workload : AGAINST_WORKLOADS, true),
    rounds: flags.rounds ?? ROUNDS,
    directory,
    processes,
    json: flags.json,
    brokerOf: (tree) => sluiceOf('sluice-1', { bin: join(tree, SERVER_BIN) }),
    say,
  }).catch((error: Error) => {
    say(error.message);
    return false;
  });
  process.exitCode = isMeasured ? EXIT.ok : EXIT.failure;
}

async function measureHops(flags: Flags, names: readonly string[]): Promise<void> {
  const hops = hopsNamed(names);
  if (hops.length === 0) {
    const known = allHops().map(({ name }) => name);
    process.stderr.write(`there is no hop ${names.join(' ')}: ${known.join(', ')}\n`);
    process.exit(EXIT.usage);
  }
  const directory = mkdtempSync(join(resolve(flags.data), 'sluice-hops-'));
  cleanUpAtEnd(new StartedProcesses(), directory);
  const measureMs = flags.quick === true ? HOP_MS.quick : HOP_MS.full;
  const figures = await runHops({ hops, directory, measureMs, say });
  const machine = describeMachine(directory);
  process.stdout.write(hopsReport(hops, figures, machine));
  if (flags.json !== undefined)
    await writeFile(flags.json, `${JSON.stringify({ machine, hops: figures }, undefined, 2)}\n`);
}

function peersOf(flags: Flags, isQuick: boolean): Peer[] {
  const runtimes = flags.node.flatMap(peersOn);
  if (flags.peer.length > 0) return chosen('peer', [...ALL_PEERS, ...PEERS_BY_NAME, ...runtimes], flags.peer);
  return [...chosen('peer', ALL_PEERS, isQuick ? QUICK_PEERS : []), ...runtimes];
}

function workloadsOf(names: readonly string[], isQuick: boolean): Workload[] {
  if (names.length === 0) return isQuick ? quickWorkloads() : allWorkloads();
  const workloads = chosen('workload', allWorkloads(), names);
  return isQuick ? workloads.map(shortened) : workloads;
}

function chosen<T extends { name: string }>(what: string, all: readonly T[], names: readonly string[]): T[] {
  for (const name of names) {
    if (all.some((each) => each.name === name)) continue;
    process.stderr.write(`there is no ${what} ${name}: ${all.map((each) => each.name).join(', ')}\n`);
    process.exit(EXIT.usage);
  }
  return all.filter(({ name }) => names.length === 0 || names.includes(name));
}

/** However it ends, no broker outlives it, and no data stays. */
function cleanUpAtEnd(processes: StartedProcesses, directory: string): void {
  process.on('exit', () => {
    processes.killAll();
    rmSync(directory, { recursive: true, force: true });
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      say('interrupted: stopping what was started');
      process.exit(EXIT.interrupted);
    });
  }
}

function listing(): string {
  const peers = [...ALL_PEERS, ...PEERS_BY_NAME].map((peer: Peer) => {
    const missing = peer.missing();
    return `  ${peer.name.padEnd(16)} ${missing === undefined ? peer.describe() : `not installed: ${missing}`}\n`;
  });
  const workloads = allWorkloads().map(({ name, title }) => `  ${name.padEnd(16)} ${title}\n`);
  return `peers\n${peers.join('')}workloads\n${workloads.join('')}`;
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)}  ${text}\n`);
}

function collect(item: string, all: string[]): string[] {
  return [...all, ...item.split(',')];
}

/** `24=/opt/node-24/bin/node` */
function runtime(text: string, all: Runtime[]): Runtime[] {
  const [, name, path] = /^([\w.]{1,6})=(.+)$/.exec(text) ?? [];
  if (name === undefined || path === undefined) {
    throw new InvalidArgumentError(
      'a name of at most six letters or digits, and where its node is: 24=/opt/node-24/bin/node',
    );
  }
  return [...all, { name, path: resolve(path) }];
}

function count(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('a whole number from 1');
  return Number(text);
}
