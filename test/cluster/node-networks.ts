import { execFileSync, spawnSync } from 'node:child_process';
import type { Tool } from '../harness/left-out.ts';

/** `PATH` of a plain user lacks where Debian keeps the network tools. */
const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** Nobody has this address: the bridge carries what is sent to it nowhere. */
const NOBODY = '02:00:00:00:00:01';
const SPACE = /^sluice(\d+)-/;

/**
 * Networks of their own for the nodes of a cluster: a namespace each, all on one bridge, where the clients of the test
 * are too. Cutting kills no connection and tells nobody: packets of one node to another just do not arrive, in one
 * direction or in both, while every other pair goes on. It is done by giving the sender a wrong hardware address of the
 * receiver, which needs nothing but `ip`, leaves no rule behind, and can be undone at any time.
 */
export class NodeNetworks {
  readonly #spaces = new Map<string, { space: string; address: string }>();
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

  /** Everybody hears everybody. */
  heal(): void {
    for (const { space } of this.#spaces.values()) ip(`-n ${space} neigh flush dev eth0 nud permanent`);
  }

  dispose(): void {
    process.off('exit', this.#atExit);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    for (const { space } of this.#spaces.values()) ipMaybe(`netns del ${space}`);
    this.#spaces.clear();
    ipMaybe(`link del ${this.#bridge}`);
  }

  #of(node: string): { space: string; address: string } {
    const known = this.#spaces.get(node);
    if (known !== undefined) return known;
    const n = this.#spaces.size + 2;
    const made = { space: `sluice${process.pid}-${node}`, address: `${this.#subnet}.${n}` };
    this.#spaces.set(node, made);
    const [outer, { space, address }] = [`slv${process.pid}n${n}`, made];
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
  const { stdout } = spawnSync('ip', ['netns', 'list'], { env: ENV, encoding: 'utf8' });
  const dead = new Set<string>();
  for (const line of (stdout ?? '').split('\n')) {
    const [space = ''] = line.split(' ');
    const pid = SPACE.exec(space)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    dead.add(pid);
    ipMaybe(`netns del ${space}`);
  }
  for (const pid of dead) ipMaybe(`link del slb${pid}`);
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
  execFileSync('ip', command.split(' '), { env: ENV, stdio: ['ignore', 'ignore', 'pipe'] });
}

function ipMaybe(command: string): void {
  spawnSync('ip', command.split(' '), { env: ENV, stdio: 'ignore' });
}

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
