import { randomBytes } from 'node:crypto';
import { hostAndPort, Rest } from './rest.mjs';

/**
 * A broker or a cluster that somebody runs: nothing of it is harmed, topics lie under a level that nobody else uses, and
 * the queues are removed in the end.
 */
export class RunningBroker {
  host;
  port;
  errors = '';
  #rest;
  #level = `demo-${randomBytes(4).toString('hex')}`;
  #queues = [];

  constructor({ mqtt, http, apiKey }) {
    [this.host, this.port] = hostAndPort(mqtt);
    this.#rest = new Rest(http, apiKey);
  }

  get what() {
    return `MQTT on ${this.host}:${this.port}, topics under ${this.#level}/`;
  }

  topic(name) {
    return `${this.#level}/${name}`;
  }

  async createQueue(definition) {
    const { name } = await this.#rest.createQueue(definition);
    this.#queues.push(name);
  }

  async stop() {
    const failed = [];
    for (const name of this.#queues) await this.#rest.removeQueue(name).catch((error) => failed.push(error.message));
    return failed.length === 0 ? undefined : failed.join('; ');
  }
}
