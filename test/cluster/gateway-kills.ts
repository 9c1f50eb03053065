import { SeededPrng } from '@sluice/common/prng';
import { pause } from '../faults/kill-rounds.ts';
import { type Address, addressOf } from '../harness/server-process.ts';
import { type ClusterProcess, ClusterUnderTest, type LayoutName } from './cluster-under-test.ts';
import { ExactClient } from './exact-client.ts';

/**
 * Exactly once, with gateways killed in between: QoS 2 publishers and QoS 2 subscribers with sessions that are kept, all
 * of them connected to any gateway; in each round one gateway is killed at a random moment, of a node that may be more
 * than that. At the end everything that was published is with every subscriber, once, and in the order of its publisher;
 * and so is the will of every connection that was lost, with one who listens for them.
 */
export interface GatewayKillOptions {
  rounds: number;
  seed: number;
  layout?: LayoutName;
  /** Publishers, and as many subscribers. */
  clients?: number;
  onRound?(line: string): void;
}

export interface GatewayKillVerdict {
  published: number;
  delivered: number;
  /** Exchanges that went on after their connection was lost. */
  resumed: number;
  lost: number;
  duplicated: number;
  disordered: number;
  /** Connections lost, and wills that did not come, or not once. */
  wills: number;
  wrongWills: number;
  violations: readonly string[];
}

const ALIVE_MS_MAX = 1_500;
const DOWN_MS_MAX = 1_500;
const DRAIN_MS_MAX = 60_000;

export async function gatewayKills(options: GatewayKillOptions): Promise<GatewayKillVerdict> {
  const { rounds, seed, layout = 'compact', clients = 4, onRound } = options;
  const prng = new SeededPrng(seed);
  const cluster = await ClusterUnderTest.start({ layout });
  const all: ExactClient[] = [];
  const publishers: ExactClient[] = [];
  const subscribers: ExactClient[] = [];
  try {
    const targets = (): readonly Address[] => cluster.gateways().map(({ mqtt }) => addressOf(mqtt));
    for (let n = 0; n < clients; n++) {
      const version = n % 2 === 0 ? 5 : 4;
      subscribers.push(new ExactClient(`subscriber-${n}`, { version, targets, filter: 'exact/#', first: n }));
    }
    await reached(() => subscribers.every(({ isReady }) => isReady), 'the subscribers to be there');
    const witness = new ExactClient('witness', { version: 5, targets, filter: 'lost/#', first: 0 });
    all.push(witness);
    await reached(() => witness.isReady, 'the witness to be there');
    for (let n = 0; n < clients; n++) {
      const options = { targets, willTopic: `lost/${n}`, first: n + 1 };
      publishers.push(new ExactClient(`publisher-${n}`, { version: n % 2 === 0 ? 5 : 4, ...options }));
    }
    all.push(...publishers);
    const verdict = (isEnd: boolean): GatewayKillVerdict => verdictOf(load, subscribers, witness, isEnd);
    const load = new Load(publishers);
    for (let round = 1; round <= rounds; round++) {
      await pause(prng.below(ALIVE_MS_MAX));
      const { name } = cluster.gateways()[prng.below(cluster.gateways().length)] as ClusterProcess;
      await cluster.node(name).kill();
      const downMs = prng.below(DOWN_MS_MAX);
      await pause(downMs);
      await cluster.restart(name);
      onRound?.(`round ${round}: ${name} killed, down for ${downMs} ms; ${formatKills(verdict(false))}`);
    }
    await load.stop();
    await reached(() => publishers.every(({ unfinished }) => unfinished === 0), 'all publishes to be completed');
    const wanted = load.published.length;
    const isComplete = (): boolean => subscribers.every(({ received }) => received.length >= wanted);
    // What is missing then is lost.
    await reached(isComplete, 'everything to be delivered').catch(() => {});
    await reached(() => lostOf(publishers).every((will) => witness.received.includes(will)), 'the wills').catch(
      () => {},
    );
    await pause(500);
    return verdict(true);
  } catch (cause) {
    throw cluster.failure(cause);
  } finally {
    for (const client of [...all, ...subscribers]) client.stop();
    await cluster.dispose();
  }
}

export function isExact({ lost, duplicated, disordered, wrongWills, violations }: GatewayKillVerdict): boolean {
  return lost + duplicated + disordered + wrongWills + violations.length === 0;
}

export function formatKills(verdict: GatewayKillVerdict): string {
  const { published, delivered, resumed, lost, duplicated, disordered, wills, wrongWills, violations } = verdict;
  const bad = `${lost} lost, ${duplicated} duplicated, ${disordered} out of order, ${violations.length} violations`;
  const shown = violations.slice(0, 5).map((violation) => `\n  ${violation}`);
  const done = `${published} published, ${delivered} delivered, ${resumed} exchanges resumed, ${wills} connections lost`;
  return `${done}: ${bad}, ${wrongWills} wills not once${shown.join('')}`;
}

/** Publishes as fast as the publishers have room, a little at a time. */
class Load {
  readonly published: string[] = [];
  readonly publishers: readonly ExactClient[];
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(publishers: readonly ExactClient[]) {
    this.publishers = publishers;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    const counts = this.publishers.map(() => 0);
    while (!this.#isOver) {
      for (const [n, publisher] of this.publishers.entries()) {
        if (!publisher.hasRoom) continue;
        const number = (counts[n] ?? 0) + 1;
        counts[n] = number;
        const text = `${n}:${number}`;
        this.published.push(text);
        publisher.publish(`exact/${n}`, text);
      }
      await pause(4);
    }
  }
}

/** `isEnd`: what is not there now does not come any more. */
function verdictOf(
  load: Load,
  subscribers: readonly ExactClient[],
  witness: ExactClient,
  isEnd: boolean,
): GatewayKillVerdict {
  let [lost, duplicated, disordered, delivered, resumed] = [0, 0, 0, 0, 0];
  const violations: string[] = [];
  for (const { received, violations: some, resumed: own } of subscribers) {
    const seen = new Set<string>();
    const last = new Map<string, number>();
    for (const text of received) {
      const [publisher, number] = text.split(':') as [string, string];
      if (seen.has(text)) duplicated++;
      else if (Number(number) < (last.get(publisher) ?? 0)) disordered++;
      else last.set(publisher, Number(number));
      seen.add(text);
    }
    if (isEnd) lost += load.published.filter((text) => !seen.has(text)).length;
    delivered += received.length;
    resumed += own;
    violations.push(...some);
  }
  for (const { violations: some, resumed: own } of load.publishers) {
    resumed += own;
    violations.push(...some);
  }
  const wills = lostOf(load.publishers);
  const came = new Set(witness.received);
  let wrongWills = witness.received.length - came.size;
  if (isEnd) wrongWills += wills.filter((will) => !came.has(will)).length;
  violations.push(...witness.violations);
  const counts = { delivered, resumed, lost, duplicated, disordered };
  return { published: load.published.length, ...counts, wills: wills.length, wrongWills, violations };
}

function lostOf(publishers: readonly ExactClient[]): string[] {
  return publishers.flatMap(({ wills }) => wills);
}

async function reached(condition: () => boolean, what: string): Promise<void> {
  const untilMs = performance.now() + DRAIN_MS_MAX;
  while (!condition()) {
    if (performance.now() > untilMs) throw new Error(`waited ${DRAIN_MS_MAX} ms for ${what}`);
    await pause(20);
  }
}
