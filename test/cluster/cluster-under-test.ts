import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Balancer } from '../../deploy/balancer.mjs';
import { LAYOUTS, LocalCluster } from '../../deploy/local-cluster.mjs';
import { API, until } from '../faults/load.ts';
import { LoopDisk } from '../faults/loop-disk.ts';
import { DIES_WITH_US, endOfLog } from '../harness/node-lifetime.ts';
import { RestClient } from '../harness/rest.ts';
import { type Address, addressOf } from '../harness/server-process.ts';
import { within } from '../harness/within.ts';
import { isAlive, NodeNetworks } from './node-networks.ts';

const FOLDER = /^sluice-cluster-(\d+)-/;
const START_MS_MAX = 90_000;
const REST_MS_MAX = 3_000;
const KEY = 'harness';
const SECRET = 'harness-secret';
/** Leadership that has not moved for this long has come to rest. */
const STILL_MS = 1_500;

export type LayoutName = 'tiers' | 'compact';

export interface ClusterOptions {
  layout?: LayoutName;
  /** Of every node. */
  flags?: string[];
  /** Each node gets a network of its own, which can be cut. */
  networks?: boolean;
  /** Each store gets a disk of its own of so many bytes. */
  diskBytes?: number;
  /** Where a node binds; all of them at one address by default. */
  hostOf?: (name: string) => string;
  /** More variables of a node's environment. */
  environmentOf?: (name: string) => Record<string, string>;
  /** Which build a node runs, asked at each of its starts; the one of this tree by default. */
  binOf?: (name: string) => string;
}

/** A node as the cluster's launcher has it. */
export interface ClusterProcess {
  name: string;
  roles: string[];
  data: string;
  grpc: string;
  mqtt: string;
  http: string;
  logFile: string;
  pid: number | undefined;
  isRunning: boolean;
  start(prefix?: string[]): Promise<void>;
  stop(): Promise<{ code: number | null; signal: string | null }>;
  kill(signal?: string): Promise<unknown>;
  pause(): void;
  resume(): void;
}

export interface ClusterView {
  self: string;
  /** Missing when a build says it that knows of none. */
  feature_level?: number;
  nodes: {
    node: string;
    node_id: number;
    roles: string[];
    alive: boolean;
    state: string;
    leads: number;
    replicas: number;
  }[];
  partitions: { partition: number; leader: string | null; replicas: string[] }[];
  problems: { severity: string; message: string }[];
}

/**
 * A cluster of separate processes with what a test wants to do to it. It lives in a folder that names the process of
 * the test; its nodes die with that process, and whatever is left of one that was killed is removed by the next start.
 */
export class ClusterUnderTest {
  readonly folder: string;
  readonly layout: LayoutName;
  readonly networks: NodeNetworks | undefined;
  readonly #cluster: LocalCluster;
  readonly #retired: ClusterProcess[] = [];
  readonly #disks = new Map<string, LoopDisk>();
  readonly #diskBytes: number | undefined;
  readonly #balancer: Balancer;
  #balancerPort = 0;

  private constructor(options: ClusterOptions) {
    const { layout = 'tiers', flags = [], networks = false, diskBytes } = options;
    const { hostOf = () => '127.0.0.1', environmentOf = () => ({}) } = options;
    sweep();
    this.layout = layout;
    this.folder = mkdtempSync(join(tmpdir(), `sluice-cluster-${process.pid}-`));
    this.networks = networks ? new NodeNetworks() : undefined;
    this.#diskBytes = diskBytes;
    const keys = join(this.folder, 'api-keys');
    writeFileSync(keys, `${KEY}:${SECRET}:administrator\n`, { mode: 0o600 });
    this.#cluster = new LocalCluster({
      directory: this.folder,
      flags: [
        '--api-keys',
        keys,
        ...(networks ? ['--set', 'auth.anonymous=true', '--set', 'cluster.insecure=true'] : []),
        ...flags,
      ],
      hostOf: (name: string) => this.networks?.addressOf(name) ?? hostOf(name),
      dataOf: (name: string) => this.#dataOf(name),
      ...(options.binOf === undefined ? {} : { binOf: options.binOf }),
      prefixOf: (name: string) => [
        ...(this.networks?.prefixOf(name) ?? []),
        ...DIES_WITH_US,
        'env',
        ...Object.entries(environmentOf(name)).map(([variable, value]) => `${variable}=${value}`),
      ],
    });
    this.#balancer = new Balancer(() => this.gateways().map(({ mqtt }) => mqtt));
  }

  static async start(options: ClusterOptions = {}): Promise<ClusterUnderTest> {
    const made = new ClusterUnderTest(options);
    try {
      made.#balancerPort = await made.#balancer.listen(0);
      await within(START_MS_MAX, 'the cluster to start', made.#cluster.start(LAYOUTS[made.layout]));
      await made.atRest(START_MS_MAX);
      return made;
    } catch (cause) {
      const told = made.failure(cause);
      await made.dispose();
      throw told;
    }
  }

  get nodes(): ClusterProcess[] {
    return [...this.#cluster.nodes.values()];
  }

  node(name: string): ClusterProcess {
    const found = this.#cluster.nodes.get(name);
    if (found === undefined) throw new Error(`there is no node ${name}: the test is wrong`);
    return found;
  }

  withRole(role: 'gateway' | 'store' | 'coordinator'): ClusterProcess[] {
    return this.nodes.filter(({ roles }) => roles.includes(role));
  }

  gateways(): ClusterProcess[] {
    return this.withRole('gateway');
  }

  async add(name: string, roles: string, flags: string[] = []): Promise<ClusterProcess> {
    return await within(START_MS_MAX, `${name} to start`, this.#cluster.add(name, roles, flags));
  }

  /** A node that ended is started again on its data. */
  async restart(name: string): Promise<void> {
    await within(START_MS_MAX, `${name} to start again`, this.node(name).start());
  }

  disk(name: string): LoopDisk {
    return this.#disks.get(name) as LoopDisk;
  }

  /** `host:port` that leads to any gateway. */
  get balancer(): string {
    return `127.0.0.1:${this.#balancerPort}`;
  }

  /** For client `n`: every third goes through a balancer, the others try the gateways in turn, from different ones on. */
  targetOf(n: number): Address[] {
    const balanced = { host: '127.0.0.1', port: this.#balancerPort };
    const gateways = this.gateways().map(({ mqtt }) => addressOf(mqtt));
    if (n % 3 === 2) return [balanced];
    return gateways.map((_, i) => gateways[(n + i) % gateways.length] as Address);
  }

  rest(name: string, withinMs = REST_MS_MAX): RestClient {
    return new RestClient(`http://${this.node(name).http}`, KEY, SECRET, withinMs);
  }

  /** What `sluice` reads of its environment to ask a node. */
  api(name: string): Record<string, string> {
    return { SLUICE_URL: `http://${this.node(name).http}`, SLUICE_API_KEY: `${KEY}:${SECRET}` };
  }

  /** A node that runs, and its answer to whoever asks; those that do not answer are passed over. */
  async anyRest(): Promise<RestClient> {
    for (const { name, isRunning } of this.nodes) {
      if (isRunning && (await this.view(name)) !== undefined) return this.rest(name);
    }
    throw new Error('no node answers');
  }

  /** The cluster as one node knows it; undefined when it does not answer. */
  async view(name: string): Promise<ClusterView | undefined> {
    const answer = await this.rest(name)
      .get('/api/v5/cluster')
      .catch(() => undefined);
    return answer?.status === 200 ? (answer.body as ClusterView) : undefined;
  }

  /** Who leads the first partition of a queue. */
  async leaderOf(queue: string): Promise<string> {
    return await patiently(`a leader of ${queue}`, performance.now() + START_MS_MAX, async () => {
      const { status, body } = await (await this.anyRest()).get(`${API}/${encodeURIComponent(`/${queue}`)}/stats`);
      if (status !== 200) return undefined;
      const { statistics } = body as { statistics: { partitions: { leader: string | null }[] } | null };
      return statistics?.partitions[0]?.leader ?? undefined;
    });
  }

  /** What an operator asks of a node; any node takes it. */
  async wish(name: string, verb: 'drain' | 'undrain' | 'leave'): Promise<void> {
    await patiently(`${name} to ${verb}`, performance.now() + START_MS_MAX, async () => {
      const { status } = await (await this.anyRest()).post(`/api/v5/nodes/${name}/${verb}`, {});
      return status < 300;
    });
  }

  /** The number a node has in the cluster. */
  async idOf(name: string): Promise<number> {
    return await patiently(`the number of ${name}`, performance.now() + START_MS_MAX, async () => {
      const view = await this.view(name);
      return view?.nodes.find(({ node, alive }) => node === name && alive)?.node_id;
    });
  }

  /** A node that has left is stopped, and none of this cluster any more. */
  async retire(name: string): Promise<void> {
    const node = this.node(name);
    await node.stop();
    this.#retired.push(node);
    this.#cluster.nodes.delete(name);
  }

  /** Waits until nobody believes that a node leads a partition. */
  async leadsNothing(name: string): Promise<void> {
    await patiently(`${name} to lead nothing`, performance.now() + START_MS_MAX, async () => {
      const views = await Promise.all(this.gateways().map((gateway) => this.view(gateway.name)));
      return views.every((view) => view?.partitions.every(({ leader }) => leader !== null && leader !== name));
    });
  }

  /** Metrics of one node, summed over their labels; `labels` picks. */
  async metric(node: string, name: string, labels = ''): Promise<number> {
    const { body } = await this.rest(node).get('/metrics');
    let sum = 0;
    for (const line of String(body).split('\n')) {
      if (!line.startsWith(name) || !/^[{ ]/.test(line.slice(name.length)) || !line.includes(labels)) continue;
      sum += Number(line.slice(line.lastIndexOf(' ')));
    }
    return sum;
  }

  /** The coordinator that leads the metadata. */
  async leadingCoordinator(): Promise<string> {
    return await patiently('a leading coordinator', performance.now() + START_MS_MAX, async () => {
      for (const { name, isRunning } of this.withRole('coordinator')) {
        const leads =
          isRunning &&
          (await this.rest(name)
            .get('/readyz')
            .catch(() => undefined));
        if (leads && leads.status === 200 && (await this.metric(name, 'sluice_raft_groups', 'role="leader"')) > 0)
          return name;
      }
      return undefined;
    });
  }

  /**
   * Every running node agrees that all of them are there and that every partition is led, leadership is spread evenly,
   * and nothing of it has moved for a while. Returns how long that took, without the while.
   */
  async atRest(withinMs: number, { balanced = true, absent = [] as readonly string[] } = {}): Promise<number> {
    const fromMs = performance.now();
    let last = '';
    let sinceMs = fromMs;
    let why = '';
    await until(
      () => `the cluster to come to rest: ${why}`,
      fromMs + withinMs,
      async () => {
        const views: ClusterView[] = [];
        for (const { name, isRunning } of this.nodes) {
          if (!isRunning || absent.includes(name)) continue;
          const view = await this.view(name);
          why = view === undefined ? `${name} does not answer` : unrest(view, balanced, absent);
          if (why !== '' || view === undefined) break;
          views.push(view);
        }
        const leaders = why === '' ? JSON.stringify(views.map(({ partitions }) => partitions)) : '';
        if (leaders === '' || leaders !== last) {
          if (why === '') why = 'leadership moved a moment ago';
          sinceMs = performance.now();
        }
        last = leaders;
        return leaders !== '' && performance.now() - sinceMs >= STILL_MS;
      },
    );
    return sinceMs - fromMs;
  }

  /** Where each node wrote what it had to say, also those that have left. */
  get logs(): { name: string; logFile: string }[] {
    return [...this.nodes, ...this.#retired];
  }

  /** An error with the ends of all logs. */
  failure(cause: unknown): Error {
    const logs = this.logs.map(({ name, logFile }) => `--- ${name}\n${endOfLog(logFile)}`);
    return new Error(`${String(cause)}\nthe ends of the logs:\n${logs.join('\n')}`, { cause });
  }

  async dispose(): Promise<void> {
    this.#balancer.close();
    await this.#cluster.killAll();
    this.networks?.dispose();
    for (const disk of this.#disks.values()) disk.dispose();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #dataOf(name: string): string {
    if (this.#diskBytes === undefined || !/^(store|node)/.test(name)) return join(this.folder, name, 'data');
    const disk = new LoopDisk(this.#diskBytes);
    this.#disks.set(name, disk);
    const data = join(disk.mountPoint, 'data');
    mkdirSync(data, { mode: 0o700 });
    disk.flush();
    return data;
  }
}

/** Why it is not at rest, empty when it is. */
function unrest({ self, nodes, partitions }: ClusterView, balanced: boolean, absent: readonly string[]): string {
  const dead = nodes.filter(({ node, alive }) => !alive && !absent.includes(node)).map(({ node }) => node);
  if (dead.length > 0) return `${self} does not see ${dead.join(', ')}`;
  const orphans = partitions.filter(({ leader, replicas }) => leader === null || !replicas.includes(leader));
  if (orphans.length > 0) return `${self} knows no leader of ${orphans.map(({ partition }) => partition).join(', ')}`;
  const stores = nodes.filter(
    ({ roles, node, replicas }) => roles.includes('store') && replicas > 0 && !absent.includes(node),
  );
  const leads = stores.map(({ node }) => partitions.filter(({ leader }) => leader === node).length);
  if (balanced && Math.max(...leads) - Math.min(...leads) > 1)
    return `${self} sees leaders spread as ${leads.join(', ')}`;
  return partitions.length === 0 ? `${self} knows no partitions` : '';
}

/** What runs that were killed left behind. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = FOLDER.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const folder = join(tmpdir(), name);
    for (const process_ of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      const file = `/proc/${process_}/cmdline`;
      let command = '';
      try {
        command = readFileSync(file, 'utf8');
      } catch {}
      if (command.includes(`${folder}/`)) process.kill(Number(process_), 'SIGKILL');
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As `until`; a node that does not answer in time, as one that was just killed, is asked again. */
export async function patiently<T>(
  what: string,
  untilMs: number,
  look: () => Promise<T | undefined | false>,
): Promise<T> {
  return await until(what, untilMs, async () => {
    try {
      return await look();
    } catch (cause) {
      if (performance.now() > untilMs) throw cause;
      return undefined;
    }
  });
}
