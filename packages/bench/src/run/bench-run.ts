import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataDisk } from './data-disk.ts';
import { needOf } from './fleet-plans.ts';
import { measureBacklog } from './measure-backlog.ts';
import { measureFlat } from './measure-flat.ts';
import { measureFlow } from './measure-flow.ts';
import { measureIdle, measureStart } from './measure-start.ts';
import { measureSurge } from './measure-surge.ts';
import { measureSyncs } from './measure-syncs.ts';
import type { Measurement, SyncFinding } from './measurement.ts';
import type { Channel, ChannelNeed, Peer, RunningPeer } from './peer.ts';
import type { StartedProcesses } from './started-processes.ts';
import type { Workload } from './workload.ts';

export interface BenchOptions {
  peers: readonly Peer[];
  workloads: readonly Workload[];
  rounds: number;
  /** No further round is begun when it would not end within this. */
  budgetMs: number;
  /** Below it every peer gets a directory of its own, removed when it has stopped. */
  directory: string;
  /** The one it is on; undefined where it does not count what it is given. */
  disk?: DataDisk | undefined;
  processes: StartedProcesses;
  /** A line of progress. */
  say(text: string): void;
}

/** What a session's order is: an empty broker first, and last what leaves most behind. */
const ORDER: Readonly<Record<Workload['kind'], number>> = { start: 0, idle: 1, flow: 2, flat: 3, backlog: 4, surge: 5 };

/**
 * Peers take turns, round after round: a, b, a, b. What the machine does beside us then falls on all of them, and a
 * ratio of two medians means more than either. In its turn a peer starts on an empty directory, goes through all
 * workloads, and stops; nobody idles beside it.
 */
export class BenchRun {
  readonly #options: BenchOptions;
  readonly #measurements: Measurement[] = [];
  readonly #syncs = new Map<string, SyncFinding>();
  #runs = 0;

  constructor(options: BenchOptions) {
    this.#options = options;
  }

  async run(): Promise<Measurement[]> {
    const { peers, rounds, budgetMs, say } = this.#options;
    const startedMs = performance.now();
    for (let round = 1; round <= rounds; round++) {
      const spentMs = performance.now() - startedMs;
      if (round > 1 && spentMs + spentMs / (round - 1) > budgetMs) {
        say(`round ${round} of ${rounds} is left out: it would not end within ${Math.round(budgetMs / 1000)} s`);
        break;
      }
      for (const peer of peers) await this.#session(peer, round);
    }
    return this.#measurements;
  }

  async #session(peer: Peer, round: number): Promise<void> {
    const { directory, processes, workloads, rounds } = this.#options;
    const home = await mkdtemp(join(directory, `${peer.name}-`));
    const data = join(home, 'data');
    await mkdir(data);
    const say = (text: string) => this.#options.say(`round ${round}/${rounds}  ${peer.name.padEnd(15)}  ${text}`);
    let running: RunningPeer | undefined;
    try {
      say('starts');
      running = await peer.start({ directory: data, processes });
      for (const workload of [...workloads].sort((a, b) => ORDER[a.kind] - ORDER[b.kind])) {
        const measurement = await this.#measure(peer, running, workload, round, home, say);
        if (measurement !== undefined) this.#measurements.push(measurement);
      }
    } catch (error) {
      say(`failed: ${(error as Error).message}`);
      this.#measurements.push(failure(peer, workloads[0]?.name ?? '', round, error as Error));
    } finally {
      await running?.stop();
      // What it has left behind when it failed to start.
      await processes.stopAll();
      await rm(home, { recursive: true, force: true });
    }
  }

  /** Undefined when the peer has nothing of the kind. */
  async #measure(
    peer: Peer,
    running: RunningPeer,
    workload: Workload,
    round: number,
    directory: string,
    say: (text: string) => void,
  ): Promise<Measurement | undefined> {
    const base = { peer: peer.name, workload: workload.name, round, notes: [] };
    const tell = (text: string) => say(`${workload.name}: ${text}`);
    if (workload.kind === 'start') {
      const figures = await measureStart(workload, running);
      tell(`answers after ${figures.startS?.toFixed(2)} s`);
      return { ...base, figures };
    }
    const run = ++this.#runs;
    const name = `${workload.name}-${run}`;
    if (workload.kind === 'flat') {
      const result = await measureFlat(workload, running, run, tell);
      if (result === undefined) return undefined;
      const { figures, sequences, notes } = result;
      return { ...base, figures, sequences, notes };
    }
    const need: ChannelNeed =
      workload.kind === 'idle'
        ? { kind: 'fan-out', name, qos: 0, keys: 1, prefetch: 1, payloadBytes: 0 }
        : needOf(workload.flow, name);
    const channel = await running.open(need);
    if (channel === undefined) return undefined;
    try {
      if (workload.kind === 'idle') {
        const figures = await measureIdle(workload, running, channel, run);
        tell(`${figures.connectionKb?.toFixed(1)} KB a connection`);
        return { ...base, figures };
      }
      const sync = need.kind === 'queue' ? await this.#sync(peer, running, directory) : undefined;
      const result = await this.#flow(workload, running, channel, run, tell);
      const { figures, sequences, notes } = result;
      tell(summary(figures));
      const measurement: Measurement = { ...base, figures, sequences, notes };
      if (sync !== undefined) measurement.sync = sync;
      if (result.disk !== undefined) measurement.disk = result.disk;
      if (workload.name === 'slow-worker') measurement.shares = result.shares;
      return measurement;
    } catch (error) {
      tell(`failed: ${(error as Error).message}`);
      return failure(peer, workload.name, round, error as Error);
    }
  }

  #flow(
    workload: Exclude<Workload, { kind: 'start' | 'idle' | 'flat' }>,
    running: RunningPeer,
    channel: Channel,
    run: number,
    say: (text: string) => void,
  ) {
    switch (workload.kind) {
      case 'flow':
        return measureFlow(workload, running, channel, run, this.#options.disk);
      case 'backlog':
        return measureBacklog(workload, running, channel, run, say, this.#options.disk);
      case 'surge':
        return measureSurge(workload, running, channel, run, say);
    }
  }

  /** Looked at once a peer. */
  async #sync(peer: Peer, running: RunningPeer, directory: string): Promise<SyncFinding> {
    const known = this.#syncs.get(peer.name);
    if (known !== undefined) return known;
    const run = ++this.#runs;
    const finding = await measureSyncs(peer, running, `sync-${run}`, run, directory);
    this.#syncs.set(peer.name, finding);
    return finding;
  }
}

function failure(peer: Peer, workload: string, round: number, error: Error): Measurement {
  const message = error.message.split('\n')[0] as string;
  return { peer: peer.name, workload, round, figures: {}, notes: [`failed: ${message}`] };
}

function summary({ rate, cpuUs, p50Ms, drainRate, takenRate }: Measurement['figures']): string {
  if (drainRate !== undefined) return `drained at ${Math.round(drainRate)} msg/s`;
  if (takenRate !== undefined) return `took ${Math.round(takenRate)} msg/s`;
  const parts = [`${Math.round(rate ?? 0)} msg/s`];
  if (cpuUs !== undefined) parts.push(`${cpuUs.toFixed(1)} µs`);
  if (p50Ms !== undefined) parts.push(`p50 ${p50Ms.toFixed(2)} ms`);
  return parts.join(', ');
}
