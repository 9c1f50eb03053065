import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

const HOST = '127.0.0.1';
const RULES = join(import.meta.dirname, 'prometheus/rules.yaml');
const READY_MS_MAX = 30_000;
/** As Compose has it. */
const INTERVALS = { scrape: '5s', evaluation: '15s' };

/** A Prometheus of its own for a cluster on this machine, with the rules of this folder. */
export class LocalPrometheus {
  #process;
  #failed;

  /** Whether this machine has one; `apt-get install prometheus` where it does not. */
  static isInstalled() {
    return spawnSync('prometheus', ['--version'], { stdio: 'ignore' }).status === 0;
  }

  /**
   * Resolves when it answers. `targets` are the HTTP addresses of nodes; `port` is taken when it is free, else any is;
   * `prefix` are the words before its command.
   *
   * @param {{
   *   directory: string,
   *   targets: readonly string[],
   *   port?: number,
   *   intervals?: { scrape: string, evaluation: string },
   *   prefix?: readonly string[],
   * }} options
   */
  static async start({ directory, targets, port = 0, intervals = INTERVALS, prefix = [] }) {
    await mkdir(directory, { recursive: true });
    const config = {
      global: {
        scrape_interval: intervals.scrape,
        scrape_timeout: intervals.scrape,
        evaluation_interval: intervals.evaluation,
      },
      rule_files: [RULES],
      scrape_configs: [{ job_name: 'sluice', static_configs: [{ targets }] }],
    };
    const file = join(directory, 'prometheus.json');
    // JSON is YAML.
    await writeFile(file, `${JSON.stringify(config, undefined, 2)}\n`);
    const address = `${HOST}:${(await freePort(port)) ?? (await freePort(0))}`;
    const command = [
      ...prefix,
      'prometheus',
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${address}`,
      '--log.level=error',
    ];
    const prometheus = new LocalPrometheus(address, command);
    try {
      await prometheus.#ready();
      return prometheus;
    } catch (cause) {
      await prometheus.stop();
      throw cause;
    }
  }

  constructor(address, [program, ...words]) {
    this.url = `http://${address}`;
    this.#process = spawn(program, words, { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#process.on('error', (cause) => {
      this.#failed = new Error(`prometheus cannot be started (apt-get install prometheus): ${cause.message}`);
    });
  }

  get pid() {
    return this.#process.pid;
  }

  async stop() {
    const { pid, exitCode, signalCode } = this.#process;
    const isRunning = pid !== undefined && exitCode === null && signalCode === null;
    if (isRunning && this.#process.kill('SIGTERM')) await once(this.#process, 'exit');
  }

  async #ready() {
    const deadlineMs = performance.now() + READY_MS_MAX;
    for (;;) {
      const response = await fetch(`${this.url}/-/ready`).catch(() => undefined);
      if (response?.ok === true) return;
      if (this.#failed !== undefined) throw this.#failed;
      if (this.#process.exitCode !== null || performance.now() > deadlineMs) {
        throw new Error('Prometheus did not start');
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Undefined when somebody has it. */
async function freePort(port) {
  const server = createServer();
  const isFree = await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, HOST, () => resolve(true));
  });
  if (!isFree) return undefined;
  const { port: given } = server.address();
  server.close();
  await once(server, 'close');
  return given;
}

/** What a query says now. @throws for one that Prometheus refuses */
export async function ask(url, expr) {
  const response = await fetch(`${url}/api/v1/query`, { method: 'POST', body: new URLSearchParams({ query: expr }) });
  const answer = await response.json();
  if (answer.status !== 'success') throw new Error(`${expr}: ${answer.error}`);
  return answer.data.result;
}
