import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLUSTER_LOAD } from '../cluster/cluster-load.ts';
import { StandstillWatch } from '../cluster/standstill.ts';
import type { History } from '../faults/history.ts';
import { pause } from '../faults/kill-rounds.ts';
import { Load, type LoadSpec, until } from '../faults/load.ts';
import { checkHistory, formatVerdict, type Verdict } from '../faults/queue-checker.ts';
import { type Beginning, MovingCluster } from './moving-cluster.ts';

/** The load of the faults, slower: it goes on for minutes, and what moves is to be copied too. */
export const SCALING_LOAD: LoadSpec = {
  ...CLUSTER_LOAD,
  publishers: CLUSTER_LOAD.publishers.map((publisher) => ({ ...publisher, paceMs: 150 })),
};

const DRAIN_MS_MAX = 90_000;
const FLOW_MS_MAX = 30_000;
const AFTER_MS = 1_000;

export interface Stage {
  cluster: MovingCluster;
  load: Load;
  say(text: string): void;
  /** Does one step with traffic on; what it returns is said with its time and the longest wait of a publisher. */
  step(title: string, act: () => Promise<string | undefined>): Promise<StepReport>;
}

export interface StepReport {
  title: string;
  tookMs: number;
  /** Of the publisher that waited longest between two acknowledgements. */
  gapMs: number;
}

export interface PlayReport {
  steps: StepReport[];
  verdict: Verdict | undefined;
  /** Empty when it held. */
  broken: string[];
  kept: string | undefined;
}

export interface Play {
  beginning: Beginning;
  flags?: readonly string[];
  perform(stage: Stage): Promise<void>;
}

/** Plays on a new cluster, with publishers and consumers at work from the first step to the last, and judges what they saw. */
export async function play(
  { beginning, flags = [], perform }: Play,
  { seed = 1, spec = SCALING_LOAD, say = (_: string): void => {}, keep = false } = {},
): Promise<PlayReport> {
  const report: PlayReport = { steps: [], verdict: undefined, broken: [], kept: undefined };
  const cluster = await MovingCluster.start(beginning, flags);
  let load: Load | undefined;
  let watch: StandstillWatch | undefined;
  try {
    await Load.createQueues(await cluster.anyRest(), spec);
    const clients = new Load(() => cluster.target, seed, spec);
    load = clients;
    clients.start();
    watch = new StandstillWatch(cluster, clients, say);
    await flowing(clients);
    const { history } = clients;
    await perform({
      cluster,
      load: clients,
      say,
      async step(title, act) {
        const fromMs = performance.now();
        const fault = { kind: title, fromMs, toMs: Number.POSITIVE_INFINITY };
        // Leaders move: what was in flight may come again. On a machine that is not busy nothing does, see the figures.
        history.faults.push(fault);
        const told = await act();
        const tookMs = performance.now() - fromMs;
        await pause(AFTER_MS);
        const toMs = performance.now();
        fault.toMs = toMs;
        const { publisher, sinceMs, gapMs } = longestWait(history, fromMs, toMs);
        const step = { title, tookMs, gapMs };
        report.steps.push(step);
        const since = new Date(performance.timeOrigin + sinceMs).toISOString().slice(11, 23);
        const times = `${seconds(tookMs)}, longest wait of a publisher ${Math.round(gapMs)} ms (${publisher}, since ${since})`;
        say(`${title}: ${times}${told === undefined ? '' : `; ${told}`}`);
        return step;
      },
    });
    await flowing(clients);
    const asked = await cluster.anyRest();
    const figures = await clients.drain(() => asked, DRAIN_MS_MAX);
    report.verdict = checkHistory(history, figures);
    report.broken.push(...violations(report.verdict));
  } catch (cause) {
    report.broken.push(String(cause));
    if (load !== undefined) say(`broken off; acknowledged so far: ${load.acknowledged}`);
  }
  if (report.broken.length > 0 || keep) report.kept = keepLogs(cluster, load?.history);
  watch?.stop();
  load?.end();
  await cluster.dispose();
  return report;
}

export function formatPlay({ verdict, broken, kept }: PlayReport): string {
  const lines = [broken.length === 0 ? 'held' : 'BROKEN'];
  if (verdict !== undefined) lines.push(formatVerdict(verdict));
  for (const what of broken) lines.push(`BROKEN: ${what}`);
  if (kept !== undefined) lines.push(`logs: ${kept}`);
  return lines.join('\n');
}

function violations(verdict: Verdict): string[] {
  const kinds = ['lost', 'invented', 'repeated', 'resurrected', 'backwards', 'disordered', 'miscounted'] as const;
  return kinds.filter((kind) => verdict[kind].length > 0).map((kind) => `${verdict[kind].length} ${kind}`);
}

/** From now on every publisher got an answer again. */
export async function flowing({ history, publishers }: Load): Promise<void> {
  const known = history.published.size;
  const heard = new Set<string>();
  await until(
    () => `every publisher to be heard; ${[...heard].sort().join(', ')} were, ${unanswered(history)}`,
    performance.now() + FLOW_MS_MAX,
    async () => {
      let n = 0;
      for (const { publisher = '', outcome } of history.published.values()) {
        if (n++ >= known && outcome === 'ok') heard.add(publisher);
      }
      return heard.size === publishers;
    },
  );
}

function unanswered(history: History): string {
  const now = performance.now();
  const waiting: string[] = [];
  for (const [id, { outcome, sentAtMs, sends, topic }] of history.published) {
    if (outcome === 'unknown')
      waiting.push(`${id} on ${topic} (sent ${sends} times, first ${seconds(now - (sentAtMs ?? now))} ago)`);
  }
  return `${waiting.length} publishes wait for an answer: ${waiting.slice(0, 20).join(', ')}`;
}

/** Between two acknowledgements to one publisher, where it touches the time from `fromMs` to `toMs`. */
function longestWait(history: History, fromMs: number, toMs: number): Wait {
  const answersOf = new Map<string, number[]>();
  for (const { publisher = '', outcome, answeredAtMs } of history.published.values()) {
    if (outcome !== 'ok' || answeredAtMs === undefined || answeredAtMs > toMs) continue;
    const answers = answersOf.get(publisher);
    if (answers === undefined) answersOf.set(publisher, [answeredAtMs]);
    else answers.push(answeredAtMs);
  }
  let longest: Wait = { publisher: '', sinceMs: fromMs, gapMs: 0 };
  for (const [publisher, answers] of answersOf) {
    answers.sort((a, b) => a - b);
    let sinceMs = answers[0] as number;
    for (const atMs of [...answers, toMs]) {
      if (atMs >= fromMs && atMs - sinceMs > longest.gapMs) longest = { publisher, sinceMs, gapMs: atMs - sinceMs };
      sinceMs = atMs;
    }
  }
  return longest;
}

interface Wait {
  publisher: string;
  sinceMs: number;
  gapMs: number;
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** For whoever looks for the cause. */
function keepLogs(cluster: MovingCluster, history: History | undefined): string {
  const folder = join(tmpdir(), `sluice-scaling-logs-${process.pid}-${Date.now()}`);
  mkdirSync(folder);
  for (const { name, logFile } of cluster.nodes) {
    if (existsSync(logFile)) copyFileSync(logFile, join(folder, `${name}.log`));
  }
  if (history === undefined) return folder;
  const at = (ms: number | undefined): string | undefined =>
    ms === undefined || ms === Number.POSITIVE_INFINITY
      ? undefined
      : new Date(performance.timeOrigin + ms).toISOString();
  const lines = [
    ...history.faults.map(({ kind, fromMs, toMs }) => ({ fault: kind, from: at(fromMs), to: at(toMs) })),
    ...[...history.published].map(([id, { sentAtMs, answeredAtMs, ...rest }]) => ({
      published: id,
      sent: at(sentAtMs),
      answered: at(answeredAtMs),
      ...rest,
    })),
    ...history.deliveries.map(({ atMs, acceptedAtMs, ...rest }) => ({
      delivered: at(atMs),
      accepted: at(acceptedAtMs),
      ...rest,
    })),
  ];
  writeFileSync(join(folder, 'history.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return folder;
}
