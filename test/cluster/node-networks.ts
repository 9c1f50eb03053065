import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Tool } from '../harness/left-out.ts';
import { DIES_WITH_US } from '../harness/node-lifetime.ts';

/** `PATH` of a plain user lacks where Debian keeps the network tools. */
const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** Nobody has this address: the bridge carries what is sent to it nowhere. */
const NOBODY = '02:00:00:00:00:01';
const SPACE = /^sluice(\d+)-\S+/gm;
/** Bridges, and the pairs that lead through the program: of the pairs one end each. */
const LINK = /^(sl[bi](\d+)\w*)/gm;
const PROGRAM = join(import.meta.dirname, 'bad-links.py');
/** A frame must be one packet, with its checksum, where a program passes it on. */
const OFFLOADS = ['tx', 'tso', 'gso', 'gro'].flatMap((feature) => [feature, 'off']);

/** Shares of packets, from 0 to 1; what overtakes (`reorder`) is not delayed. */
export interface Disturbance {
  loss?: number;
  delayMs?: number;
  jitterMs?: number;
  reorder?: number;
  duplicate?: number;
  corrupt?: number;
}

/**
 * Networks of their own for the nodes of a cluster: a namespace each, all on one bridge, where the clients of the test
 * are too. Cutting kills no connection and tells nobody: packets of one node to another just do not arrive, in one
 * direction or in both, while every other pair goes on. It is done by giving the sender a wrong hardware address of the
 * receiver, which needs nothing but `ip`, leaves no rule behind, and can be undone at any time.
 */
export class NodeNetworks {
  #badLinks: { process: ChildProcess; told: Promise<string>; inner: string[] } | undefined;
  readonly #spaces = new Map<string, { space: string; outer: string; address: string }>();
  readonly #bridge: string;
  readonly #subnet: string;
  readonly #atExit = () => this.dispose();
  readonly #onSignal = () => process.exit(1);

  constructor() {
    sweep();
    const { pid } = process;
    this.#bridge = `slb${pid}`;
    this.#subnet = `10.${64 + (pid % 128)}.${(pid >> 7) % 256}`;
    process.once('exit', this.#atExit);
    for (const signal of SIGNALS) process.once(signal, this.#onSignal);
    try {
      ip(`link add ${this.#bridge} type bridge`);
      ip(`addr add ${this.#subnet}.1/24 dev ${this.#bridge}`);
      ip(`link set dev ${this.#bridge} up`);
    } catch (cause) {
      this.dispose();
      throw cause;
    }
  }

  /** The address of a node; its network is made when it is asked for first. */
  addressOf(node: string): string {
    return this.#of(node).address;
  }

  /** The words before a command that make it run in the network of a node. */
  prefixOf(node: string): string[] {
    // Not `ip netns exec`: its private copy of all mounts would keep disks alive that a test takes away.
    return ['nsenter', `--net=/run/netns/${this.#of(node).space}`];
  }

  /** From now on nothing that one of `from` sends arrives at one of `to`. */
  cutOneWay(from: readonly string[], to: readonly string[]): void {
    for (const sender of from) {
      const others = to.filter((receiver) => receiver !== sender);
      const lines = others.map((receiver) => {
        return `neigh replace ${this.addressOf(receiver)} lladdr ${NOBODY} dev eth0 nud permanent`;
      });
      this.#batch(sender, lines);
    }
  }

  /** Neither hears the other any more. */
  cut(some: readonly string[], others: readonly string[]): void {
    this.cutOneWay(some, others);
    this.cutOneWay(others, some);
  }

  /** These hear each other again, whoever cut them off. */
  mend(some: readonly string[], others: readonly string[]): void {
    const forget = (sender: string, receivers: readonly string[]) =>
      receivers.map((receiver) => `-n ${this.#of(sender).space} neigh del ${this.addressOf(receiver)} dev eth0`);
    // An entry that is gone already is no harm.
    for (const name of some) for (const command of forget(name, others)) ipMaybe(command);
    for (const name of others) for (const command of forget(name, some)) ipMaybe(command);
  }

  /** Everybody hears everybody. */
  heal(): void {
    for (const { space } of this.#spaces.values()) ip(`-n ${space} neigh flush dev eth0 nud permanent`);
  }

  /**
   * From now on what the nodes send each other is disturbed, until `calm`; what they exchange with clients is not. The
   * kernel need not be able to: the links are led through a program (`bad-links.py`).
   */
  async disturb(disturbance: Disturbance, seed: number): Promise<void> {
    const links: [outer: string, inner: string][] = [];
    for (const [i, { outer, space }] of [...this.#spaces.values()].entries()) {
      const [inner, port] = [`sli${process.pid}n${i}`, `slp${process.pid}n${i}`];
      links.push([outer, inner]);
      await ipBatch([`link add ${inner} type veth peer name ${port}`, `link set dev ${inner} up`]);
      await Promise.all([
        runAside('ethtool', ['-K', inner, ...OFFLOADS]),
        runAside('ethtool', ['-K', port, ...OFFLOADS]),
        runAside('nsenter', [`--net=/run/netns/${space}`, 'ethtool', '-K', 'eth0', ...OFFLOADS]),
      ]);
    }
    await runAside('ethtool', ['-K', this.#bridge, ...OFFLOADS]);
    const none = { loss: 0, delayMs: 0, jitterMs: 0, reorder: 0, duplicate: 0, corrupt: 0 };
    const spec = { ...none, ...disturbance, seed, links, client: `${this.#subnet}.1` };
    const [program = '', ...args] = [...DIES_WITH_US, 'python3', PROGRAM, JSON.stringify(spec)];
    const child = spawn(program, args, { env: ENV, stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const told = async () => String((await lines.next()).value);
    this.#badLinks = { process: child, told: Promise.resolve(''), inner: links.map(([, inner]) => inner) };
    if ((await told()) !== 'ready') throw new Error('the program that disturbs links ended at once');
    this.#badLinks.told = told();
    const ports = links.map((_, i) => `link set dev slp${process.pid}n${i} master ${this.#bridge} up`);
    await ipBatch([...links.map(([outer]) => `link set dev ${outer} nomaster`), ...ports]);
  }

  /** Links are as good as they were. Returns what was done to packets, by kind. */
  async calm(): Promise<Record<string, number>> {
    const bad = this.#badLinks;
    if (bad === undefined) return {};
    this.#badLinks = undefined;
    bad.process.kill('SIGTERM');
    const told = await bad.told;
    if (bad.process.exitCode === null) await once(bad.process, 'exit');
    const outers = [...this.#spaces.values()].map(({ outer }) => `link set dev ${outer} master ${this.#bridge}`);
    await ipBatch([...bad.inner.map((inner) => `link del ${inner}`), ...outers]);
    return JSON.parse(told);
  }

  /** Every TCP connection of a node is reset at its end, whoever is at the other. Returns how many. */
  async reset(node: string): Promise<number> {
    const args = [`--net=/run/netns/${this.#of(node).space}`, 'ss', '-H', '-n', '-K', '-t', 'state', 'established'];
    const child = spawn('nsenter', args, { env: ENV, stdio: ['ignore', 'pipe', 'ignore'] });
    let count = 0;
    for await (const line of createInterface({ input: child.stdout })) if (line.trim() !== '') count++;
    return count;
  }

  dispose(): void {
    this.#badLinks?.process.kill('SIGKILL');
    for (const inner of this.#badLinks?.inner ?? []) ipMaybe(`link del ${inner}`);
    process.off('exit', this.#atExit);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    for (const { space } of this.#spaces.values()) ipMaybe(`netns del ${space}`);
    this.#spaces.clear();
    ipMaybe(`link del ${this.#bridge}`);
  }

  #of(node: string): { space: string; outer: string; address: string } {
    const known = this.#spaces.get(node);
    if (known !== undefined) return known;
    const n = this.#spaces.size + 2;
    const made = {
      space: `sluice${process.pid}-${node}`,
      outer: `slv${process.pid}n${n}`,
      address: `${this.#subnet}.${n}`,
    };
    this.#spaces.set(node, made);
    const { space, outer, address } = made;
    ip(`netns add ${space}`);
    ip(`link add ${outer} type veth peer name eth0 netns ${space}`);
    ip(`link set dev ${outer} master ${this.#bridge} up`);
    ip(`-n ${space} addr add ${address}/24 dev eth0`);
    ip(`-n ${space} link set dev lo up`);
    ip(`-n ${space} link set dev eth0 up`);
    return made;
  }

  #batch(node: string, lines: readonly string[]): void {
    if (lines.length === 0) return;
    execFileSync('ip', ['-n', this.#of(node).space, '-batch', '-'], { env: ENV, input: `${lines.join('\n')}\n` });
  }
}

/** What a run that was killed left behind. */
function sweep(): void {
  const told = (args: string) => spawnSync('ip', args.split(' '), { env: ENV, encoding: 'utf8' }).stdout ?? '';
  for (const [space, pid] of told('netns list').matchAll(SPACE)) {
    if (!isAlive(Number(pid))) ipMaybe(`netns del ${space}`);
  }
  for (const [, link, pid] of told('-brief link show').matchAll(LINK)) {
    if (!isAlive(Number(pid))) ipMaybe(`link del ${link}`);
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function ip(command: string): void {
  run('ip', command.split(' '));
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, { env: ENV, stdio: ['ignore', 'ignore', 'pipe'] });
}

/** For what is done while clients of this process work. */
async function runAside(program: string, args: readonly string[], input = ''): Promise<void> {
  const child = spawn(program, args, { env: ENV, stdio: ['pipe', 'ignore', 'pipe'] });
  let told = '';
  child.stderr.on('data', (text) => {
    told += text;
  });
  // Who reads nothing may have ended before.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${told}`);
}

async function ipBatch(lines: readonly string[]): Promise<void> {
  await runAside('ip', ['-batch', '-'], `${lines.join('\n')}\n`);
}

function ipMaybe(command: string): void {
  spawnSync('ip', command.split(' '), { env: ENV, stdio: 'ignore' });
}

/** What `disturb` needs besides. */
export const BAD_LINKS: Tool = {
  name: 'ethtool and python3',
  install: 'apt-get install ethtool python3',
  isPresent: () => ['ethtool', 'python3'].every((tool) => spawnSync(tool, ['--version'], { env: ENV }).status === 0),
};

let reason: string | undefined;

/** Whether this machine can do all of it: tried once, with two networks. */
export const NETWORKS: Tool = {
  name: 'network namespaces on a bridge',
  install: 'run as root; apt-get install iproute2 util-linux',
  isPresent() {
    if (reason === undefined) {
      reason = '';
      let networks: NodeNetworks | undefined;
      try {
        networks = new NodeNetworks();
        const [program = '', ...args] = networks.prefixOf('a');
        execFileSync(program, [...args, 'true'], { env: ENV, stdio: 'ignore' });
        networks.cut(['a'], ['b']);
        networks.heal();
      } catch (cause) {
        reason = String(cause);
      } finally {
        networks?.dispose();
      }
    }
    return reason === '';
  },
};
