import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask, LocalPrometheus } from '../../deploy/local-prometheus.mjs';
import { DIES_WITH_US } from '../harness/node-lifetime.ts';

export interface Result {
  metric: Record<string, string>;
  value: [number, string];
}

/** A real Prometheus that scrapes addresses every second and evaluates the shipped rules as often. */
export class Scraper {
  readonly #folder: string;
  readonly #prometheus: LocalPrometheus;

  private constructor(folder: string, prometheus: LocalPrometheus) {
    this.#folder = folder;
    this.#prometheus = prometheus;
  }

  static async start(targets: readonly string[]): Promise<Scraper> {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-prometheus-'));
    const intervals = { scrape: '1s', evaluation: '1s' };
    try {
      const prometheus = await LocalPrometheus.start({ directory: folder, targets, intervals, prefix: DIES_WITH_US });
      return new Scraper(folder, prometheus);
    } catch (cause) {
      rmSync(folder, { recursive: true, force: true });
      throw cause;
    }
  }

  /** What a panel would show now. @throws for a query that Prometheus refuses */
  async query(expr: string): Promise<Result[]> {
    return await ask(this.#prometheus.url, expr);
  }

  async stop(): Promise<void> {
    await this.#prometheus.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
