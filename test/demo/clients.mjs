import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { JsonLinesProcess } from '../harness/json-lines-process.mjs';
import { pythonWithPaho } from '../harness/python-with-paho.mjs';

const LOOK_MS = 10;
const ACKNOWLEDGED_MS_MAX = 30_000;

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
  static async connect(broker, filter, { seconds = 0, stuck = false, version = 5 } = {}) {
    const consumer = new Consumer();
    const more = stuck ? ['--stuck'] : ['--seconds', seconds];
    consumer.#process = start('consumer', [broker.host, broker.port, filter, '--version', version, ...more]);
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

  /** How often it lost its connection and came back. */
  get reconnections() {
    return this.#process.of('connected').length - 1;
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

  static async connect(broker, { version = 5 } = {}) {
    const producer = new Producer();
    producer.#process = start('producer', [broker.host, broker.port, '--version', version]);
    running.add(producer.#process);
    await producer.#process.event('connected');
    return producer;
  }

  send(message) {
    this.#sent++;
    this.#process.tell(message);
  }

  /**
   * Sends what `make` gives for 0, 1, …, one in `everyMs`, until `over` says so or there are `countMax`; waits until all
   * is acknowledged. Returns how many it were, and the longest time without an acknowledgement while one was due.
   */
  async sendWhile(over, make, { everyMs, countMax = Number.POSITIVE_INFINITY }) {
    let silenceMs = 0;
    let heardMs = performance.now();
    let heard = 0;
    const look = () => {
      const nowMs = performance.now();
      const { length } = this.#process.of('published');
      // Nothing is due, or something came.
      if (length !== heard || length === this.#sent) heardMs = nowMs;
      heard = length;
      silenceMs = Math.max(silenceMs, nowMs - heardMs);
    };
    let count = 0;
    let nextMs = performance.now();
    while (count < countMax && !over()) {
      for (; performance.now() >= nextMs && count < countMax; nextMs += everyMs) this.send(make(count++));
      await sleep(LOOK_MS);
      look();
    }
    const untilMs = performance.now() + ACKNOWLEDGED_MS_MAX;
    while (heard < this.#sent && performance.now() < untilMs) {
      await sleep(LOOK_MS);
      look();
    }
    return { count, silenceMs: Math.round(silenceMs) };
  }

  /** How many were acknowledged. */
  get published() {
    return this.#process.of('published').length;
  }

  /** Publishes the broker refused. */
  get refused() {
    return this.#process.of('refused').length;
  }

  /** Waits until the broker acknowledged everything sent so far. */
  async acknowledged(withinMs = ACKNOWLEDGED_MS_MAX) {
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
