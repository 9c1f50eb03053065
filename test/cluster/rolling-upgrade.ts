import { spawn } from 'node:child_process';
import type { Prng } from '@sluice/common/prng';
import { endOfLog } from '../harness/node-lifetime.ts';
import { type ClusterProcess, type ClusterUnderTest, type LayoutName, patiently } from './cluster-under-test.ts';
import { type Arena, type FaultKind, pick } from './fault.ts';
import { KeptSessions } from './upgrade/kept-sessions.ts';
import { LastValues } from './upgrade/last-values.ts';
import { RetainedValues } from './upgrade/retained-values.ts';
import type { UpgradeKind } from './upgrade/upgrade-kind.ts';
import { UsersAndRules } from './upgrade/users-and-rules.ts';
import { Wills } from './upgrade/wills.ts';

const MOVE_MS_MAX = 120_000;
const RISE_MS_MAX = 30_000;
/** From this level on an operator may hold it. */
const HOLDABLE_LEVEL = 2;

export const TIERS = ['coordinator', 'store', 'gateway'] as const;
export type Tier = (typeof TIERS)[number];

type MakeKind = (cluster: ClusterUnderTest, prng: Prng) => UpgradeKind;

export const KINDS: ReadonlyMap<string, MakeKind> = new Map<string, MakeKind>([
  ['sessions', (cluster) => new KeptSessions(cluster)],
  ['wills', (cluster) => new Wills(cluster)],
  ['retained', (cluster, prng) => new RetainedValues(cluster, prng)],
  ['last-values', (cluster) => new LastValues(cluster)],
  ['access', (cluster, prng) => new UsersAndRules(cluster, prng)],
]);

export interface UpgradeOptions {
  formerBin: string;
  bin: string;
  layout: LayoutName;
  /** In which order the tiers are upgraded, where each has nodes of its own; `together`: one node of each at a time. */
  order: readonly Tier[] | 'together';
  /** Names of `KINDS`. */
  kinds: readonly string[];
  /** Where the level must be in the end. */
  levelMax: number;
  say(text: string): void;
}

/**
 * Nodes of a former build that become nodes of this tree's one after the other, while clients work, as docs/operate.md
 * says. The first of each tier goes back to the former build once, and a gateway is killed in the middle of it.
 */
export function rollingUpgrade(options: UpgradeOptions): FaultKind {
  /** The build that a node has been started with last, and is started with from now on. */
  const bins = new Map<string, string>();
  return {
    id: 'upgrade',
    title: 'rolling upgrade of all nodes (SIGTERM, then the other build), one after the other',
    cluster: {
      layout: options.layout,
      // Some clients have a name, most have none.
      flags: ['--set', 'auth.database=true', '--set', 'auth.anonymous=true', '--set', 'authorization.noMatch=allow'],
      binOf: (name) => bins.get(name) ?? options.formerBin,
    },
    async strike(arena) {
      const { cluster, prng, broke } = arena;
      const kinds = options.kinds.map((name) => {
        const make = KINDS.get(name);
        if (make === undefined) throw new Error(`there is no kind ${name}: ${[...KINDS.keys()].join(', ')}`);
        return make(cluster, prng);
      });
      try {
        for (const kind of kinds) await kind.begin();
        const upgrade = new Upgrade(options, bins, arena, kinds);
        const what = await upgrade.run();
        for (const kind of kinds) {
          const { did, wrong } = await kind.end();
          options.say(`${kind.name}: ${did}; ${wrong.length === 0 ? 'as promised' : `${wrong.length} WRONG`}`);
          for (const told of wrong) broke(`${kind.name}: ${told}`);
        }
        return what;
      } finally {
        for (const kind of kinds) kind.stop();
      }
    },
    // A node that starts is trusted to lead after ten seconds.
    bounds: { gapWorstMs: 5_000, resumeMs: 3_000, restMs: 30_000 },
  };
}

class Upgrade {
  readonly #options: UpgradeOptions;
  readonly #bins: Map<string, string>;
  readonly #arena: Arena;
  readonly #kinds: readonly UpgradeKind[];
  #level = 0;
  #steps = 0;
  /** No node is of the former build any more. */
  #mayRise = false;

  constructor(options: UpgradeOptions, bins: Map<string, string>, arena: Arena, kinds: readonly UpgradeKind[]) {
    this.#options = options;
    this.#bins = bins;
    this.#arena = arena;
    this.#kinds = kinds;
  }

  async run(): Promise<string> {
    const { cluster } = this.#arena;
    const { bin, formerBin, levelMax, say } = this.#options;
    this.#level = Math.max(...(await levelsOf(cluster)).values());
    say(`all nodes are of the former build, at level ${this.#level}`);
    const isHeld = this.#level >= HOLDABLE_LEVEL;
    if (isHeld) await this.#command(formerBin, 'hold');
    const tiers = this.#tiers();
    const steps = tiers.flat();
    const killAfter = steps[Math.floor(steps.length / 2) - 1];
    for (const [first, ...others] of tiers) {
      await this.#start(first as string[], bin);
      await this.#start(first as string[], formerBin);
      for (const names of [first as string[], ...others]) {
        await this.#start(names, bin);
        if (names === killAfter) await this.#killGateway();
      }
    }
    if (isHeld) await this.#command(bin, 'release');
    await patiently(`level ${levelMax} on every node`, performance.now() + RISE_MS_MAX, async () =>
      [...(await levelsOf(cluster)).values()].every((level) => level === levelMax),
    );
    if (levelMax > this.#level) for (const tier of tiers) await this.#comesTooLate(tier.at(-1)?.at(-1) as string);
    const done = steps.map((names) => names.join(' and ')).join(', ');
    const back = tiers.map((tier) => tier[0]?.join(' and ')).join(', ');
    return `${done} upgraded, back in between: ${back}; the level went from ${this.#level} to ${levelMax}`;
  }

  /** Of each tier which nodes are upgraded at a time. */
  #tiers(): string[][][] {
    const { cluster } = this.#arena;
    const { layout, order } = this.#options;
    if (layout === 'compact') return [cluster.nodes.map(({ name }) => [name])];
    const tiers = (order === 'together' ? TIERS : order).map((role) => cluster.withRole(role).map(({ name }) => name));
    if (order !== 'together') return tiers.map((names) => names.map((name) => [name]));
    const lengthMax = Math.max(...tiers.map(({ length }) => length));
    return [Array.from({ length: lengthMax }, (_, n) => tiers.flatMap((names) => names.slice(n, n + 1)))];
  }

  /** Nodes are stopped, and started with another build than they had. */
  async #start(names: readonly string[], bin: string): Promise<void> {
    const { cluster, beyond } = this.#arena;
    await Promise.all(
      names.map(async (name) => {
        const { code } = await cluster.node(name).stop();
        if (code !== 0) beyond(`${name} ended with ${code}`);
      }),
    );
    await this.#lookAtLevels(`${names} down`);
    for (const name of names) this.#bins.set(name, bin);
    await Promise.all(names.map((name) => cluster.restart(name)));
    await this.#atRest(`${names.join(' and ')} of the ${bin === this.#options.bin ? 'newer' : 'former'} build`);
  }

  /** The level has risen: a node that goes back to the former build now is refused, and its data is as it was. */
  async #comesTooLate(name: string): Promise<void> {
    const { cluster, broke } = this.#arena;
    const { bin, formerBin, say } = this.#options;
    const node = cluster.node(name);
    await node.stop();
    this.#bins.set(name, formerBin);
    // Whether it says that it listens is its own affair.
    const started = node.start().catch(() => 'ended');
    const how = await patiently(
      `${name} of the former build to be refused`,
      performance.now() + MOVE_MS_MAX,
      async () => {
        if (!node.isRunning) return 'it ended';
        const other = cluster.nodes.find((one) => one.name !== name) as ClusterProcess;
        const problems = (await cluster.view(other.name))?.problems ?? [];
        return problems.find(({ message }) => message.startsWith(`${name} cannot take part`))?.message;
      },
    );
    const ready = await cluster
      .rest(name)
      .get('/readyz')
      .catch(() => undefined);
    if (ready?.status === 200) broke(`${name} of the former build serves at a level that it does not know`);
    await node.kill();
    await started;
    say(
      `${name} of the former build was refused: ${how}; ${endOfLog(node.logFile).trim().split('\n').slice(-2).join(' ')}`,
    );
    this.#bins.set(name, bin);
    await cluster.restart(name);
    await this.#atRest(`${name} of the newer build again`);
  }

  async #killGateway(): Promise<void> {
    const { cluster, prng } = this.#arena;
    const { name } = pick<ClusterProcess>(prng, cluster.gateways());
    await cluster.node(name).kill();
    await cluster.restart(name);
    await this.#atRest(`${name} was killed, and is there again`);
  }

  async #atRest(what: string): Promise<void> {
    const { cluster } = this.#arena;
    const { bin, formerBin, say } = this.#options;
    // As a person would, and as the hook of a pod that is still of the former build.
    for (const command of [bin, formerBin]) await this.#command(command, 'status', '--wait', '2m');
    await cluster.atRest(MOVE_MS_MAX);
    const levels = await this.#lookAtLevels(what);
    say(`${what}; levels ${[...levels].map((pair) => pair.join(' ')).join(', ')}`);
    await Promise.all(this.#kinds.map((kind) => kind.afterStep(this.#steps)));
    this.#steps++;
  }

  async #lookAtLevels(when: string): Promise<Map<string, number>> {
    const { cluster, broke } = this.#arena;
    const levels = await levelsOf(cluster);
    if (cluster.nodes.every(({ name }) => this.#bins.get(name) === this.#options.bin)) this.#mayRise = true;
    const early = [...levels].filter(([, level]) => level !== this.#level);
    if (early.length > 0 && !this.#mayRise)
      broke(`${when}, a node is of the former build still, and the level is ${early}`);
    return levels;
  }

  /** `sluice cluster …`, of either build, to any node. */
  async #command(bin: string, ...words: string[]): Promise<void> {
    const { cluster, prng, broke } = this.#arena;
    const { name } = pick<ClusterProcess>(
      prng,
      cluster.nodes.filter(({ isRunning }) => isRunning),
    );
    const child = spawn(process.execPath, [bin, 'cluster', ...words], {
      env: { ...process.env, ...cluster.api(name) },
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        said += text;
      });
    }
    const code = await new Promise((resolve) => child.on('close', resolve));
    if (code !== 0) broke(`sluice cluster ${words.join(' ')} of ${bin} at ${name} ended with ${code}: ${said}`);
  }
}

/** As each node that runs has it; those that know of none have the first. */
async function levelsOf(cluster: ClusterUnderTest): Promise<Map<string, number>> {
  const levels = new Map<string, number>();
  for (const { name, isRunning } of cluster.nodes) {
    const view = isRunning ? await cluster.view(name) : undefined;
    if (view !== undefined) levels.set(name, view.feature_level ?? 1);
  }
  return levels;
}
