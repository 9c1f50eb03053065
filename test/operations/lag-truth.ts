import { setTimeout as delay } from 'node:timers/promises';
import { ClusterUnderTest } from '../cluster/cluster-under-test.ts';
import { HandClient } from '../e2e/support/hand-client.ts';
import { type Page, parsePage } from '../e2e/support/prometheus-text.ts';
import { API } from '../faults/load.ts';

const LAG_ERROR_S_MAX = 1;
const TRUE_MS_MAX = 30_000;
const SETTLE_MS_MAX = 30_000;
const REST_MS_MAX = 60_000;
const WINDOW = 10;
/** Compared of each queue. */
const COUNTS = 5;

export interface LagPlan {
  /** Leaders that must have moved before it ends. */
  moves: number;
  queues: number;
  /** Between two moves of leaders. */
  messages: number;
}

export interface LagOutcome {
  moves: number;
  rounds: number;
  /** Comparisons of a queue's figures with the truth, and the largest error of a lag in seconds. */
  compared: number;
  lagErrorS: number;
}

/** What is known of one queue because the test did it. */
interface Truth {
  name: string;
  published: number;
  acked: number;
  /** By text: when the publish began and when it was acknowledged, by the clock that all processes here share. */
  unsettled: Map<string, { fromMs: number; toMs: number }>;
}

/**
 * Publishes to many queues and acknowledges some of it, moves leaders, and compares what the metrics pages of the nodes
 * together say of each queue with what was done: at rest every count is exact, also the counters that began before the
 * leaders moved, each queue is on the pages of its leaders alone, and the lag in seconds is that of the oldest message.
 */
export async function lagRounds(plan: LagPlan, say: (line: string) => void = () => {}): Promise<LagOutcome> {
  const cluster = await ClusterUnderTest.start({ layout: 'compact' });
  try {
    return await new LagRounds(cluster, plan, say).run();
  } catch (cause) {
    throw cluster.failure(cause);
  } finally {
    await cluster.dispose();
  }
}

class LagRounds {
  readonly #cluster: ClusterUnderTest;
  readonly #plan: LagPlan;
  readonly #say: (line: string) => void;
  readonly #truths: Truth[] = [];
  readonly #outcome: LagOutcome = { moves: 0, rounds: 0, compared: 0, lagErrorS: 0 };
  #leaders: (string | null)[] = [];
  #next = 0;

  constructor(cluster: ClusterUnderTest, plan: LagPlan, say: (line: string) => void) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#say = say;
  }

  async run(): Promise<LagOutcome> {
    await this.#createQueues();
    this.#leaders = await this.#leadersNow();
    for (;;) {
      await this.#work();
      await this.#isTrue();
      this.#outcome.rounds++;
      if (this.#outcome.moves >= this.#plan.moves) return this.#outcome;
      await this.#moveLeaders();
      await this.#isTrue();
    }
  }

  async #createQueues(): Promise<void> {
    const rest = await this.#cluster.anyRest();
    for (let i = 1; i <= this.#plan.queues; i++) {
      const name = `queue-${i}`;
      // The first is spread: its figures are sums over several leaders.
      const definition = { name, topic_filter: name, is_lastvalue: false, ...(i === 1 ? { partitions: 3 } : {}) };
      const { status, body } = await rest.post(API, definition);
      if (status >= 300) throw new Error(`${name}: ${status} ${JSON.stringify(body)}`);
      this.#truths.push({ name, published: 0, acked: 0, unsettled: new Map() });
    }
  }

  /** One queue in four is left to wait; the others are published to, and some of their messages acknowledged. */
  async #work(): Promise<void> {
    const [gateway] = this.#cluster.targetOf(0) as [{ host: string; port: number }];
    const publisher = await HandClient.connect(gateway);
    for (let i = 0; i < this.#plan.messages; i++) {
      const truth = this.#truths[this.#next++ % this.#truths.length] as Truth;
      if (truth.published > 0 && this.#next % 4 === 0) continue;
      const text = `${truth.name}/${truth.published}`;
      const fromMs = Date.now();
      const reason = await publisher.publishQoS1(truth.name, text);
      if (reason !== 0) throw new Error(`a publish was refused with ${reason}`);
      truth.published++;
      truth.unsettled.set(text, { fromMs, toMs: Date.now() });
    }
    publisher.destroy();
    for (const truth of this.#truths.slice(0, Math.ceil(this.#truths.length / 2))) await this.#consume(truth, gateway);
    this.#truths.push(...this.#truths.splice(0, 5));
  }

  /** Takes half of what it may have, or more, acknowledges that half and goes: the others are given back. */
  async #consume(truth: Truth, gateway: { host: string; port: number }): Promise<void> {
    const wanted = Math.ceil(Math.min(WINDOW, truth.unsettled.size) / 2);
    if (wanted === 0) return;
    const worker = await HandClient.connect(gateway);
    await worker.subscribe(`$queue/${truth.name}`);
    await worker.received(wanted, SETTLE_MS_MAX);
    for (let n = 0; n < wanted; n++) {
      worker.ack(n);
      const text = worker.texts[n] as string;
      if (!truth.unsettled.delete(text)) throw new Error(`${text} was delivered after it was acknowledged`);
      truth.acked++;
    }
    worker.close();
  }

  /** A node gives its leaders away and takes some again, or is killed and comes back. */
  async #moveLeaders(): Promise<void> {
    const nodes = this.#cluster.nodes;
    const { name } = nodes[this.#outcome.rounds % nodes.length] as { name: string };
    const isKill = this.#outcome.rounds % 3 === 2;
    if (isKill) {
      await this.#cluster.node(name).kill();
      await this.#counted();
      await this.#cluster.restart(name);
    } else {
      await this.#cluster.wish(name, 'drain');
      await this.#cluster.leadsNothing(name);
      await this.#counted();
      await this.#cluster.wish(name, 'undrain');
    }
    await this.#cluster.atRest(REST_MS_MAX);
    await this.#counted();
    this.#say(`${name} was ${isKill ? 'killed' : 'drained'}: ${this.#outcome.moves} leaders have moved`);
  }

  async #counted(): Promise<void> {
    const leaders = await this.#leadersNow();
    for (const [i, leader] of leaders.entries()) if (leader !== this.#leaders[i]) this.#outcome.moves++;
    this.#leaders = leaders;
  }

  async #leadersNow(): Promise<(string | null)[]> {
    const deadlineMs = performance.now() + REST_MS_MAX;
    for (;;) {
      for (const { name, isRunning } of this.#cluster.nodes) {
        const view = isRunning ? await this.#cluster.view(name) : undefined;
        const leaders = view?.partitions.map(({ leader }) => leader);
        const running = (leader: string | null): boolean => leader !== null && this.#cluster.node(leader).isRunning;
        if (leaders?.every(running) === true) return leaders;
      }
      if (performance.now() > deadlineMs) throw new Error('not every partition is led');
    }
  }

  /** Settling and what was given back are on their way for a moment; then all of it must be true at once. */
  async #isTrue(): Promise<void> {
    const deadlineMs = performance.now() + TRUE_MS_MAX;
    for (;;) {
      const fromMs = Date.now();
      const pages = await Promise.all(this.#cluster.nodes.map(({ http }) => pageOf(http)));
      const toMs = Date.now();
      const wrong = this.#truths.flatMap((truth) => this.#differences(truth, pages, fromMs, toMs));
      if (wrong.length === 0) {
        this.#outcome.compared += this.#truths.length * COUNTS;
        return;
      }
      if (performance.now() > deadlineMs) throw new Error(`the metrics do not say what is so:\n${wrong.join('\n')}`);
      await delay(50);
    }
  }

  #differences(truth: Truth, pages: readonly Page[], fromMs: number, toMs: number): string[] {
    const { name, published, acked, unsettled } = truth;
    const values = (family: string): number[] =>
      pages.flatMap(({ samples }) =>
        samples.filter((sample) => sample.name === family && sample.labels.queue === name).map(({ value }) => value),
      );
    const sum = (family: string): number => values(family).reduce((total, value) => total + value, 0);
    const wrong: string[] = [];
    const compare = (family: string, wanted: number): void => {
      if (sum(family) !== wanted) wrong.push(`${family} of ${name}: ${values(family).join(' + ')}, not ${wanted}`);
    };
    compare('sluice_consumer_lag_messages', unsettled.size);
    compare('sluice_queue_depth_messages', unsettled.size);
    compare('sluice_queue_inflight_messages', 0);
    compare('sluice_queue_published_total', published);
    compare('sluice_consumer_acked_total', acked);
    const isSpread = name === 'queue-1';
    if (!isSpread && values('sluice_consumer_lag_messages').length !== 1) wrong.push(`${name} is not on one page`);
    const lagS = Math.max(...values('sluice_consumer_lag_seconds'));
    const oldest = [...unsettled.values()].sort((one, other) => one.fromMs - other.fromMs)[0];
    const least = oldest === undefined ? 0 : (fromMs - oldest.toMs) / 1000;
    const most = oldest === undefined ? 0 : (toMs - oldest.fromMs) / 1000;
    const errorS = Math.max(0, least - lagS, lagS - most);
    if (errorS > LAG_ERROR_S_MAX) wrong.push(`the lag of ${name}: ${lagS} s, not ${least} to ${most} s`);
    else if (wrong.length === 0) this.#outcome.lagErrorS = Math.max(this.#outcome.lagErrorS, errorS);
    return wrong;
  }
}

async function pageOf(http: string): Promise<Page> {
  return parsePage(await (await fetch(`http://${http}/metrics`)).text());
}
