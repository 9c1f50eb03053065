import { spawn } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const BIN = join(import.meta.dirname, '../../packages/server/dist/bin.js');
const START_MS_MAX = 120_000;
const STOP_MS_MAX = 60_000;
/** Of the kernel's clock in /proc, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** A broker under load in a process of its own, and what the kernel says of it. Linux only. */
export class Broker {
  readyMs = 0;
  mqtt = { host: '', port: 0 };
  #data;
  #nodeFlags;
  #flags;
  #child;
  #http = '';
  #errors = '';

  constructor(data, { flags = [], nodeFlags = [] } = {}) {
    this.#data = data;
    this.#flags = flags;
    this.#nodeFlags = nodeFlags;
  }

  /** Until its ready line; `readyMs` is the time from the spawn. */
  async start() {
    const listeners = ['--mqtt', '127.0.0.1:0', '--ws', '127.0.0.1:0', '--http', '127.0.0.1:0'];
    const startedMs = performance.now();
    this.#child = spawn(
      process.execPath,
      [...this.#nodeFlags, BIN, 'server', '--data', this.#data, ...listeners, ...this.#flags],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#child.stderr.on('data', (text) => {
      this.#errors = (this.#errors + text).slice(-8_000);
    });
    const addresses = await this.#ready();
    this.readyMs = performance.now() - startedMs;
    const at = addresses.mqtt.lastIndexOf(':');
    this.mqtt = { host: addresses.mqtt.slice(0, at), port: Number(addresses.mqtt.slice(at + 1)) };
    this.#http = `http://${addresses.http}`;
    return this;
  }

  #ready() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not ready: ${this.#errors}`)), START_MS_MAX);
      this.#child.once('exit', (code) => reject(new Error(`it ended with ${code}: ${this.#errors}`)));
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        if (!line.startsWith('ready ')) return;
        clearTimeout(timer);
        resolve(JSON.parse(line.slice('ready '.length)));
      });
    });
  }

  get pid() {
    return this.#child.pid;
  }

  async stop(signal = 'SIGTERM') {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS_MAX);
    await exited;
    clearTimeout(timer);
  }

  async createQueue(definition) {
    const response = await fetch(`${this.#http}/api/v5/message_queues/queues`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(definition),
    });
    if (!response.ok) throw new Error(`the queue was refused: ${response.status} ${await response.text()}`);
  }

  async metrics() {
    return await (await fetch(`${this.#http}/metrics`)).text();
  }

  async rssBytes() {
    const status = await readFile(`/proc/${this.pid}/status`, 'latin1');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)[1]) * 1024;
  }

  async rssPeakBytes() {
    const status = await readFile(`/proc/${this.pid}/status`, 'latin1');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)[1]) * 1024;
  }

  /** User and system time of all its threads so far. */
  async cpuMs() {
    const text = await readFile(`/proc/${this.pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
  }

  /** Bytes it caused to be written to the disk, and bytes it handed to write calls. */
  async written() {
    const text = await readFile(`/proc/${this.pid}/io`, 'latin1');
    const field = (name) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(text)[1]);
    return { disk: field('write_bytes'), calls: field('wchar') };
  }

  /** Allocated blocks below the data directory, by its folders. */
  async diskBytes() {
    const bytes = { log: 0, state: 0, images: 0, total: 0 };
    for (const folder of ['log', 'state', 'images']) {
      for (const name of await readdir(join(this.#data, folder)).catch(() => [])) {
        const file = await stat(join(this.#data, folder, name)).catch(() => undefined);
        bytes[folder] += (file?.blocks ?? 0) * 512;
      }
      bytes.total += bytes[folder];
    }
    return bytes;
  }
}
