import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { cpuMs, diskBytes, rssBytes, rssPeakBytes, written } from './node-process.mjs';

export const BIN = join(import.meta.dirname, '../../packages/server/dist/bin.js');
const START_MS_MAX = 120_000;
const STOP_MS_MAX = 60_000;

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

  /**
   * @param {string} data
   * @param {{ flags?: readonly string[], nodeFlags?: readonly string[] }} options
   */
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
    if (this.#child === undefined) return;
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

  get http() {
    return this.#http;
  }

  /** Of the first queue there is: stored and not settled. */
  async depth() {
    const { data } = await (await fetch(`${this.#http}/api/v5/message_queues/stats`)).json();
    return data[0].statistics?.depth_messages;
  }

  async metrics(path = '/metrics') {
    return await (await fetch(`${this.#http}${path}`)).text();
  }

  rssBytes() {
    return rssBytes(this.pid);
  }

  rssPeakBytes() {
    return rssPeakBytes(this.pid);
  }

  cpuMs() {
    return cpuMs(this.pid);
  }

  written() {
    return written(this.pid);
  }

  diskBytes() {
    return diskBytes(this.#data);
  }
}
