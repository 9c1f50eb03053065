import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { type JwtKey, keySet } from './jwt-keys.ts';
import type { JwtKeySource } from './jwt-method.ts';

/**
 * Keys that an issuer publishes. They are fetched at the start, again every `refreshMs`, and when a token names one that is
 * not there, or none that is there has signed it, then at most every ten seconds: names of keys and signatures are whatever
 * a stranger writes into a token. Keys that were had stay in force while the issuer does not answer; before the first nobody
 * is let in.
 */
export class JwksClient implements JwtKeySource {
  keys: readonly JwtKey[] | undefined = undefined;
  readonly #url: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #fetch: (url: string) => Promise<string>;
  readonly #timer: NodeJS.Timeout;
  #fetching = false;
  #fetchedMs = Number.NEGATIVE_INFINITY;
  #failing = false;

  static readonly WANTED_INTERVAL_MS = 10_000;
  /** Until the first keys are there. */
  static readonly RETRY_MS = 2_000;
  static readonly TIMEOUT_MS = 5_000;
  static readonly SIZE_BYTES_MAX = 256 * 1024;

  constructor(options: {
    url: string;
    refreshMs: number;
    clock: Clock;
    logger: Logger;
    fetch?: (url: string) => Promise<string>;
  }) {
    this.#url = options.url;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#fetch = options.fetch ?? fetchText;
    const tickMs = Math.min(JwksClient.RETRY_MS, options.refreshMs);
    this.#timer = setInterval(() => this.#tick(options.refreshMs), tickMs);
    this.#timer.unref();
    void this.refresh();
  }

  wanted(): void {
    if (this.#clock.monotonicMs() - this.#fetchedMs >= JwksClient.WANTED_INTERVAL_MS) void this.refresh();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async refresh(): Promise<void> {
    if (this.#fetching) return;
    this.#fetching = true;
    this.#fetchedMs = this.#clock.monotonicMs();
    try {
      this.keys = keySet(await this.#fetch(this.#url));
      if (this.#failing) this.#logger.info({ url: this.#url }, 'the keys for tokens are there again');
      this.#failing = false;
    } catch (cause) {
      const consequence = this.keys === undefined ? 'nobody is let in by a token' : 'those that were had stay in force';
      const fields = { url: this.#url, reason: (cause as Error).message, hint: 'see jwt.jwksUrl' };
      if (!this.#failing) this.#logger.warn(fields, `the keys for tokens cannot be had: ${consequence}`);
      this.#failing = true;
    } finally {
      this.#fetching = false;
    }
  }

  #tick(refreshMs: number): void {
    const waitMs = this.keys === undefined ? JwksClient.RETRY_MS : refreshMs;
    if (this.#clock.monotonicMs() - this.#fetchedMs >= waitMs) void this.refresh();
  }
}

async function fetchText(url: string): Promise<string> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(JwksClient.TIMEOUT_MS) });
  if (!response.ok) throw new Error(`answered with status ${response.status}`);
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const part of response.body ?? []) {
    sizeBytes += (part as Uint8Array).length;
    if (sizeBytes > JwksClient.SIZE_BYTES_MAX) throw new Error(`is larger than ${JwksClient.SIZE_BYTES_MAX} bytes`);
    parts.push(part as Uint8Array);
  }
  return Buffer.concat(parts).toString('utf8');
}
