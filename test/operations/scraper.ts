import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { DIES_WITH_US } from '../harness/node-lifetime.ts';

const READY_MS_MAX = 30_000;

export interface Result {
  metric: Record<string, string>;
  value: [number, string];
}

/** A real Prometheus that scrapes addresses every second and evaluates rules as often. */
export class Scraper {
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #url: string;

  private constructor(folder: string, process: ChildProcess, url: string) {
    this.#folder = folder;
    this.#process = process;
    this.#url = url;
  }

  static async start(targets: readonly string[], rules: string): Promise<Scraper> {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-prometheus-'));
    const config = {
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: [rules],
      scrape_configs: [{ job_name: 'sluice', static_configs: [{ targets: [...targets] }] }],
    };
    const file = join(folder, 'prometheus.yaml');
    writeFileSync(file, stringify(config));
    const address = `127.0.0.1:${await freePort()}`;
    const [program, ...words] = [
      ...DIES_WITH_US,
      'prometheus',
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
      '--log.level=error',
    ] as [string, ...string[]];
    const scraper = new Scraper(folder, spawn(program, words, { stdio: 'inherit' }), `http://${address}`);
    try {
      await scraper.#ready();
      return scraper;
    } catch (cause) {
      await scraper.stop();
      throw cause;
    }
  }

  /** What a panel would show now. @throws for a query that Prometheus refuses */
  async query(expr: string): Promise<Result[]> {
    const response = await fetch(`${this.#url}/api/v1/query`, {
      method: 'POST',
      body: new URLSearchParams({ query: expr }),
    });
    const answer = (await response.json()) as { status: string; error?: string; data: { result: Result[] } };
    if (answer.status !== 'success') throw new Error(`${expr}: ${answer.error}`);
    return answer.data.result;
  }

  async stop(): Promise<void> {
    const isRunning = this.#process.pid !== undefined && this.#process.exitCode === null;
    if (isRunning && this.#process.kill('SIGTERM')) await once(this.#process, 'exit');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    let failed: Error | undefined;
    this.#process.on('error', (cause) => {
      failed = new Error(`prometheus cannot be started (apt-get install prometheus): ${cause.message}`);
    });
    const deadlineMs = performance.now() + READY_MS_MAX;
    for (;;) {
      const response = await fetch(`${this.#url}/-/ready`).catch(() => undefined);
      if (response?.ok === true) return;
      if (failed !== undefined) throw failed;
      if (this.#process.exitCode !== null || performance.now() > deadlineMs)
        throw new Error('Prometheus did not start');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
