import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Balancer } from '../../deploy/balancer.mjs';
import { LAYOUTS, LocalCluster } from '../../deploy/local-cluster.mjs';
import { until } from './client.mjs';
import { cpuMs, diskBytes, rssBytes, rssPeakBytes, written } from './node-process.mjs';

const HOST = '127.0.0.1';
const REST_LOOK_MS = 2_000;
const PROFILED = pathToFileURL(join(import.meta.dirname, 'profiled.mjs')).href;
const COLLECTED = pathToFileURL(join(import.meta.dirname, 'collected.mjs')).href;
const COLLECTED_MS_MAX = 30_000;
const LAST_LINES = 20;

/** A cluster under load, and what the kernel and its metrics say of each node. Linux only. */
export class BrokerCluster {
  #cluster;
  #balancer;
  #balanced;

  /**
   * `collects`: what is alive on the heaps may be asked for.
   *
   * @param {string} directory
   * @param {{ flags?: readonly string[], collects?: boolean, profileFolder?: string }} options
   */
  constructor(directory, { flags = [], collects = false, profileFolder } = {}) {
    const prefixOf = (name) => {
      const words = collects ? ['--expose-gc', `--import=${COLLECTED}`] : [];
      if (profileFolder !== undefined) words.push(`--import=${PROFILED}`);
      if (words.length === 0) return [];
      // Flags of Node.js come behind its name, hence not before the command.
      const set = `SLUICE_PROFILE=${profileFolder} SLUICE_NODE=${name}`;
      return ['bash', '-c', `exec env ${set} "$0" ${words.join(' ')} "$@"`];
    };
    this.#cluster = new LocalCluster({ directory, flags, prefixOf });
  }

  async start(layout = LAYOUTS.compact) {
    await this.#cluster.start(layout);
    this.#balancer = new Balancer(() => this.#cluster.gateways().map(({ mqtt }) => mqtt));
    this.#balanced = { host: HOST, port: await this.#balancer.listen(0) };
    return this;
  }

  get nodes() {
    return [...this.#cluster.nodes.values()];
  }

  get running() {
    return this.nodes.filter(({ isRunning }) => isRunning);
  }

  /** One address for all clients, spread over the gateways by connection. */
  get balanced() {
    return this.#balanced;
  }

  /** Each gateway's own. */
  get gateways() {
    return this.#cluster.gateways().map(({ mqtt }) => addressOf(mqtt));
  }

  async stop() {
    this.#balancer?.close();
    const failed = await this.#cluster.stop();
    if (failed.length > 0) throw new Error(`did not end well: ${failed.join(', ')}`);
  }

  /** Logs go with the data: first, the last words of who ended by itself, and what others that still run had to warn of. */
  async killAll() {
    this.#balancer?.close();
    for (const { name, logFile, unaskedEnd, isRunning } of this.nodes) {
      if (unaskedEnd === undefined && !isRunning) continue;
      const lines = (await readFile(logFile, 'utf8')).trimEnd().split('\n');
      const end = unaskedEnd === undefined ? 'still runs' : `ended by itself: ${JSON.stringify(unaskedEnd)}`;
      const told = unaskedEnd === undefined ? lines.filter((line) => !line.includes('"level":"info"')) : lines;
      console.error(`${name} ${end}. Its log:\n  ${told.slice(-LAST_LINES).join('\n  ')}`);
    }
    await this.#cluster.killAll();
  }

  /** Of the cluster, asked at a node that runs. */
  async view() {
    return await this.get('/api/v5/cluster');
  }

  async createQueue(definition, node = this.running[0]) {
    const response = await fetch(`http://${node.http}/api/v5/message_queues/queues`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(definition),
    });
    // Stored, only that a node is late: it takes effect by itself.
    if (response.status === 503 && (await response.clone().text()).includes('is stored')) return undefined;
    if (!response.ok) throw new Error(`the queue was refused: ${response.status} ${await response.text()}`);
    return await response.json();
  }

  /** Every partition is led, and every node agrees who does. */
  async settled() {
    const views = await Promise.all(
      this.running.map((node) => this.get('/api/v5/cluster', node).catch(() => undefined)),
    );
    const leaders = views.map((view) => view?.partitions.map(({ leader }) => leader ?? '').join());
    return views.every((view) => view?.partitions.every(({ leader }) => leader)) && new Set(leaders).size === 1;
  }

  /** One sum a node: of every series whose name (and labels) the pattern matches. */
  async metric(pattern) {
    return await Promise.all(
      this.running.map(async ({ http }) => {
        const page = await (await fetch(`http://${http}/metrics`)).text();
        let sum = 0;
        for (const line of page.split('\n')) {
          if (pattern.test(line)) sum += Number(line.slice(line.lastIndexOf(' ') + 1));
        }
        return sum;
      }),
    );
  }

  /** A value of each running node, for people. */
  byNode(values, digits = 0) {
    return this.running.map(({ name }, i) => `${name} ${values[i].toFixed(digits)}`).join(', ');
  }

  /** What a phase left to be done is done: all of them together take less than a sixth of a core, or the time is over. */
  async comesToRest(withinMs) {
    const endMs = performance.now() + withinMs;
    for (;;) {
      const before = sum(await this.cpuMs());
      await new Promise((resolve) => setTimeout(resolve, REST_LOOK_MS));
      if (sum(await this.cpuMs()) - before < REST_LOOK_MS * 0.15 || performance.now() > endMs) return;
    }
  }

  cpuMs() {
    return Promise.all(this.running.map(({ pid }) => cpuMs(pid)));
  }

  written() {
    return Promise.all(this.running.map(({ pid }) => written(pid)));
  }

  rssBytes() {
    return Promise.all(this.running.map(({ pid }) => rssBytes(pid)));
  }

  /** Of the heap of each process, and of buffers beside it, what is left when its garbage was thrown away. */
  async aliveBytes() {
    const pattern = /^sluice_process_gc_seconds_total\{kind="major"\}/;
    const before = await this.metric(pattern);
    for (const { pid } of this.running) process.kill(pid, 'SIGWINCH');
    const wasCollected = async () => (await this.metric(pattern)).every((seconds, i) => seconds > before[i]);
    await until('garbage is thrown away', wasCollected, COLLECTED_MS_MAX);
    return await this.metric(/^sluice_process_heap_bytes\{kind="(used|external)"\}/);
  }

  /** At rest: what the processes have, what of it is alive, and what they have without their garbage. */
  async memory(restMs) {
    await this.comesToRest(restMs);
    const resident = await this.rssBytes();
    return { resident, alive: await this.aliveBytes(), collected: await this.rssBytes() };
  }

  rssPeakBytes() {
    return Promise.all(this.running.map(({ pid }) => rssPeakBytes(pid)));
  }

  diskBytes() {
    return Promise.all(this.nodes.map(({ data }) => diskBytes(data)));
  }

  /** From here on anew. */
  restartProfiles() {
    for (const { pid } of this.running) process.kill(pid, 'SIGUSR2');
  }

  async get(path, node = this.running[0]) {
    const response = await fetch(`http://${node.http}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return await response.json();
  }
}

export function addressOf(text) {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
}

export const sum = (values) => values.reduce((total, value) => total + value, 0);
