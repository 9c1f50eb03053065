import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Load, WorkingPublisher } from '../faults/load.ts';
import type { RestClient } from '../harness/rest.ts';

const STANDSTILL_MS = 5_000;
const LOOK_MS = 500;
const LOG_LINES = 40;
const DUMPS_MAX = 5;
let dumps = 0;
/** What tells who leads, who sleeps, and what waits for whom. */
const METRICS =
  /^sluice_(raft_(groups|quiesced|impaired|fenced|elections|leader_changes|dropped)|gateway_(stalled|publish_buffer|append|connections)|node_|process_)/;

export interface WatchedNode {
  name: string;
  logFile: string;
  isRunning: boolean;
  pid: number | undefined;
}

export interface WatchedCluster {
  nodes: readonly WatchedNode[];
  rest(name: string): RestClient;
}

/**
 * A publisher that stands still for seconds and then goes on leaves nothing to look at: who led, who was believed to
 * lead, what the gateway waited for is all different a moment later. So while clients work, whoever got no answer for
 * `STANDSTILL_MS` makes one note of everything: each node's own view of the cluster, its metrics, the end of its log, how
 * its process is, how late this process is itself. One file a standstill, a few a run.
 */
export class StandstillWatch {
  readonly #cluster: WatchedCluster;
  readonly #load: Load;
  readonly #say: (text: string) => void;
  readonly #lateness = monitorEventLoopDelay({ resolution: 20 });
  readonly #timer: NodeJS.Timeout;
  /** By publisher: the answer after which it stood still, which was noted. */
  readonly #noted = new Map<string, number>();
  #isBusy = false;
  readonly files: string[] = [];

  constructor(cluster: WatchedCluster, load: Load, say: (text: string) => void) {
    this.#cluster = cluster;
    this.#load = load;
    this.#say = say;
    this.#lateness.enable();
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  /** By how much this process was late at most since this was asked last: what it measured is no better than that. */
  takeLateMs(): number {
    const lateMs = this.#lateness.max / 1e6;
    this.#lateness.reset();
    return lateMs;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#lateness.disable();
  }

  async #look(): Promise<void> {
    if (this.#isBusy || this.files.length >= DUMPS_MAX) return;
    const nowMs = performance.now();
    const waiting = this.#load.working().filter((publisher) => {
      const sinceMs = this.#sinceMs(publisher);
      return nowMs - sinceMs > STANDSTILL_MS && this.#noted.get(publisher.name) !== sinceMs;
    });
    if (waiting.length === 0) return;
    for (const publisher of waiting) this.#noted.set(publisher.name, this.#sinceMs(publisher));
    this.#isBusy = true;
    const file = join(tmpdir(), `sluice-standstill-${process.pid}-${++dumps}.txt`);
    this.files.push(file);
    try {
      writeFileSync(file, await this.#describe(waiting, nowMs));
      this.#say(`no answer for ${STANDSTILL_MS / 1_000} s to ${waiting.map(({ name }) => name).join(', ')}: ${file}`);
    } finally {
      this.#isBusy = false;
    }
  }

  #sinceMs({ name, startedMs }: WorkingPublisher): number {
    return Math.max(startedMs, this.#load.history.lastOkMs.get(name) ?? 0);
  }

  async #describe(waiting: readonly WorkingPublisher[], nowMs: number): Promise<string> {
    const lines = [
      `${new Date().toISOString()}  load ${loadavg()[0]?.toFixed(1)}, this process late by at most ${Math.round(this.#lateness.max / 1e6)} ms so far`,
      `faults: ${this.#load.history.faults
        .filter(({ queue }) => queue === undefined)
        .slice(-3)
        .map(({ kind, fromMs, toMs }) => `${kind} ${ago(nowMs, fromMs)} to ${ago(nowMs, toMs)}`)
        .join('; ')}`,
    ];
    for (const waiter of waiting) {
      const { name, clientId, state, outstanding } = waiter;
      const answered = ago(nowMs, this.#sinceMs(waiter));
      lines.push(`${clientId}: last answer ${answered}, ${state}, ${outstanding} outstanding`);
      for (const [id, { publisher, outcome, topic, sends, sentAtMs }] of this.#load.history.published) {
        if (publisher === name && outcome === 'unknown')
          lines.push(`  ${id} on ${topic}, sent ${sends} times, first ${ago(nowMs, sentAtMs ?? nowMs)}`);
      }
    }
    const told = await Promise.all(this.#cluster.nodes.map((node) => this.#describeNode(node)));
    return `${[...lines, ...told].join('\n')}\n`;
  }

  async #describeNode({ name, logFile, isRunning, pid }: WatchedNode): Promise<string> {
    const ask = async (path: string): Promise<string> => {
      if (!isRunning) return 'is not running';
      const answer = await this.#cluster
        .rest(name)
        .get(path)
        .catch((cause: Error) => ({ status: 0, body: String(cause) }));
      return typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
    };
    const [view, metrics] = await Promise.all([ask('/api/v5/cluster'), ask('/metrics')]);
    const figures = metrics.split('\n').filter((line) => METRICS.test(line) && !line.includes('_bucket'));
    const log = existsSync(logFile) ? readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-LOG_LINES) : [];
    return [`=== ${name} (process ${stateOf(pid)})`, view, ...figures, '--- log', ...log].join('\n');
  }
}

function ago(nowMs: number, atMs: number): string {
  return atMs === Number.POSITIVE_INFINITY ? 'now' : `${((nowMs - atMs) / 1_000).toFixed(1)} s ago`;
}

/** Whether it runs, waits for a disk (D), is stopped (T), and its processor time. */
function stateOf(pid: number | undefined): string {
  try {
    const [, state, ...rest] = /\) (\S) (.*)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) as string[];
    const fields = (rest[0] as string).split(' ');
    return `${pid}, state ${state}, ${(Number(fields[10]) + Number(fields[11])) / 100} s of processor time`;
  } catch {
    return 'gone';
  }
}
