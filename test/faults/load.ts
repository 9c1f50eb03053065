import { SeededPrng } from '@sluice/common/prng';
import mqtt, { type MqttClient } from 'mqtt';
import type { RestClient } from '../harness/rest.ts';
import type { Address } from '../harness/server-process.ts';
import { type Delivery, History, type QueueUnderTest } from './history.ts';
import { drawSize, hashOf, idOf, makePayload } from './payload.ts';
import type { QueueFigures } from './queue-checker.ts';

export const API = '/api/v5/message_queues/queues';
/** Publishes of one client without an answer. */
const OUTSTANDING_MAX = 16;
/** A client is back soon after the broker is. */
const RECONNECT_MS = 50;
const KEYS_PER_PUBLISHER = 4;
const POLL_MS = 50;

interface LoadQueue extends QueueUnderTest {
  definition: Record<string, unknown>;
  /** Consumers that stay connected; a queue without one is drained at the end of a round. */
  consumers: readonly (4 | 5)[];
}

const within = (prefix: string) => (topic: string) => topic.startsWith(prefix);

/** Shared work, a second queue on one of its topics, a backlog that nobody takes yet, and last values. */
const QUEUES: readonly LoadQueue[] = [
  {
    name: 'jobs/+',
    isLastValue: false,
    takes: within('jobs/'),
    definition: { is_lastvalue: false, dispatch_strategy: 'random' },
    consumers: [4, 5],
  },
  {
    name: 'jobs/both',
    isLastValue: false,
    takes: (topic) => topic === 'jobs/both',
    definition: { is_lastvalue: false, dispatch_strategy: 'round_robin' },
    consumers: [5],
  },
  {
    name: 'later/+',
    isLastValue: false,
    takes: within('later/'),
    definition: { is_lastvalue: false, dispatch_strategy: 'least_inflight' },
    consumers: [],
  },
  {
    name: 'state/+',
    isLastValue: true,
    takes: within('state/'),
    definition: { is_lastvalue: true, key_expression: 'message.topic', dispatch_strategy: 'random' },
    consumers: [5],
  },
];

const PUBLISHERS: readonly PublisherSpec[] = [
  { name: 'a', version: 4, qos: 1, topics: ['jobs/a', 'jobs/both'] },
  { name: 'b', version: 5, qos: 1, topics: ['jobs/b', 'jobs/both'] },
  { name: 'c', version: 4, qos: 2, topics: ['jobs/c'] },
  { name: 'd', version: 5, qos: 2, topics: ['jobs/d', 'jobs/both'] },
  { name: 'e', version: 5, qos: 1, topics: ['later/e'] },
  { name: 'f', version: 4, qos: 2, topics: ['later/f'] },
  { name: 'g', version: 5, qos: 1, topics: keysOf('g') },
  { name: 'h', version: 4, qos: 1, topics: keysOf('h') },
];

function keysOf(name: string): string[] {
  return Array.from({ length: KEYS_PER_PUBLISHER }, (_, n) => `state/${name}${n}`);
}

interface PublisherSpec {
  name: string;
  version: 4 | 5;
  qos: 1 | 2;
  topics: readonly string[];
}

/**
 * Stock clients (MQTT.js) that publish and consume through everything that happens to the broker, and write down what
 * they saw. They reconnect by themselves and send again what was not answered, as applications do.
 */
export class Load {
  readonly history = new History(QUEUES);
  readonly #address: Address;
  readonly #publishers: Publisher[];
  readonly #consumers: Consumer[] = [];

  constructor(address: Address, seed: number) {
    this.#address = address;
    this.#publishers = PUBLISHERS.map((spec, n) => new Publisher(spec, address, this.history, seed + n));
    for (const queue of QUEUES) {
      queue.consumers.forEach((version, n) => {
        this.#consumers.push(new Consumer(`${queue.name}#${n}`, version, queue.name, address, this.history));
      });
    }
  }

  static async createQueues(rest: RestClient): Promise<void> {
    for (const { name, definition } of QUEUES) {
      const { status, body } = await rest.post(API, { topic_filter: name, ...definition });
      if (status >= 300) throw new Error(`the queue ${name} was refused: ${status} ${JSON.stringify(body)}`);
    }
  }

  start(): void {
    for (const publisher of this.#publishers) publisher.start();
  }

  /**
   * No new publishes; waits until every one has its answer, a consumer has emptied the backlog, and the broker's own
   * figures say that nothing is left.
   */
  async drain(rest: () => RestClient, withinMs: number): Promise<Map<string, QueueFigures>> {
    const untilMs = performance.now() + withinMs;
    this.stop();
    await until('answers to all publishes', untilMs, async () => this.#publishers.every((p) => p.outstanding === 0));
    const late = QUEUES.filter(({ consumers }) => consumers.length === 0).map(
      ({ name }) => new Consumer(`${name}#late`, 5, name, this.#address, this.history),
    );
    try {
      return await until('empty queues', untilMs, async () => await drained(rest()));
    } finally {
      for (const consumer of late) consumer.end();
    }
  }

  /** No new publishes. */
  stop(): void {
    for (const publisher of this.#publishers) publisher.stop();
  }

  fault(kind: string, fromMs: number): void {
    this.history.faults.push({ kind, fromMs, toMs: performance.now() });
  }

  /** Publishes acknowledged so far, for progress. */
  get acknowledged(): number {
    return this.history.acknowledged;
  }

  end(): void {
    for (const client of [...this.#publishers, ...this.#consumers]) client.end();
  }
}

async function drained(rest: RestClient): Promise<Map<string, QueueFigures> | undefined> {
  const figures = new Map<string, QueueFigures>();
  for (const { name } of QUEUES) {
    const { status, body } = await rest.get(`${API}/${encodeURIComponent(`/${name}`)}/stats`);
    if (status !== 200) return undefined;
    const queue = (body as { statistics: QueueFigures }).statistics;
    if (queue.depth_messages > 0 || queue.inflight_messages > 0) return undefined;
    figures.set(name, queue);
  }
  return figures;
}

/** Looks until it finds something; throws when the time is over. */
export async function until<T>(what: string, untilMs: number, look: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > untilMs) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

class Publisher {
  readonly #spec: PublisherSpec;
  readonly #history: History;
  readonly #prng: SeededPrng;
  readonly #client: MqttClient;
  /** The packet id a message has on this connection, for answers. */
  readonly #idByPacket = new Map<number, string>();
  readonly #sequences = new Map<string, number>();
  readonly #busyKeys = new Set<string>();
  #count = 0;
  #running = false;
  outstanding = 0;

  constructor(spec: PublisherSpec, address: Address, history: History, seed: number) {
    this.#spec = spec;
    this.#history = history;
    this.#prng = new SeededPrng(seed);
    this.#client = connect(`pub-${spec.name}`, spec.version, address);
    this.#client.on('packetsend', (packet) => {
      if (packet.cmd !== 'publish') return;
      const id = idOf(packet.payload as Buffer);
      this.#idByPacket.set(packet.messageId as number, id);
      this.#history.sent(id);
    });
    this.#client.on('packetreceive', (packet) => {
      if (packet.cmd !== 'puback' && packet.cmd !== 'pubrec') return;
      const id = this.#idByPacket.get(packet.messageId as number);
      if (id === undefined) return;
      if ((packet.reasonCode ?? 0) < 0x80) this.#history.ok(id);
      else this.#history.fail(id);
    });
    this.#client.on('close', () => this.#idByPacket.clear());
    this.#client.on('connect', () => this.#fill());
  }

  start(): void {
    this.#running = true;
    this.#fill();
  }

  stop(): void {
    this.#running = false;
  }

  end(): void {
    this.stop();
    this.#client.end(true);
  }

  #fill(): void {
    while (this.#running && this.#client.connected && this.outstanding < OUTSTANDING_MAX) {
      const topic = this.#draw();
      if (topic === undefined) return;
      this.#publish(topic);
    }
  }

  /** Values of one key are published one after the other: what is sent again must not overtake what came later. */
  #draw(): string | undefined {
    const free = this.#spec.topics.filter((topic) => !this.#busyKeys.has(topic));
    return free.length === 0 ? undefined : free[this.#prng.below(free.length)];
  }

  #publish(topic: string): void {
    const id = `${this.#spec.name}-${++this.#count}`;
    const payload = makePayload(id, drawSize(this.#prng));
    const isState = topic.startsWith('state/');
    const sequence = (this.#sequences.get(topic) ?? 0) + 1;
    this.#sequences.set(topic, sequence);
    this.#history.invoke(id, { topic, hash: hashOf(payload), ...(isState ? { key: topic, sequence } : {}) });
    if (isState) this.#busyKeys.add(topic);
    this.outstanding++;
    this.#client.publish(topic, payload, { qos: this.#spec.qos }, (error) => {
      this.outstanding--;
      this.#busyKeys.delete(topic);
      if (error) this.#history.fail(id);
      setImmediate(() => this.#fill());
    });
  }
}

/** Takes everything a queue gives, and writes it down. */
export class Consumer {
  readonly #client: MqttClient;
  accepted = 0;

  /** It acknowledges `acceptMax` deliveries, then no more. */
  constructor(
    name: string,
    version: 4 | 5,
    queue: string,
    address: Address,
    history: History,
    acceptMax: number = Number.POSITIVE_INFINITY,
  ) {
    this.#client = connect(`con-${name}`, version, address);
    const noted = new WeakMap<object, Delivery>();
    this.#client.on('message', (topic, payload, packet) => {
      const seen = { queue, consumer: name, id: idOf(payload), topic, hash: hashOf(payload) };
      noted.set(packet, history.delivered({ ...seen, atMs: performance.now() }));
    });
    this.#client.handleMessage = (packet, done) => {
      if (this.accepted >= acceptMax) return;
      this.accepted++;
      const delivery = noted.get(packet);
      if (delivery !== undefined) delivery.acceptedAtMs = performance.now();
      done();
    };
    this.#client.on('connect', () => this.#client.subscribe(`$q/${queue}`, { qos: 1 }, () => {}));
  }

  end(): void {
    this.#client.end(true);
  }
}

/** A stock client that comes back by itself. */
export function connect(clientId: string, protocolVersion: 4 | 5, { host, port }: Address): MqttClient {
  const client = mqtt.connect({
    host,
    port,
    clientId,
    protocolVersion,
    clean: true,
    reconnectPeriod: RECONNECT_MS,
    connectTimeout: 10_000,
    resubscribe: false,
    // An acknowledgement that could not be sent must not be sent on the next connection, where its id means another.
    queueQoSZero: false,
  });
  // Refused connections while the broker is down.
  client.on('error', () => {});
  return client;
}
