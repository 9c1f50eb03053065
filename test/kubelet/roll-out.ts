import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Balancer } from '../../deploy/balancer.mjs';
import { Load, type LoadSpec, until, within } from '../faults/load.ts';
import { checkHistory, isClean, type Verdict } from '../faults/queue-checker.ts';
import { RestClient } from '../harness/rest.ts';
import { NAMESPACE, render } from '../helm/chart.ts';
import { LocalKubernetes } from './local-kubernetes.ts';
import type { KubeObject } from './pod.ts';
import type { Ending } from './running-pod.ts';

const QUEUES = 6;
const PARTITIONS = 4;
const FLOW_MS_MAX = 60_000;
const DRAIN_MS_MAX = 60_000;
const REST_MS = 20_000;
/** A store is trusted to lead its share ten seconds after it came: leaders that move for that are not what is looked at. */
const CALM_MS = 15_000;

/** Clients need no password here, and the rest is as it is installed. */
const VALUES = `
config:
  auth: { anonymous: true }
  authorization: { noMatch: allow }
  queues: { partitions: ${PARTITIONS} }
`;

export interface RollOutOptions {
  form: 'tiers' | 'compact';
  seed: number;
  /** More values, as YAML, over the chart's and those of this test. */
  values?: string;
  say: (text: string) => void;
}

export interface RollOutReport {
  verdict: Verdict;
  isSafe: boolean;
  /** The longest time without an acknowledgement, by queue: each is a partition's. `atMs`: since the roll-out began. */
  gaps: ReadonlyMap<string, { ms: number; atMs: number }>;
  gapWorstMs: number;
  endings: readonly Ending[];
  restarts: number;
  rollOutMs: number;
  /** By how much this process was late at most: no gap is known better than that. */
  lateMs: number;
  folder: string;
}

/** A release as the chart renders it, installed, put under load, and replaced pod by pod in the middle. */
export async function rollOut({ form, seed, values = '', say }: RollOutOptions): Promise<RollOutReport> {
  const objects = render(VALUES + values, form === 'compact' ? ['values-compact.yaml'] : []);
  const folder = mkdtempSync(join(tmpdir(), `sluice-kubelet-${process.pid}-`));
  const kubernetes = new LocalKubernetes(objects, { folder, namespace: NAMESPACE, say });
  const balancer = new Balancer(() => kubernetes.addressesOf('mqtt'));
  const late = new Lateness();
  let load: Load | undefined;
  let isDone = false;
  try {
    await kubernetes.install();
    const port = await balancer.listen(0);
    const [key, secret] = adminOf(objects).split(':');
    const rest = () => new RestClient(`http://${kubernetes.addressesOf('http')[0]}`, key, secret, REST_MS);
    await Load.createQueues(rest(), LOAD);
    load = new Load({ host: '127.0.0.1', port }, seed, LOAD);
    await flowing(load);
    await delay(CALM_MS);
    late.begin();
    const fromMs = performance.now();
    await kubernetes.rollOut();
    const rollOutMs = performance.now() - fromMs;
    // Whoever lost its connection meanwhile may see a message again.
    load.fault('roll-out', fromMs);
    await flowing(load);
    const untilMs = performance.now();
    const lateMs = late.end();
    const verdict = checkHistory(load.history, await load.drain(rest, DRAIN_MS_MAX));
    const gaps = gapsOf(load, fromMs, untilMs);
    isDone = isClean(verdict);
    return {
      verdict,
      isSafe: isDone,
      gaps,
      gapWorstMs: Math.max(...[...gaps.values()].map(({ ms }) => ms)),
      endings: kubernetes.endings,
      restarts: kubernetes.pods().reduce((sum, pod) => sum + pod.restarts, 0),
      rollOutMs,
      lateMs,
      folder,
    };
  } finally {
    late.end();
    load?.end();
    balancer.close();
    await kubernetes.dispose();
    if (isDone) rmSync(folder, { recursive: true, force: true });
  }
}

/** Small queues, each on one partition; two publishers and two consumers each, at whatever gateway the balancer gives. */
const LOAD: LoadSpec = {
  queues: Array.from({ length: QUEUES }, (_, n) => ({
    name: `work${n}/+`,
    isLastValue: false,
    takes: within(`work${n}/`),
    definition: { is_lastvalue: false, dispatch_strategy: 'least_inflight' },
    consumers: [{ version: 5 as const }, { version: 4 as const, workMs: 5 }],
  })),
  publishers: Array.from({ length: 2 * QUEUES }, (_, n) => ({
    name: `p${n}`,
    version: n % 2 === 0 ? (5 as const) : (4 as const),
    qos: 1 as const,
    topics: [`work${Math.floor(n / 2)}/${n}`],
    paceMs: 50,
    bytesMax: 2_000,
  })),
};

/** Every publisher is heard from now on. */
async function flowing(load: Load): Promise<void> {
  const fromMs = performance.now();
  load.start();
  await until('every publisher to be heard', fromMs + FLOW_MS_MAX, async () => {
    const heard = [...load.history.lastOkMs.values()].filter((atMs) => atMs > fromMs);
    return heard.length === load.publishers;
  });
}

function gapsOf({ history }: Load, fromMs: number, untilMs: number): Map<string, { ms: number; atMs: number }> {
  const gaps = new Map<string, { ms: number; atMs: number }>();
  for (const queue of history.queues) {
    const times = [untilMs];
    for (const { topic, outcome, answeredAtMs = 0 } of history.published.values()) {
      if (outcome === 'ok' && queue.takes(topic) && answeredAtMs < untilMs) times.push(answeredAtMs);
    }
    times.sort((a, b) => a - b);
    let worst = { ms: 0, atMs: 0 };
    for (const [i, atMs] of times.entries()) {
      const beforeMs = times[i - 1] ?? atMs;
      if (atMs >= fromMs && atMs - beforeMs > worst.ms) worst = { ms: atMs - beforeMs, atMs: beforeMs - fromMs };
    }
    gaps.set(queue.name, worst);
  }
  return gaps;
}

function adminOf(objects: readonly KubeObject[]): string {
  const secret = objects.find(({ kind, stringData }) => kind === 'Secret' && stringData?.admin !== undefined);
  if (secret === undefined) throw new Error('the release has no credentials');
  return secret.stringData.admin;
}

/** How late this process itself is: it shares the machine with all pods. */
class Lateness {
  #worstMs = 0;
  #timer: NodeJS.Timeout | undefined;

  begin(): void {
    let beforeMs = performance.now();
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      this.#worstMs = Math.max(this.#worstMs, nowMs - beforeMs - EVERY_MS);
      beforeMs = nowMs;
    }, EVERY_MS);
  }

  end(): number {
    clearInterval(this.#timer);
    return this.#worstMs;
  }
}

const EVERY_MS = 20;
