import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const BIN = join(import.meta.dirname, '../packages/server/dist/bin.js');
const HOST = '127.0.0.1';

/** What a cluster is made of: how many processes of which roles. */
export const LAYOUTS = {
  /** Every tier by itself. */
  tiers: [
    { name: 'coordinator', roles: 'coordinator', count: 3 },
    { name: 'store', roles: 'store', count: 3 },
    { name: 'gateway', roles: 'gateway', count: 2 },
  ],
  /** Three nodes that do everything. */
  compact: [{ name: 'node', roles: 'gateway,store,coordinator', count: 3 }],
};

/**
 * A cluster of separate processes on this machine. Each node has its data directory, its ports for life, and a log file
 * beside the data; any of them may be killed, paused, stopped and started again, as on machines of their own.
 */
export class LocalCluster {
  /** By name: `store-1`. */
  nodes = new Map();
  #directory;
  #flags;
  #hostOf;
  #dataOf;
  #prefixOf;
  #binOf;

  /**
   * `flags` are given to every node. By the name of a node: `hostOf`, the address it binds; `dataOf`, where its data is
   * (a disk of its own); `prefixOf`, the words before its command (a network of its own); `binOf`, asked at each start, the
   * build that it runs.
   *
   * @param {{
   *   directory: string,
   *   flags?: readonly string[],
   *   hostOf?: (name: string) => string,
   *   dataOf?: (name: string) => string,
   *   prefixOf?: (name: string) => readonly string[],
   *   binOf?: (name: string) => string,
   * }} options
   */
  constructor({ directory, flags = [], hostOf = () => HOST, dataOf, prefixOf = () => [], binOf = () => BIN }) {
    this.#directory = directory;
    this.#flags = flags;
    this.#hostOf = hostOf;
    this.#dataOf = dataOf ?? ((name) => join(directory, name, 'data'));
    this.#prefixOf = prefixOf;
    this.#binOf = binOf;
  }

  /** Starts all nodes of a layout; resolves when each has printed its `ready` line. */
  async start(layout, { onReady = () => {} } = {}) {
    if (this.#binOf('') === BIN && !existsSync(BIN)) throw new Error(`${BIN} is not built: npm run build`);
    for (const { name, roles, count } of layout) {
      for (let i = 1; i <= count; i++) await this.#define(`${name}-${i}`, roles.split(','));
    }
    this.join = [...this.nodes.values()].filter(({ roles }) => roles.includes('coordinator')).map(({ grpc }) => grpc);
    await Promise.all([...this.nodes.values()].map((node) => node.start().then(() => onReady(node))));
  }

  /**
   * Adds a node to the running cluster; `flags` are given to it alone, and win.
   *
   * @param {string} name
   * @param {string} roles
   * @param {readonly string[]} flags
   */
  async add(name, roles, flags = []) {
    const node = await this.#define(name, roles.split(','), flags);
    await node.start();
    return node;
  }

  gateways() {
    return [...this.nodes.values()].filter(({ roles }) => roles.includes('gateway'));
  }

  stores() {
    return [...this.nodes.values()].filter(({ roles }) => roles.includes('store'));
  }

  /** SIGTERM to all: gateways first, the coordinators last. Returns the names of those that did not end well. */
  async stop() {
    const failed = [];
    for (const role of ['gateway', 'store', 'coordinator']) {
      const wave = [...this.nodes.values()].filter(({ roles, isRunning }) => isRunning && roles.includes(role));
      await Promise.all(
        wave.map(async (node) => {
          const { code } = await node.stop();
          if (code !== 0) failed.push(node.name);
        }),
      );
    }
    return failed;
  }

  killAll() {
    return Promise.all([...this.nodes.values()].filter(({ isRunning }) => isRunning).map((node) => node.kill()));
  }

  /**
   * @param {string} name
   * @param {string[]} roles
   * @param {readonly string[]} flags
   */
  async #define(name, roles, flags = []) {
    const directory = join(this.#directory, name);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const speaksMqtt = roles.includes('gateway');
    const ports = await portsOf(directory);
    const host = this.#hostOf(name);
    const node = new LocalNode({
      name,
      roles,
      directory,
      data: this.#dataOf(name),
      grpc: `${host}:${ports.grpc}`,
      http: `${host}:${ports.http}`,
      mqtt: speaksMqtt ? `${host}:${ports.mqtt}` : 'none',
      flags: [...this.#flags, ...flags],
      prefix: this.#prefixOf(name),
      bin: () => this.#binOf(name),
      join: () => this.join,
    });
    this.nodes.set(name, node);
    return node;
  }
}

const STOP_MS_MAX = 40_000;

class LocalNode {
  #flags;
  #bin;
  #prefix;
  #join;
  #process;
  #exited;
  #isEndAsked = false;
  /** How it ended when nobody had asked it to: an exit code or a signal. */
  unaskedEnd;

  constructor({ name, roles, directory, data, grpc, http, mqtt, flags, prefix, bin, join: founders }) {
    this.name = name;
    this.roles = roles;
    this.directory = directory;
    this.data = data;
    this.grpc = grpc;
    this.http = http;
    this.mqtt = mqtt;
    this.#flags = flags;
    this.#prefix = prefix;
    this.#bin = bin;
    this.#join = founders;
  }

  get isRunning() {
    return this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  get pid() {
    return this.#process?.pid;
  }

  /** How its present life ends. */
  get exited() {
    return this.#exited;
  }

  /** The command of this node, for whoever wants to start it by hand or in a network of its own. */
  get command() {
    const args = [this.#bin(), 'server', '--name', this.name, '--roles', this.roles.join(','), '--data', this.data];
    args.push('--grpc', this.grpc, '--http', this.http, '--mqtt', this.mqtt, '--ws', 'none');
    const founders = this.#join();
    // A node that founds by itself is started as anybody starts one.
    if (founders.some((address) => address !== this.grpc)) args.push('--join', founders.join(','));
    // Where clients are sent while another gateway is stopped.
    if (this.mqtt !== 'none') args.push('--set', `node.advertiseMqtt=${this.mqtt}`);
    return [...this.#prefix, process.execPath, ...args, ...this.#flags];
  }

  get logFile() {
    return join(this.directory, 'node.log');
  }

  /**
   * Resolves with its `ready` line; rejects when it ends before.
   *
   * @param {readonly string[]} prefix
   */
  async start(prefix = []) {
    const [program, ...args] = [...prefix, ...this.command];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    this.#isEndAsked = false;
    this.#exited = once(child, 'exit').then(([code, signal]) => {
      if (!this.#isEndAsked) this.unaskedEnd = { code, signal };
      return { code, signal };
    });
    const log = createWriteStream(this.logFile, { flags: 'a' });
    child.stderr.pipe(log);
    const said = lastWords(child.stderr);
    const lines = createInterface({ input: child.stdout });
    await new Promise((resolve, reject) => {
      lines.on('line', (line) => {
        log.write(`${line}\n`);
        if (line.startsWith('ready ')) resolve();
      });
      child.on('error', reject);
      this.#exited.then(({ code, signal }) =>
        reject(
          new Error(
            `${this.name} ended before it was ready (code ${code}, signal ${signal}): see ${this.logFile}${said()}`,
          ),
        ),
      );
    });
  }

  kill(signal = 'SIGKILL') {
    this.#isEndAsked = true;
    this.#process?.kill(signal);
    return this.#exited;
  }

  pause() {
    this.#process?.kill('SIGSTOP');
  }

  resume() {
    this.#process?.kill('SIGCONT');
  }

  async stop() {
    const timer = setTimeout(() => this.kill(), STOP_MS_MAX);
    const exit = await this.kill('SIGTERM');
    clearTimeout(timer);
    return exit;
  }
}

/** What a process said for people, behind the last line of its log: why it could not start, and what to do. */
function lastWords(stream) {
  let words = [];
  createInterface({ input: stream }).on('line', (line) => {
    words = line.startsWith('{') ? [] : [...words.slice(1 - LAST_WORDS_MAX), line];
  });
  return () => words.map((line) => `\n  ${line}`).join('');
}

const LAST_WORDS_MAX = 10;

/** A node keeps its ports over restarts of the whole cluster: its peers know it by them. */
async function portsOf(directory) {
  const file = join(directory, 'ports.json');
  if (existsSync(file)) return JSON.parse(await readFile(file, 'utf8'));
  const ports = { grpc: await freePort(), http: await freePort(), mqtt: await freePort() };
  await writeFile(file, JSON.stringify(ports));
  return ports;
}

const given = new Set();
/** Below what systems give to outgoing connections, one of which could take the port of a node that is down. */
const PORTS = { from: 15_000, count: 17_000 };
const ATTEMPTS_MAX = 1_000;

/** A port nobody has now. Ports given out are not given twice. */
async function freePort() {
  for (let attempt = 1; ; attempt++) {
    const port = PORTS.from + Math.floor(Math.random() * PORTS.count);
    if (given.has(port)) continue;
    const server = createServer();
    const isFree = await new Promise((resolve, reject) => {
      server.once('error', (error) => (attempt < ATTEMPTS_MAX ? resolve(false) : reject(error)));
      server.listen(port, HOST, () => server.close(() => resolve(true)));
    });
    if (!isFree) continue;
    given.add(port);
    return port;
  }
}
