import { join } from 'node:path';
import { JsonLinesProcess } from './json-lines-process.mjs';
import { pythonWithPaho } from './python-with-paho.mjs';

export interface PahoConnect {
  host: string;
  port: number;
  clientId: string;
  /** 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5.0. */
  version?: 3 | 4 | 5;
  clean?: boolean;
  keepalive?: number;
  username?: string;
  password?: string;
  receiveMaximum?: number;
  sessionExpirySeconds?: number;
  will?: { topic: string; payload?: string; qos?: 0 | 1 | 2; retain?: boolean };
}

export interface PahoPublish {
  qos?: 0 | 1 | 2;
  retain?: boolean;
  /** The payload is filled up with zeros to this many bytes. */
  size?: number;
  userProperties?: [string, string][];
  expirySeconds?: number;
}

export interface PahoMessage {
  topic: string;
  /** Its first 1,024 bytes as text, without the zeros that filled it up. */
  text: string;
  size: number;
  qos: number;
  retain: boolean;
  dup: boolean;
  userProperties: [string, string][];
}

/** A client nobody here wrote: Debian's paho, in a process of its own. Guard tests with `testWith(PAHO, …)`. */
export class PahoClient {
  readonly #process: JsonLinesProcess;

  private constructor(process: JsonLinesProcess) {
    this.#process = process;
  }

  /** Connected, or refused with an error that holds the reason code. */
  static async connect(options: PahoConnect): Promise<PahoClient> {
    const client = PahoClient.start();
    await client.connect(options);
    return client;
  }

  static start(): PahoClient {
    const python = pythonWithPaho();
    if (python === undefined) throw new Error('paho is missing: declare the test with testWith(PAHO, …)');
    return new PahoClient(new JsonLinesProcess(python, [join(import.meta.dirname, 'paho_client.py')]));
  }

  async connect(options: PahoConnect): Promise<{ sessionPresent: boolean }> {
    const before = this.#process.of('connected').length;
    this.#process.tell({
      do: 'connect',
      host: options.host,
      port: options.port,
      client_id: options.clientId,
      version: options.version,
      clean: options.clean,
      keepalive: options.keepalive,
      username: options.username,
      password: options.password,
      receive_maximum: options.receiveMaximum,
      session_expiry: options.sessionExpirySeconds,
      will: options.will,
    });
    const answer = await this.#process.until('CONNACK', () => {
      return this.#process.of('connected')[before] ?? this.#process.of('refused')[0];
    });
    if (answer.event === 'refused' || answer.code !== 0) throw new Error(`not connected: ${JSON.stringify(answer)}`);
    return { sessionPresent: answer.session_present };
  }

  /** The granted QoS, or the reason code. */
  async subscribe(filter: string, qos: 0 | 1 | 2 = 0): Promise<number> {
    const count = this.#process.of('subscribed').length + 1;
    this.#process.tell({ do: 'subscribe', filter, qos });
    return (await this.#process.event('subscribed', count)).codes[0];
  }

  async unsubscribe(filter: string): Promise<void> {
    const count = this.#process.of('unsubscribed').length + 1;
    this.#process.tell({ do: 'unsubscribe', filter });
    await this.#process.event('unsubscribed', count);
  }

  /** Resolves when the broker has acknowledged it; at QoS 0 when it is written. */
  async publish(topic: string, payload: string, options: PahoPublish = {}): Promise<void> {
    const count = this.#process.of('published').length + 1;
    this.publishLater(topic, payload, options);
    await this.#process.event('published', count);
  }

  /** Does not wait; see `published`. */
  publishLater(topic: string, payload: string, options: PahoPublish = {}): void {
    const { qos, retain, size, userProperties, expirySeconds } = options;
    const more = { user_properties: userProperties, expiry: expirySeconds };
    this.#process.tell({ do: 'publish', topic, payload, qos, retain, size, ...more });
  }

  async published(count: number, withinMs?: number): Promise<void> {
    await this.#process.event('published', count, withinMs);
  }

  /** How long it works on each message from now on, before it acknowledges it. */
  work(seconds: number): void {
    this.#process.tell({ do: 'work', seconds });
  }

  get messages(): PahoMessage[] {
    return this.#process.of('message').map((event) => ({
      topic: event.topic,
      text: Buffer.from(event.payload, 'base64').toString().replace(/\0+$/, ''),
      size: event.size,
      qos: event.qos,
      retain: event.retain,
      dup: event.dup,
      userProperties: event.user_properties,
    }));
  }

  /** Waits until at least `count` messages came. */
  async received(count: number, withinMs?: number): Promise<PahoMessage[]> {
    await this.#process.event('message', count, withinMs);
    return this.messages;
  }

  /** Waits until the broker closed the connection; the reason code, where the version has one. */
  async disconnected(withinMs?: number): Promise<number> {
    return (await this.#process.event('disconnected', 1, withinMs)).code;
  }

  /** DISCONNECT, then the process ends. */
  async close(): Promise<void> {
    this.#process.endInput();
    await this.#process.exited();
  }

  /** As a machine that loses its power: no DISCONNECT, no acknowledgement. */
  async kill(): Promise<void> {
    await this.#process.kill('SIGKILL');
  }
}
