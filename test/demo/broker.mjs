import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JsonLinesProcess } from '../harness/json-lines-process.mjs';
import { hostAndPort, Rest } from './rest.mjs';

const BIN = join(import.meta.dirname, '../../packages/server/dist/bin.js');
export const API_KEY = 'demo:demo-secret';

/** A broker of our own for the time of the demo: ports the system chooses, a temporary data directory. */
export class Broker {
  host;
  port;
  #rest;
  #process;
  #folder;

  static async start() {
    const broker = new Broker();
    broker.#folder = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
    const keys = join(broker.#folder, 'api-keys');
    await writeFile(keys, `${API_KEY}\n`);
    const data = join(broker.#folder, 'data');
    const listeners = ['--mqtt', '127.0.0.1:0', '--ws', 'none', '--http', '127.0.0.1:0'];
    const args = [BIN, 'server', '--data', data, ...listeners, '--api-keys', keys];
    broker.#process = new JsonLinesProcess(process.execPath, args);
    try {
      const ready = await broker.#process.until('ready', (events) => events.find(isReady), 20_000);
      const addresses = JSON.parse(ready.text.slice('ready '.length));
      [broker.host, broker.port] = hostAndPort(addresses.mqtt);
      broker.#rest = new Rest(addresses.http, API_KEY);
      return broker;
    } catch (error) {
      await broker.stop();
      throw error;
    }
  }

  get what() {
    return `MQTT on ${this.host}:${this.port}`;
  }

  /** Topics are as the demos name them: nobody else is here. */
  topic(name) {
    return name;
  }

  async createQueue(definition) {
    await this.#rest.createQueue(definition);
  }

  /** SIGTERM, and everything it left is removed. Returns why it did not end well. */
  async stop() {
    const timer = setTimeout(() => this.#process?.kill('SIGKILL'), 20_000);
    const exit = await this.#process?.kill('SIGTERM');
    clearTimeout(timer);
    await rm(this.#folder, { recursive: true, force: true });
    return exit?.code === 0 ? undefined : `exit code ${exit?.code}`;
  }

  get errors() {
    return this.#process.errors;
  }
}

function isReady(event) {
  return event.event === 'text' && event.text.startsWith('ready ');
}
