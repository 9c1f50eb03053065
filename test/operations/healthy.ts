import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../../deploy/local-prometheus.mjs';
import { DIES_WITH_US } from '../harness/node-lifetime.ts';

const DEPLOY = join(import.meta.dirname, '../../deploy');
/** As Compose has them. */
const PARTS = ['jobs', 'worker', 'worker', 'worker', 'sluggish', 'commands', 'device'];
const START_MS_MAX = 120_000;
const MINUTE_MS = 60_000;

export interface Health {
  /** Names of alerts that fired, each with its labels. */
  fired: string[];
  /** Those whose condition held for a while, and those that fired before they did. */
  passing: string[];
  /** Why the run says nothing: nothing was done, a node was not scraped, a rule could not be evaluated. */
  void: string[];
  acknowledged: number;
}

/**
 * The cluster of `npm run cluster` with its Prometheus, and the work of the demos: nothing that happens there is worth
 * waking anybody. What fired at any evaluation counts, not what fires in the end.
 */
export async function watchHealthy(options: { minutes: number; say: (text: string) => void }): Promise<Health> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-healthy-'));
  const children: ChildProcess[] = [];
  const run = (script: string, words: string[], env: Record<string, string> = {}): ChildProcess => {
    const [program, ...args] = [...DIES_WITH_US, process.execPath, join(DEPLOY, script), ...words] as [string];
    const stdio = ['ignore', 'pipe', 'inherit'] as const;
    const child = spawn(program, args, { stdio: [...stdio], env: { ...process.env, ...env } });
    children.push(child);
    return child;
  };
  try {
    const cluster = run('run-cluster.mjs', ['--data', folder, '--mqtt', '0', '--http', '0', '--prometheus', '0']);
    const { mqtt, http, prometheus } = await ready(cluster);
    if (prometheus === undefined) throw new Error('this needs Prometheus: apt-get install prometheus');
    for (const part of PARTS) run('demo-clients.mjs', [part], { SLUICE_MQTT: mqtt, SLUICE_URL: `http://${http}` });
    options.say(`cluster behind ${mqtt}, ${PARTS.length} clients, Prometheus at ${prometheus}`);
    for (let minute = 1; minute <= options.minutes; minute++) {
      await delay(MINUTE_MS);
      if (cluster.exitCode !== null) throw new Error('the cluster ended');
      const now = await alerts(prometheus, 'ALERTS');
      options.say(`minute ${minute}: ${now.length === 0 ? 'no alert' : now.join('; ')}`);
    }
    return await healthOf(prometheus, options.minutes);
  } finally {
    for (const child of children.reverse()) await end(child);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function healthOf(prometheus: string, minutes: number): Promise<Health> {
  // A little more than the whole run.
  const all = `[${minutes + 2}m]`;
  const fired = await alerts(prometheus, `max_over_time(ALERTS{alertstate="firing"}${all})`);
  const passing = await alerts(prometheus, `max_over_time(ALERTS{alertstate="pending"}${all})`);
  const problems: string[] = [];
  const down = await ask(prometheus, `min_over_time(up${all}) == 0`);
  for (const { metric } of down) problems.push(`${metric.instance} was not scraped all the time`);
  const response = await fetch(`${prometheus}/api/v1/rules`);
  const { data } = (await response.json()) as { data: { groups: { rules: { name: string; lastError?: string }[] }[] } };
  const rules = data.groups.flatMap((group) => group.rules);
  if (rules.length === 0) problems.push('there are no rules');
  for (const { name, lastError } of rules) if (lastError) problems.push(`${name}: ${lastError}`);
  const [acked] = await ask(prometheus, `sum(increase(sluice_consumer_acked_total${all}))`);
  const acknowledged = Math.round(Number(acked?.value[1] ?? 0));
  if (acknowledged < minutes * ACKED_A_MINUTE_MIN) problems.push(`only ${acknowledged} messages were worked off`);
  return { fired, passing, void: problems, acknowledged };
}

/** Twenty jobs a second are published. */
const ACKED_A_MINUTE_MIN = 500;

/** Each once, by name and what it is about. */
async function alerts(prometheus: string, expr: string): Promise<string[]> {
  const results: { metric: Record<string, string> }[] = await ask(prometheus, expr);
  return results.map(({ metric: { alertname, alertstate, queue, instance } }) =>
    [alertname, alertstate, queue ?? instance ?? ''].join(' ').trim(),
  );
}

interface Ready {
  mqtt: string;
  http: string;
  prometheus?: string;
}

async function ready(cluster: ChildProcess): Promise<Ready> {
  const lines = createInterface({ input: cluster.stdout as NodeJS.ReadableStream });
  const said: string[] = [];
  return await new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${why}\n${said.join('\n')}`));
    const timer = setTimeout(() => fail('the cluster did not start in time'), START_MS_MAX);
    cluster.once('exit', () => fail('the cluster ended before it was ready'));
    lines.on('line', (line) => {
      said.push(line);
      if (!line.startsWith('ready ')) return;
      clearTimeout(timer);
      resolve(JSON.parse(line.slice('ready '.length)) as Ready);
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
