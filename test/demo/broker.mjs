import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JsonLinesProcess } from '../harness/json-lines-process.mjs';

const BIN = join(import.meta.dirname, '../../packages/server/dist/bin.js');
const API_KEY = 'demo';
const API_SECRET = 'demo-secret';

/** A broker of our own for the time of the demo: ports the system chooses, a temporary data directory. */
export class Broker {
  host;
  port;
  #http;
  #process;
  #folder;

  static async start() {
    const broker = new Broker();
    broker.#folder = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
    const keys = join(broker.#folder, 'api-keys');
    await writeFile(keys, `${API_KEY}:${API_SECRET}\n`);
    const data = join(broker.#folder, 'data');
    const listeners = ['--mqtt', '127.0.0.1:0', '--ws', 'none', '--http', '127.0.0.1:0'];
    const args = [BIN, 'server', '--data', data, ...listeners, '--api-keys', keys];
    broker.#process = new JsonLinesProcess(process.execPath, args);
    try {
      const ready = await broker.#process.until('ready', (events) => events.find(isReady), 20_000);
      const addresses = JSON.parse(ready.text.slice('ready '.length));
      [broker.host, broker.port] = hostAndPort(addresses.mqtt);
      broker.#http = `http://${addresses.http.replace(/^https?:\/\//, '')}`;
      return broker;
    } catch (error) {
      await broker.stop();
      throw error;
    }
  }

  /** Creates a queue as the users of the REST API do. */
  async createQueue(definition) {
    const response = await fetch(`${this.#http}/api/v5/message_queues/queues`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Basic ${Buffer.from(`${API_KEY}:${API_SECRET}`).toString('base64')}`,
      },
      body: JSON.stringify(definition),
    });
    if (!response.ok) throw new Error(`the queue was refused: ${response.status} ${await response.text()}`);
  }

  /** SIGTERM, and everything it left is removed. Returns how it ended. */
  async stop() {
    const timer = setTimeout(() => this.#process?.kill('SIGKILL'), 20_000);
    const exit = await this.#process?.kill('SIGTERM');
    clearTimeout(timer);
    await rm(this.#folder, { recursive: true, force: true });
    return exit;
  }

  get errors() {
    return this.#process.errors;
  }
}

function isReady(event) {
  return event.event === 'text' && event.text.startsWith('ready ');
}

function hostAndPort(address) {
  const at = address.lastIndexOf(':');
  return [address.slice(0, at).replace(/^.*\/\/|[[\]]/g, ''), Number(address.slice(at + 1))];
}
