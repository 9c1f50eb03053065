import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { SluiceError } from '@sluice/common/errors';
import type { Processes, StartedProcess, StartOptions } from './peer.ts';
import { familyOf } from './process-figures.ts';

const STOP_MS_MAX = 20_000;
const KILL_MS_MAX = 5_000;
const LOG_CHARACTERS_MAX = 2_000;
const POLL_MS = 5;
/** Below what systems give to outgoing connections, one of which could take a port that was just found free. */
const PORTS = { from: 15_000, count: 17_000 };
const ATTEMPTS_MAX = 1_000;

/**
 * Everything a run has started. A broker must not outlive the run, however that ends: it is stopped in order, killed
 * when the run is interrupted, and where the system can, killed by the kernel when the run itself is killed.
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
      // Ctrl-C is for the run, which stops its brokers in order.
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
    if (!this.hasEnded) {
      this.#child.kill('SIGTERM');
      const timer = setTimeout(() => this.killFamily(), STOP_MS_MAX);
      await this.#exited;
      clearTimeout(timer);
    }
    await allGone(family.filter((pid) => pid !== this.pid));
  }

  #failure(why: string): SluiceError {
    const log = readFileSync(this.#log, 'utf8').slice(-LOG_CHARACTERS_MAX);
    return new SluiceError('BENCH_PEER_FAILED', `${this.#name}: ${why}\n${log}`);
  }
}

/** What goes before a command: the kernel ends it with us. */
const DIES_WITH_US: readonly string[] =
  spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0 ? ['setpriv', '--pdeathsig', 'KILL'] : [];

/** Those that do not follow their parent are ended one by one; the ids were read while it lived. */
async function allGone(pids: number[]): Promise<void> {
  const killMs = performance.now() + KILL_MS_MAX;
  for (let left = pids.filter(isAlive); left.length > 0; left = left.filter(isAlive)) {
    if (performance.now() > killMs) {
      for (const pid of left) kill(pid);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
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
