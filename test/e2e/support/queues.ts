import { expect } from '@jest/globals';
import type { RestAnswer, RestClient } from '../../harness/rest.ts';
import type { Broker } from './broker.ts';
import { until } from './until.ts';

const PATH = '/api/v5/message_queues/queues';

export interface Statistics {
  depth_messages: number;
  depth_bytes: number;
  ready_messages: number;
  inflight_messages: number;
  lag_messages: number;
  lag_seconds: number;
  consumers: number;
  keys: number;
  published_total: number;
  accepted_total: number;
  returned_total: number;
  refused_total: number;
  expired_total: number;
  overwritten_total: number;
  dropped_total: number;
  purged_total: number;
}

export interface Peeked {
  offset: number;
  payload_text: string;
  delivery_count: number;
  state: string;
  key: string | null;
}

/** Queues as an operator handles them over REST. Every call fails the test unless it succeeds. */
export class Queues {
  readonly #server: Broker;

  constructor(server: Broker) {
    this.#server = server;
  }

  get #rest(): RestClient {
    return this.#server.rest();
  }

  /** A regular queue unless it says otherwise; returns its name. */
  async create(definition: Record<string, unknown>): Promise<string> {
    const answer = await this.#rest.post(PATH, { is_lastvalue: false, ...definition });
    return (expectOk(answer) as { name: string }).name;
  }

  async update(name: string, patch: Record<string, unknown>): Promise<void> {
    expectOk(await this.#rest.put(pathOf(name), patch));
  }

  /** The object of the config endpoint. */
  async configure(patch: Record<string, unknown>): Promise<void> {
    expectOk(await this.#rest.put('/api/v5/message_queues/config', patch));
  }

  async names(): Promise<string[]> {
    const page = expectOk(await this.#rest.get(PATH)) as { data: { name: string }[] };
    return page.data.map(({ name }) => name);
  }

  /** Waits for a queue that nobody here created, and for it to be as expected. */
  async exists(name: string, expected: Record<string, unknown>): Promise<void> {
    await until(async () => (await this.names()).includes(name), `queue ${name} exists`);
    expect(expectOk(await this.#rest.get(pathOf(name)))).toMatchObject(expected);
  }

  async remove(name: string): Promise<void> {
    expectOk(await this.#rest.delete(pathOf(name)));
  }

  async statistics(name: string): Promise<Statistics> {
    return (expectOk(await this.#rest.get(`${pathOf(name)}/stats`)) as { statistics: Statistics }).statistics;
  }

  /** What is stored, without consuming it. */
  async peek(name: string): Promise<Peeked[]> {
    return (expectOk(await this.#rest.get(`${pathOf(name)}/messages?limit=100`)) as { data: Peeked[] }).data;
  }

  async purge(name: string): Promise<unknown> {
    return expectOk(await this.#rest.post(`${pathOf(name)}/purge`, {}));
  }

  /** Waits until the oldest message is older than that. */
  async older(name: string, seconds: number): Promise<void> {
    await until(
      async () => (await this.statistics(name)).lag_seconds > seconds,
      `${name} has been lagging ${seconds} s`,
    );
  }

  /** Settling is durable a moment after the acknowledgement. */
  async depth(name: string, depth: number): Promise<void> {
    let seen = -1;
    await until(
      async () => {
        seen = (await this.statistics(name)).depth_messages;
        return seen === depth;
      },
      () => `a depth of ${depth} in ${name}, it is ${seen}`,
    );
  }

  async consumers(name: string, count: number): Promise<void> {
    await until(async () => (await this.statistics(name)).consumers === count, `${count} consumers of ${name}`);
  }
}

function pathOf(name: string): string {
  return `${PATH}/${encodeURIComponent(name)}`;
}

function expectOk(answer: RestAnswer): unknown {
  if (answer.status >= 200 && answer.status < 300) return answer.body;
  throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
}
