import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { RestClient } from './rest.ts';

const BIN = join(import.meta.dirname, '../../packages/server/dist/bin.js');
const API_KEY = 'harness';
const API_SECRET = 'harness-secret';
const LISTENERS = ['mqtt', 'mqtts', 'ws', 'wss', 'http', 'grpc', 'scaler'] as const;
const START_MS_MAX = 20_000;
const STOP_MS_MAX = 20_000;
/** What a failing test prints of the server's log. */
const LOG_CHARACTERS_MAX = 8_000;

export type ListenerName = (typeof LISTENERS)[number];

export interface Address {
  host: string;
  port: number;
}

/** Of `host:port`. */
export function addressOf(text: string): Address {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
}

export interface ServerOptions {
  /** More flags, e.g. `['--roles', 'gateway']`; flags given here win over those of the harness. */
  flags?: string[];
  env?: Record<string, string>;
  /** A data directory that stays; by default a temporary one, removed by `dispose`. */
  dataDir?: string;
}

export interface ServerExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/**
 * The server as its users start it: the built command in a process of its own, on ports the system chooses, on a
 * temporary data directory. Wait on its `ready` line, kill it as hard as you like, start it again on the same data.
 */
export class ServerProcess {
  readonly dataDir: string;
  /** Temporary, holds the key file, and the data unless it was given. */
  readonly #folder: string;
  readonly #options: ServerOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<ServerExit> | undefined;
  #addresses = new Map<ListenerName, Address>();
  #log = '';

  private constructor(folder: string, options: ServerOptions) {
    this.#folder = folder;
    this.#options = options;
    this.dataDir = options.dataDir ?? join(folder, 'data');
  }

  static async start(options: ServerOptions = {}): Promise<ServerProcess> {
    if (!existsSync(BIN)) throw new Error(`${BIN} is not built: npm run build`);
    const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
    const server = new ServerProcess(folder, options);
    await writeFile(join(folder, 'api-keys'), `${API_KEY}:${API_SECRET}\n`);
    try {
      await server.#spawn(new Map());
    } catch (error) {
      await server.dispose();
      throw error;
    }
    return server;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Everything written to standard output and standard error, over all restarts. */
  get log(): string {
    return this.#log;
  }

  /** Where a listener accepts connections. */
  address(listener: ListenerName): Address {
    const address = this.#addresses.get(listener);
    if (address === undefined) throw new Error(`no listener ${listener}: ${[...this.#addresses.keys()]}`);
    return address;
  }

  get mqtt(): Address {
    return this.address('mqtt');
  }

  /** The management API with the key of the harness, or anonymous. */
  rest(authentication: 'key' | 'anonymous' = 'key'): RestClient {
    const { host, port } = this.address('http');
    const base = `http://${host}:${port}`;
    return authentication === 'key' ? new RestClient(base, API_KEY, API_SECRET) : new RestClient(base);
  }

  /** Of every node there is: one. */
  rests(authentication: 'key' | 'anonymous' = 'key'): RestClient[] {
    return [this.rest(authentication)];
  }

  /** As a machine that loses its power: nothing is finished. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<ServerExit> {
    if (this.#exited === undefined) throw new Error('the server was never started');
    this.#child?.kill(signal);
    return await this.#exited;
  }

  /** As an operator: SIGTERM; throws unless it drains and exits with 0. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), STOP_MS_MAX);
    const { code, signal } = await this.kill('SIGTERM');
    clearTimeout(timer);
    if (code !== 0) throw this.#failure(`SIGTERM ended it with code ${code}, signal ${signal}`);
  }

  /** Starts it again on the same data and the same ports, so that clients find it where it was. */
  async restart(): Promise<void> {
    if (this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null)
      await this.kill();
    await this.#spawn(this.#addresses);
  }

  /** Ends it if it runs and removes what is temporary. For `afterEach`. */
  async dispose(): Promise<void> {
    if (this.#exited !== undefined) await this.kill('SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #spawn(addresses: ReadonlyMap<ListenerName, Address>): Promise<void> {
    const at = (listener: ListenerName): string => {
      const known = addresses.get(listener);
      return known === undefined ? '127.0.0.1:0' : `${known.host}:${known.port}`;
    };
    const flags = ['--data', this.dataDir, '--mqtt', at('mqtt'), '--ws', 'none', '--http', at('http')];
    flags.push('--api-keys', join(this.#folder, 'api-keys'), ...(this.#options.flags ?? []));
    const child = spawn(process.execPath, [BIN, 'server', ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#options.env },
    });
    this.#child = child;
    this.#exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }) as ServerExit);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
    });
    this.#addresses = await this.#ready(child);
  }

  async #ready(child: ChildProcess): Promise<Map<ListenerName, Address>> {
    return await new Promise((resolve, reject) => {
      const fail = (why: string) => reject(this.#failure(why));
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        fail(`not ready within ${START_MS_MAX} ms`);
      }, START_MS_MAX);
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        fail(`it ended before it was ready: code ${code}, signal ${signal}`);
      });
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
        this.#log += `${line}\n`;
        if (!line.startsWith('ready ')) return;
        clearTimeout(timer);
        resolve(parseReadyLine(line));
      });
    });
  }

  #failure(why: string): Error {
    return new Error(`${why}\nthe server's log:\n${this.#log.slice(-LOG_CHARACTERS_MAX)}`);
  }
}

/** `ready {"mqtt":"127.0.0.1:40001", …}`; a listener that is off is missing, null or 'none'. */
export function parseReadyLine(line: string): Map<ListenerName, Address> {
  const fields = JSON.parse(line.slice('ready '.length)) as Record<string, unknown>;
  const addresses = new Map<ListenerName, Address>();
  for (const listener of LISTENERS) {
    const text = fields[listener];
    const match = typeof text === 'string' ? /^(?:[a-z]+:\/\/)?\[?([^\]/]*?)\]?:(\d+)(?:\/.*)?$/.exec(text) : null;
    if (match !== null) addresses.set(listener, { host: match[1] as string, port: Number(match[2]) });
  }
  return addresses;
}
