import { join } from 'node:path';
import { JsonLinesProcess } from '../harness/json-lines-process.mjs';
import { pythonWithPaho } from '../harness/python-with-paho.mjs';

/** `node test/demo/run.mjs --mqttjs` plays with MQTT.js also where paho is. */
const python = process.argv.includes('--mqttjs') ? undefined : pythonWithPaho();

/** Which client library plays; paho where the machine has it, because nobody here wrote it. */
export const LIBRARY = python === undefined ? 'MQTT.js' : 'paho (Python)';

/** How to play it again with other clients. */
export const OTHER_LIBRARY =
  python !== undefined
    ? 'The same with MQTT.js: npm run demo -- --mqttjs'
    : pythonWithPaho() === undefined
      ? 'With paho as well, once it is there (apt-get install python3-paho-mqtt): npm run demo'
      : 'The same with paho: npm run demo';

function start(name, args) {
  const [command, file] = python === undefined ? [process.execPath, `${name}.mjs`] : [python, `${name}.py`];
  return new JsonLinesProcess(command, [join(import.meta.dirname, file), ...args.map(String)]);
}

/** Every client that was started, so that a demo that fails leaves none behind. */
const running = new Set();

/** A subscriber in a process of its own. Of a queue when the filter says so, else an ordinary one. */
export class Consumer {
  #process;

  /** Connected, not subscribed: `begin` does that. */
  static async connect(broker, filter, { seconds = 0, stuck = false } = {}) {
    const consumer = new Consumer();
    const more = stuck ? ['--stuck'] : ['--seconds', seconds];
    consumer.#process = start('consumer', [broker.host, broker.port, filter, ...more]);
    running.add(consumer.#process);
    await consumer.#process.event('connected');
    return consumer;
  }

  static async subscribe(broker, filter, options) {
    const consumer = await Consumer.connect(broker, filter, options);
    await consumer.begin();
    return consumer;
  }

  async begin() {
    this.#process.tell('subscribe');
    await this.#process.event('subscribed');
  }

  get messages() {
    return this.#process.of('message');
  }

  get texts() {
    return this.messages.map((message) => message.text);
  }

  /** Waits until `count` messages came; returns false when they did not. */
  async received(count, withinMs = 20_000) {
    return await this.#process.event('message', count, withinMs).then(
      () => true,
      () => false,
    );
  }

  /** As a machine that loses its power. */
  async kill() {
    running.delete(this.#process);
    await this.#process.kill('SIGKILL');
  }

  async leave() {
    running.delete(this.#process);
    this.#process.endInput();
    await this.#process.exited();
  }
}

/** A publisher at QoS 1 in a process of its own. */
export class Producer {
  #process;
  #sent = 0;

  static async connect(broker) {
    const producer = new Producer();
    producer.#process = start('producer', [broker.host, broker.port]);
    running.add(producer.#process);
    await producer.#process.event('connected');
    return producer;
  }

  send(message) {
    this.#sent++;
    this.#process.tell(message);
  }

  /** Waits until the broker acknowledged everything sent so far. */
  async acknowledged(withinMs = 30_000) {
    await this.#process.event('published', this.#sent, withinMs);
  }

  async leave() {
    running.delete(this.#process);
    this.#process.endInput();
    await this.#process.exited();
  }
}

export async function killAllClients() {
  await Promise.all([...running].map((client) => client.kill('SIGKILL')));
}
