import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Balancer } from '../../deploy/balancer.mjs';
import { LocalCluster } from '../../deploy/local-cluster.mjs';
import { until } from '../faults/load.ts';
import { DIES_WITH_US, endOfLog } from '../harness/node-lifetime.ts';
import { RestClient } from '../harness/rest.ts';
import type { Address } from '../harness/server-process.ts';
import { within } from '../harness/within.ts';

const BIN = join(import.meta.dirname, '../../packages/server/dist/bin.js');
const KEY = 'harness:harness-secret';
const ALL_ROLES = 'gateway,store,coordinator';
const REST_MS_MAX = 2_000;
const START_MS_MAX = 90_000;
const COMMAND_MS_MAX = 30_000;
/** Of `sluice cluster status`. */
const EXIT_UNWELL = 6;
const run = promisify(execFile);

/** How a cluster begins; more nodes come by `add`. */
export type Beginning = 'one' | 'three' | 'tiers';

const LAYOUTS: Record<Beginning, { name: string; roles: string; count: number }[]> = {
  one: [{ name: 'node', roles: ALL_ROLES, count: 1 }],
  three: [{ name: 'node', roles: ALL_ROLES, count: 3 }],
  tiers: [
    { name: 'coordinator', roles: 'coordinator', count: 3 },
    { name: 'store', roles: 'store', count: 1 },
    { name: 'gateway', roles: 'gateway', count: 1 },
  ],
};

export interface MovingNode {
  name: string;
  roles: string[];
  data: string;
  mqtt: string;
  http: string;
  logFile: string;
  isRunning: boolean;
  pid: number | undefined;
  start(): Promise<void>;
  stop(): Promise<{ code: number | null; signal: string | null }>;
  kill(signal?: string): Promise<unknown>;
}

export interface ClusterView {
  self: string;
  replication_factor: number;
  coordinator: string | null;
  nodes: { node: string; node_id: number; roles: string[]; alive: boolean; state: string }[];
  partitions: { partition: number; leader: string | null; replicas: string[] }[];
}

/** What a cluster has come to when it is even. */
export interface Shape {
  /** Names of the stores that keep everything, and nobody else does. */
  stores: readonly string[];
  copies: number;
  /** Stores that have copies and shall lead nothing. */
  leaderless?: readonly string[];
}

/**
 * A cluster of separate processes that grows and shrinks while clients go through one address. What was moved is asked
 * of the nodes themselves: places that are only decided are not places where anything is.
 */
export class MovingCluster {
  readonly folder: string;
  readonly #cluster: LocalCluster;
  readonly #balancer: Balancer;
  #port = 0;

  private constructor(flags: readonly string[]) {
    this.folder = mkdtempSync(join(tmpdir(), `sluice-scaling-${process.pid}-`));
    const keys = join(this.folder, 'api-keys');
    writeFileSync(keys, `${KEY}:administrator\n`, { mode: 0o600 });
    this.#cluster = new LocalCluster({
      directory: this.folder,
      flags: ['--api-keys', keys, ...flags],
      prefixOf: () => DIES_WITH_US,
    });
    this.#balancer = new Balancer(() => this.running('gateway').map(({ mqtt }) => mqtt));
  }

  static async start(beginning: Beginning, flags: readonly string[] = []): Promise<MovingCluster> {
    const made = new MovingCluster(flags);
    try {
      made.#port = await made.#balancer.listen(0);
      await within(START_MS_MAX, 'the cluster to start', made.#cluster.start(LAYOUTS[beginning]));
      return made;
    } catch (cause) {
      const told = made.failure(cause);
      await made.dispose();
      throw told;
    }
  }

  /** Where every client connects. */
  get target(): Address[] {
    return [{ host: '127.0.0.1', port: this.#port }];
  }

  get nodes(): MovingNode[] {
    return [...this.#cluster.nodes.values()];
  }

  node(name: string): MovingNode {
    const found = this.#cluster.nodes.get(name);
    if (found === undefined) throw new Error(`there is no node ${name}: the test is wrong`);
    return found;
  }

  running(role: string): MovingNode[] {
    return this.nodes.filter(({ isRunning, roles }) => isRunning && roles.includes(role));
  }

  /** With all roles unless told otherwise. */
  async add(name: string, roles = ALL_ROLES): Promise<MovingNode> {
    return await within(START_MS_MAX, `${name} to start`, this.#cluster.add(name, roles));
  }

  async restart(name: string): Promise<void> {
    await within(START_MS_MAX, `${name} to start again`, this.node(name).start());
  }

  rest(name: string, withinMs = COMMAND_MS_MAX): RestClient {
    const [key, secret] = KEY.split(':');
    return new RestClient(`http://${this.node(name).http}`, key, secret, withinMs);
  }

  /** A node that runs and answers. */
  async anyRest(): Promise<RestClient> {
    return await until('a node that answers', performance.now() + START_MS_MAX, async () => {
      for (const { name, isRunning } of this.nodes) {
        if (isRunning && (await this.view(name)) !== undefined) return this.rest(name);
      }
      return undefined;
    });
  }

  /** The cluster as one node knows it; undefined when it does not answer. */
  async view(name: string): Promise<ClusterView | undefined> {
    const answer = await this.rest(name, REST_MS_MAX)
      .get('/api/v5/cluster')
      .catch(() => undefined);
    return answer?.status === 200 ? (answer.body as ClusterView) : undefined;
  }

  /** `sluice cluster …` as an operator types it, asked of the first node that runs. */
  async command(...words: string[]): Promise<string> {
    const asked = this.nodes.find(({ isRunning }) => isRunning);
    const args = [BIN, 'cluster', ...words, '--url', `http://${asked?.http}`];
    const env = { ...process.env, SLUICE_API_KEY: KEY };
    try {
      return (await run(process.execPath, args, { env, timeout: COMMAND_MS_MAX })).stdout;
    } catch (cause) {
      // It said what it should; that something is wrong is why it was asked.
      if ((cause as { code?: unknown }).code === EXIT_UNWELL) return (cause as { stdout: string }).stdout;
      throw cause;
    }
  }

  /**
   * Waits until every running node sees these stores hold everything, evenly, and lead it evenly, and until the stores
   * themselves have as many replicas as that takes. Returns who had and led what then.
   */
  async even(shape: Shape, withinMs: number): Promise<string> {
    let why = '';
    let view: ClusterView | undefined;
    await until(
      () => `${shape.stores.join(', ')} to share everything evenly: ${why}`,
      performance.now() + withinMs,
      async () => {
        const asked = this.nodes.find(({ isRunning }) => isRunning);
        view = asked === undefined ? undefined : await this.view(asked.name);
        why = await this.#unevenness(shape);
        return why === '' && view !== undefined && unevenView(view, shape) === '';
      },
    );
    return shape.stores.map((name) => shareOf(view as ClusterView, name)).join(', ');
  }

  async #unevenness(shape: Shape): Promise<string> {
    for (const { name, isRunning } of this.nodes) {
      if (!isRunning) continue;
      const view = await this.view(name);
      if (view === undefined) return `${name} does not answer`;
      const told = unevenView(view, shape);
      if (told !== '') return `${name} says ${told}`;
    }
    for (const { name, roles } of this.running('store')) {
      const metadata = roles.includes('coordinator') ? 1 : 0;
      const view = (await this.view(name)) as ClusterView;
      const due = view.partitions.filter(({ replicas }) => replicas.includes(name)).length;
      const there = await this.metric(name, 'sluice_raft_groups');
      // Whether a coordinator is a member of the metadata is not for the places of partitions to say.
      if (there < due || there > due + metadata) return `${name} has ${there} groups, and ${due} partitions live there`;
    }
    return '';
  }

  /** Waits until a node has no copy of anything. */
  async emptied(name: string, withinMs: number): Promise<void> {
    let groups = 0;
    await until(
      () => `${name} to have nothing left; it has ${groups} groups`,
      performance.now() + withinMs,
      async () => {
        groups = await this.metric(name, 'sluice_raft_groups');
        if (groups > 1) return false;
        const view = await this.view(this.nodes.find((node) => node.isRunning && node.name !== name)?.name ?? name);
        return view?.nodes.every((node) => node.node !== name) === true;
      },
    );
  }

  /** Of one node, summed over its labels; 0 when it does not answer. */
  async metric(node: string, name: string, labels = ''): Promise<number> {
    const answer = await this.rest(node, REST_MS_MAX)
      .get('/metrics')
      .catch(() => undefined);
    let sum = 0;
    for (const line of String(answer?.body ?? '').split('\n')) {
      if (!line.startsWith(name) || !/^[{ ]/.test(line.slice(name.length)) || !line.includes(labels)) continue;
      sum += Number(line.slice(line.lastIndexOf(' ')));
    }
    return sum;
  }

  /** An error with the ends of all logs. */
  failure(cause: unknown): Error {
    const logs = this.nodes.map(({ name, logFile }) => `--- ${name}\n${endOfLog(logFile)}`);
    return new Error(`${String(cause)}\nthe ends of the logs:\n${logs.join('\n')}`, { cause });
  }

  async dispose({ keep = false } = {}): Promise<void> {
    this.#balancer.close();
    await this.#cluster.killAll();
    if (!keep) rmSync(this.folder, { recursive: true, force: true });
  }
}

function shareOf({ partitions }: ClusterView, name: string): string {
  const led = partitions.filter(({ leader }) => leader === name).length;
  const held = partitions.filter(({ replicas }) => replicas.includes(name)).length;
  return `${name} leads ${led} of ${held}`;
}

/** What is not even, empty when all is. */
function unevenView(view: ClusterView, { stores, copies, leaderless = [] }: Shape): string {
  if (view.coordinator === null) return 'that no coordinator answers';
  const silent = stores.filter((name) => !view.nodes.some(({ node, alive }) => node === name && alive));
  if (silent.length > 0) return `that ${silent.join(', ')} is not there`;
  for (const { partition, leader, replicas } of view.partitions) {
    if (leader === null || !replicas.includes(leader)) return `that nobody leads partition ${partition}`;
    if (replicas.length !== copies) return `that partition ${partition} is on ${replicas.join(', ')}`;
    const strange = replicas.filter((name) => !stores.includes(name));
    if (strange.length > 0) return `that partition ${partition} is on ${strange.join(', ')}`;
  }
  const held = stores.map((name) => view.partitions.filter(({ replicas }) => replicas.includes(name)).length);
  if (Math.max(...held) - Math.min(...held) > 1) return `that copies are spread as ${held.join(', ')}`;
  const led = stores
    .filter((name) => !leaderless.includes(name))
    .map((name) => view.partitions.filter(({ leader }) => leader === name).length);
  if (Math.max(...led) - Math.min(...led) > 1) return `that leaders are spread as ${led.join(', ')}`;
  if (view.partitions.some(({ leader }) => leaderless.includes(leader as string)))
    return `that ${leaderless.join(', ')} leads`;
  return view.partitions.length === 0 ? 'nothing of partitions' : '';
}
