import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { DIES_WITH_US } from '../harness/node-lifetime.ts';
import type { Place, Pod, Probe } from './pod.ts';

const NETWORK = pathToFileURL(join(import.meta.dirname, 'pod-network.mjs')).href;

/** How a pod went: what its hook said, how long both took, and whether it had to be killed. */
export interface Ending {
  pod: string;
  hookMs: number;
  hookCode: number | null;
  stopMs: number;
  exitCode: number | null;
  killed: boolean;
}

/** What all pods have in common: the machine under them. */
export interface Machine {
  /** Of names to addresses, as JSON. */
  hostsFile: string;
  /** A folder with the commands that the image has. */
  bin: string;
  say(text: string): void;
}

/**
 * One pod and what the kubelet does with it: its files, its process, probes for as long as it runs, a restart when it ends or
 * is not alive, and its end in Kubernetes' order: the hook and the grace period begin together, then SIGTERM, then SIGKILL.
 */
export class RunningPod {
  readonly place: Place;
  readonly logFile: string;
  isReady = false;
  isTerminating = false;
  restarts = 0;
  readonly #pod: Pod;
  readonly #folder: string;
  readonly #claims: string;
  readonly #machine: Machine;
  readonly #log;
  #process: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  /** `folder` is the pod's own; `claims` is what survives it. */
  constructor(pod: Pod, place: Place, machine: Machine, { folder, claims }: { folder: string; claims: string }) {
    this.place = place;
    this.#pod = pod;
    this.#machine = machine;
    this.#folder = folder;
    this.#claims = claims;
    this.logFile = join(folder, 'pod.log');
    mkdirSync(folder, { recursive: true });
    this.#log = createWriteStream(this.logFile, { flags: 'a' });
    for (const { mountPath } of pod.folders) mkdirSync(this.#here(mountPath), { recursive: true });
    for (const [path, text] of pod.files) {
      mkdirSync(dirname(this.#here(path)), { recursive: true });
      writeFileSync(this.#here(path), text, { mode: 0o600 });
    }
  }

  /** The container, again and again until the pod is to end. Does not wait. */
  start(): void {
    const child = this.#spawn(['sluice', ...this.#pod.args]);
    this.#process = child;
    const probing = new AbortController();
    this.#ended = once(child, 'exit').then(async ([code, signal]) => {
      probing.abort();
      this.isReady = false;
      if (this.isTerminating) return;
      this.restarts++;
      this.#machine.say(`${this.place.name} ended with ${code ?? signal}, and is started again`);
      await delay(RESTART_PAUSE_MS);
      if (!this.isTerminating) this.start();
    });
    void this.#probe(probing.signal);
  }

  async terminate(): Promise<Ending> {
    this.isTerminating = true;
    const { preStop, graceMs } = this.#pod;
    const fromMs = performance.now();
    let killed = false;
    const child = this.#process as ChildProcess;
    const grace = setTimeout(() => {
      killed = true;
      child.kill('SIGKILL');
    }, graceMs);
    let hookCode: number | null = 0;
    if (preStop !== undefined) {
      const hook = this.#spawn(preStop);
      [hookCode] = (await Promise.race([once(hook, 'exit'), this.#ended.then(() => [null])])) as [number | null];
    }
    const termMs = performance.now();
    child.kill('SIGTERM');
    await this.#ended;
    clearTimeout(grace);
    return {
      pod: this.place.name,
      hookMs: termMs - fromMs,
      hookCode,
      stopMs: performance.now() - termMs,
      exitCode: child.exitCode,
      killed,
    };
  }

  /** Without ceremony. */
  async kill(): Promise<void> {
    this.isTerminating = true;
    this.#process?.kill('SIGKILL');
    await this.#ended;
  }

  #spawn(command: readonly string[]): ChildProcess {
    const env: Record<string, string> = {
      PATH: `${this.#machine.bin}:${process.env.PATH}`,
      NODE_OPTIONS: `--import=${NETWORK}`,
      NODE_NO_WARNINGS: '1',
      POD_ADDRESS: this.place.ip,
      POD_HOSTS: this.#machine.hostsFile,
      TMPDIR: this.#here('/tmp'),
      // Loopback is the pod's own.
      SLUICE_URL: `http://${this.place.ip}:${this.#pod.liveness.port}`,
    };
    for (const [name, value] of this.#pod.env) env[name] = this.#inFolder(value);
    const [program, ...args] = [...DIES_WITH_US, ...command];
    const child = spawn(program as string, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout?.pipe(this.#log, { end: false });
    child.stderr?.pipe(this.#log, { end: false });
    return child;
  }

  async #probe(signal: AbortSignal): Promise<void> {
    const { startup, liveness, readiness } = this.#pod;
    if (!(await this.#passes(startup, signal))) {
      if (!signal.aborted) this.#unhealthy('did not start');
      return;
    }
    const watch = async (probe: Probe, told: (passes: boolean) => void): Promise<void> => {
      let failures = 0;
      while (!signal.aborted && !this.isTerminating) {
        const ok = await asks(this.place.ip, probe);
        failures = ok ? 0 : failures + 1;
        if (ok || failures >= probe.failures) told(ok);
        await delay(probe.periodMs);
      }
    };
    void watch(readiness, (passes) => {
      if (!signal.aborted) this.isReady = passes;
    });
    void watch(liveness, (passes) => {
      if (!passes && !signal.aborted && !this.isTerminating) this.#unhealthy('is not alive');
    });
  }

  async #passes(probe: Probe, signal: AbortSignal): Promise<boolean> {
    for (let attempt = 0; attempt < probe.failures && !signal.aborted; attempt++) {
      if (await asks(this.place.ip, probe)) return true;
      await delay(probe.periodMs);
    }
    return false;
  }

  #unhealthy(what: string): void {
    this.#machine.say(`${this.place.name} ${what}: killed`);
    this.#process?.kill('SIGKILL');
  }

  /** Where a path of the container is on this machine. */
  #here(path: string): string {
    const claim = this.#pod.folders.find(({ mountPath, claim: kept }) => kept && path.startsWith(mountPath));
    return join(claim === undefined ? this.#folder : this.#claims, path);
  }

  /** A value with the paths of mounts in it. */
  #inFolder(value: string): string {
    return /^\/(etc|var|tmp)\//.test(value) ? this.#here(value) : value;
  }
}

const RESTART_PAUSE_MS = 1_000;

/** One probe: any answer between 200 and 399 is a good one. */
function asks(host: string, { port, path, timeoutMs }: Probe): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ host, port, path, agent: false, timeout: timeoutMs }, (response) => {
      response.resume();
      resolve((response.statusCode ?? 500) < 400);
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
    asked.on('error', () => resolve(false));
    asked.end();
  });
}
