import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Balancer } from '../../deploy/balancer.mjs';
import { LAYOUTS, LocalCluster } from '../../deploy/local-cluster.mjs';
import { API_KEY } from './broker.mjs';
import { Harm } from './harm.mjs';
import { Rest } from './rest.mjs';

const WHOLE_MS_MAX = 90_000;
const LOOK_MS = 100;
const LOG_CHARACTERS_MAX = 1_500;

/** A cluster of our own for the time of the demo. Every client comes through a balancer and ends at any gateway. */
export class Cluster {
  host = '127.0.0.1';
  port;
  errors = '';
  harm;
  #cluster;
  #balancer;
  #folder;

  static async start(layout, score) {
    const made = new Cluster();
    made.#folder = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
    const keys = join(made.#folder, 'api-keys');
    await writeFile(keys, `${API_KEY}\n`);
    const cluster = new LocalCluster({ directory: made.#folder, flags: ['--api-keys', keys] });
    made.#cluster = cluster;
    made.#balancer = new Balancer(() => cluster.gateways().map(({ mqtt }) => mqtt));
    made.harm = new Harm(made, score);
    // A demo that is interrupted leaves no node behind.
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void made.#abandon());
    try {
      made.port = await made.#balancer.listen(0);
      await cluster.start(LAYOUTS[layout]);
      await made.whole();
      return made;
    } catch (error) {
      await made.#rememberErrors();
      await made.#abandon();
      throw new Error(`${error.message}\n${made.errors}`);
    }
  }

  get what() {
    const nodes = [...this.#cluster.nodes.values()].map(({ name }) => name).join(', ');
    return `MQTT on ${this.host}:${this.port}, which spreads clients over the gateways of ${nodes}`;
  }

  topic(name) {
    return name;
  }

  node(name) {
    return this.#cluster.nodes.get(name);
  }

  get gateways() {
    return this.#cluster.gateways();
  }

  async createQueue(definition) {
    await (await this.rest()).createQueue(definition);
  }

  /** Of a node that answers. */
  async rest() {
    for (const node of this.#cluster.nodes.values()) {
      const rest = new Rest(node.http, API_KEY);
      if (node.isRunning && (await rest.get('/api/v5/cluster').catch(() => undefined)) !== undefined) return rest;
    }
    throw new Error('no node answers');
  }

  restOf(node) {
    return new Rest(node.http, API_KEY);
  }

  /** Waits until every node sees all others, every partition is led, and leaders are spread evenly. */
  async whole() {
    const untilMs = performance.now() + WHOLE_MS_MAX;
    for (;;) {
      const views = await Promise.all(
        [...this.#cluster.nodes.values()].map((node) =>
          this.restOf(node)
            .get('/api/v5/cluster')
            .catch(() => undefined),
        ),
      );
      if (views.every(isWhole)) return;
      if (performance.now() > untilMs) throw new Error(`the cluster did not become whole within ${WHOLE_MS_MAX} ms`);
      await sleep(LOOK_MS);
    }
  }

  /** SIGTERM to all, and everything they left is removed. Returns why it did not end well. */
  async stop() {
    this.#balancer.close();
    const failed = await this.#cluster.stop();
    await this.#rememberErrors();
    await rm(this.#folder, { recursive: true, force: true });
    return failed.length === 0 ? undefined : `not well: ${failed.join(', ')}`;
  }

  async #rememberErrors() {
    for (const { name, logFile } of this.#cluster.nodes.values()) {
      const log = await readFile(logFile, 'utf8').catch(() => '');
      this.errors += `--- ${name}\n${log.slice(-LOG_CHARACTERS_MAX)}\n`;
    }
  }

  async #abandon() {
    this.#balancer.close();
    await this.#cluster.killAll();
    await rm(this.#folder, { recursive: true, force: true });
    process.exitCode = 1;
  }
}

function isWhole(view) {
  if (view === undefined || view.coordinator === null) return false;
  if (view.partitions.length === 0 || view.partitions.some(({ leader }) => leader === null)) return false;
  const leads = view.nodes.filter(({ roles }) => roles.includes('store')).map(({ leads: count }) => count);
  return view.nodes.every(({ alive }) => alive) && Math.max(...leads) - Math.min(...leads) <= 1;
}
