import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { SluiceError } from '@sluice/common/errors';
import type { Processes, StartedProcess, StartOptions } from './peer.ts';
import { familyOf } from './process-figures.ts';

/** Of a process that was killed: the kernel may be writing for it. */
const GONE_MS_MAX = 10_000;
const LOG_CHARACTERS_MAX = 2_000;
const POLL_MS = 5;
/** Below what systems give to outgoing connections, one of which could take a port that was just found free. */
const PORTS = { from: 15_000, count: 17_000 };
const ATTEMPTS_MAX = 1_000;

/**
 * Everything a run has started. A broker must not outlive the run, however that ends: it is killed when it has been
 * measured, when the run is interrupted, and where the system can, by the kernel when the run itself is killed. Nobody
 * asks it to finish: its data is thrown away.
 */
export class StartedProcesses implements Processes {
  readonly #running = new Set<Started>();
  readonly #ports = new Set<number>();

  async start(command: readonly string[], options: StartOptions): Promise<StartedProcess> {
    const [program, ...args] = [...DIES_WITH_US, ...command];
    const log = openSync(options.log, 'a');
    const child = spawn(program as string, args, {
      stdio: [options.hasInput === true ? 'pipe' : 'ignore', log, log],
      env: { ...process.env, ...options.env },
      ...(options.directory === undefined ? {} : { cwd: options.directory }),
      // Ctrl-C is for the run, which ends its brokers itself.
      detached: true,
    });
    closeSync(log);
    child.stdin?.on('error', () => {});
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    const started = new Started(child, command[0] as string, options.log, () => this.#running.delete(started));
    this.#running.add(started);
    return started;
  }

  async port(): Promise<number> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const port = PORTS.from + Math.floor(Math.random() * PORTS.count);
      if (this.#ports.has(port) || !(await isFree(port))) continue;
      this.#ports.add(port);
      return port;
    }
    throw new SluiceError('BENCH_NO_PORT', `no free port among ${ATTEMPTS_MAX}`);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running].map((started) => started.stop()));
  }

  /** At once and without waiting: for the end of the process. */
  killAll(): void {
    for (const started of this.#running) started.killFamily();
  }
}

class Started implements StartedProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #log: string;
  readonly #exited: Promise<unknown>;
  #stopping: Promise<void> | undefined;

  constructor(child: ChildProcess, name: string, log: string, onEnd: () => void) {
    this.pid = child.pid as number;
    this.#child = child;
    this.#name = name;
    this.#log = log;
    this.#exited = once(child, 'exit').then(onEnd);
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  killFamily(): void {
    for (const pid of familyOf([this.pid])) kill(pid);
  }

  async until(answers: () => Promise<boolean>, timeoutMs: number): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    while (!(await answers())) {
      if (this.hasEnded) throw this.#failure('it ended before it answered');
      if (performance.now() > endMs) throw this.#failure(`no answer within ${timeoutMs / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async #stop(): Promise<void> {
    const family = familyOf([this.pid]);
    for (const pid of family) kill(pid);
    if (!this.hasEnded) await this.#exited;
    await allGone(family);
  }

  #failure(why: string): SluiceError {
    const log = readFileSync(this.#log, 'utf8').slice(-LOG_CHARACTERS_MAX);
    return new SluiceError('BENCH_PEER_FAILED', `${this.#name}: ${why}\n${log}`);
  }
}

/** What goes before a command: the kernel ends it with us. */
const DIES_WITH_US: readonly string[] =
  spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0 ? ['setpriv', '--pdeathsig', 'KILL'] : [];

async function allGone(pids: readonly number[]): Promise<void> {
  const endMs = performance.now() + GONE_MS_MAX;
  while (pids.some(isAlive) && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
