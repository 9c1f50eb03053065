import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Prng, SeededPrng } from '@sluice/common/prng';
import { pause } from '../../faults/kill-rounds.ts';
import { API } from '../../faults/load.ts';
import { type Address, addressOf } from '../../harness/server-process.ts';
import { ClusterUnderTest } from '../cluster-under-test.ts';
import { NETWORKS } from '../node-networks.ts';
import { AskingClient, type Forgotten } from './asking-client.ts';

/**
 * Every publish has an answer, or its connection ends: whatever becomes of gateways, stores, and what is between them. Many
 * clients with small windows, clean and kept, of both versions and both QoS, while nodes are killed, frozen, stopped, cut
 * off and reset, several at a time.
 */
export interface OwedAnswersOptions {
  forMs: number;
  seed: number;
  clients: number;
  say(text: string): void;
}

export interface OwedAnswersVerdict {
  answered: number;
  refused: number;
  slowestMs: number;
  faults: number;
  /** By `clean` or `kept`, version and reason code. */
  admissions: ReadonlyMap<string, number>;
  forgotten: readonly Forgotten[];
  /** Clients that had no answer in the calm after the last fault. */
  standing: number;
}

/** A batch is given up after 15 s, and before it a packet id of a kept session is asked for up to 10 s; with a bound. */
const OWED_MS = 35_000;
const PACE_MS = 40;
const CALM_MS_MAX = 2_500;
const LAST_MS_MAX = 7_000;
const AT_ONCE_MAX = 2;
const TELL_EVERY = 10;
/** A backlog that nobody takes. */
const KEPT_MAX = 1_000;

export async function owedAnswers({ forMs, seed, clients, say }: OwedAnswersOptions): Promise<OwedAnswersVerdict> {
  const prng = new SeededPrng(seed);
  const networks = NETWORKS.isPresent();
  const cluster = await ClusterUnderTest.start({ layout: 'compact', networks });
  const all: AskingClient[] = [];
  let faults = 0;
  try {
    const rest = cluster.rest(cluster.gateways()[0]?.name as string, 30_000);
    for (let n = 0; n < 3; n++) {
      const definition = { topic_filter: `owed/${n}/+`, is_lastvalue: false, dispatch_strategy: 'random' };
      const limits = { limits: { max_message_count: KEPT_MAX, overflow: 'drop_oldest' } };
      const { status, body } = await rest.post(API, { ...definition, ...limits });
      if (status >= 300) throw new Error(`the queue was refused: ${status} ${JSON.stringify(body)}`);
    }
    const targets = (): Address[] => cluster.gateways().map(({ mqtt }) => addressOf(mqtt));
    const forgot = (forgotten: Forgotten): void => void dump(cluster, forgotten).then(say);
    for (let n = 0; n < clients; n++) {
      const [version, qos, isKept] = [n % 2 === 0 ? 5 : 4, n % 4 < 2 ? 2 : 1, n % 8 < 4] as const;
      // Also what nobody keeps, and what goes to two partitions.
      const topics = [`owed/${n % 3}/${n}`, 'nobody/listens', `owed/${(n + 1) % 3}/${n}`];
      const options = { version, qos, isKept, topics, targets, first: n, paceMs: PACE_MS, owedMs: OWED_MS, forgot };
      all.push(new AskingClient(`asks-${n}`, options));
    }
    const untilMs = performance.now() + forMs;
    const busy = new Set<string>();
    const strikes: Promise<void>[] = [];
    for (let lane = 0; lane < AT_ONCE_MAX; lane++) strikes.push(strike(lane));
    async function strike(lane: number): Promise<void> {
      while (performance.now() < untilMs) {
        await pause(prng.below(CALM_MS_MAX));
        const free = cluster.nodes.map(({ name }) => name).filter((name) => !busy.has(name));
        const name = free[prng.below(free.length)] as string;
        busy.add(name);
        const told = await actOn(cluster, prng, name);
        busy.delete(name);
        if (++faults % TELL_EVERY === 0) say(`fault ${faults}, of ${lane}: ${told}; ${format(verdictOf(all, faults))}`);
      }
    }
    await Promise.all(strikes);
    const answeredBefore = all.map(({ answered }) => answered);
    await pause(OWED_MS + LAST_MS_MAX);
    const verdict = verdictOf(all, faults);
    const standing = all.filter(({ answered }, n) => answered === answeredBefore[n]);
    for (const client of standing) say(`STANDS STILL though nothing is wrong any more: ${client.describe()}`);
    return { ...verdict, standing: standing.length };
  } catch (cause) {
    throw cluster.failure(cause);
  } finally {
    for (const client of all) client.stop();
    await cluster.dispose();
  }
}

export function isOwedNothing({ forgotten, standing }: OwedAnswersVerdict): boolean {
  return forgotten.length + standing === 0;
}

export function format(verdict: OwedAnswersVerdict): string {
  const { answered, refused, slowestMs, faults, admissions, forgotten, standing } = verdict;
  const told = [...admissions].sort().map(([how, count]) => `${how} ${count}`);
  const good = `${faults} faults, ${answered} answers, ${refused} of them refusals, the slowest after ${Math.round(slowestMs)} ms`;
  return `${good}; ${forgotten.length} forgotten, ${standing} standing still; CONNACKs: ${told.join(', ')}`;
}

function verdictOf(all: readonly AskingClient[], faults: number): OwedAnswersVerdict {
  const admissions = new Map<string, number>();
  let [answered, refused, slowestMs] = [0, 0, 0];
  for (const client of all) {
    answered += client.answered;
    refused += client.refused;
    slowestMs = Math.max(slowestMs, client.slowestMs);
    for (const [code, count] of client.admissions) {
      const how = `${client.isKept ? 'kept' : 'clean'} v${client.version} 0x${code.toString(16)}`;
      admissions.set(how, (admissions.get(how) ?? 0) + count);
    }
  }
  const forgotten = all.flatMap((client) => client.forgotten);
  return { answered, refused, slowestMs, faults, admissions, forgotten, standing: 0 };
}

async function actOn(cluster: ClusterUnderTest, prng: Prng, name: string): Promise<string> {
  const forMs = prng.below(LAST_MS_MAX);
  const others = cluster.nodes.map((node) => node.name).filter((other) => other !== name);
  switch (prng.below(cluster.networks === undefined ? 3 : 6)) {
    case 0:
      await cluster.node(name).kill();
      await pause(forMs / 2);
      await cluster.restart(name);
      return `${name} killed`;
    case 1:
      await cluster.node(name).stop();
      await cluster.restart(name);
      return `${name} stopped`;
    case 2:
      cluster.node(name).pause();
      await pause(forMs);
      cluster.node(name).resume();
      return `${name} frozen for ${forMs} ms`;
    case 3:
      cluster.networks?.cut([name], others);
      await pause(forMs);
      cluster.networks?.mend([name], others);
      return `${name} cut off for ${forMs} ms`;
    case 4:
      cluster.networks?.cutOneWay([name], others);
      await pause(forMs);
      cluster.networks?.mend([name], others);
      return `${name} heard by nobody for ${forMs} ms`;
    default:
      await cluster.networks?.reset(name);
      return `connections of ${name} reset`;
  }
}

let dumps = 0;

/** What every node says of the client, and of itself. */
async function dump(cluster: ClusterUnderTest, { client, what, trace }: Forgotten): Promise<string> {
  const lines = [`${new Date().toISOString()} ${client}: ${what}`, ...trace];
  for (const { name, isRunning } of cluster.nodes) {
    lines.push(`=== ${name}${isRunning ? '' : ' is not running'}`);
    for (const path of [`/api/v5/clients/${client}`, '/api/v5/cluster', '/metrics']) {
      const answer = await cluster
        .rest(name)
        .get(path)
        .catch((cause: Error) => ({ status: 0, body: String(cause) }));
      const body = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
      lines.push(
        body
          .split('\n')
          .filter((line) => !line.startsWith('#') && !line.includes('_bucket'))
          .join('\n'),
      );
    }
  }
  const file = join(tmpdir(), `sluice-owed-${process.pid}-${++dumps}.txt`);
  writeFileSync(file, `${cluster.failure(lines.join('\n')).message}\n`);
  return `FORGOTTEN: ${client}: ${what}: ${file}`;
}
