import { SeededPrng } from '@sluice/common/prng';
import mqtt, { type MqttClient, type Packet } from 'mqtt';
import type { RestClient } from '../harness/rest.ts';
import type { Address } from '../harness/server-process.ts';
import { type Fault, History, type QueueUnderTest } from './history.ts';
import { drawSize, hashOf, idOf, makePayload } from './payload.ts';
import type { QueueFigures } from './queue-checker.ts';

export const API = '/api/v5/message_queues/queues';
/** Publishes of one client without an answer. */
const OUTSTANDING_MAX = 16;
/** A client is back soon after the broker is. */
const RECONNECT_MS = 50;
const KEYS_PER_PUBLISHER = 4;
const POLL_MS = 50;
/** Of clients that know several addresses. */
const KEEPALIVE_S = 4;
/** A consumer that is back is attached again within this time. */
const BACK_MS = 2_000;

export interface LoadQueue extends QueueUnderTest {
  definition: Record<string, unknown>;
  /** Consumers that stay connected; a queue without one is drained at the end of a round. */
  consumers: readonly ConsumerSpec[];
}

export interface ConsumerSpec {
  version: 4 | 5;
  /** How long it works on a message before it acknowledges it. */
  workMs?: number;
}

export interface LoadSpec {
  queues: readonly LoadQueue[];
  publishers: readonly PublisherSpec[];
}

export const within = (prefix: string) => (topic: string) => topic.startsWith(prefix);

/** Shared work, a second queue on one of its topics, a backlog that nobody takes yet, and last values. */
const QUEUES: readonly LoadQueue[] = [
  {
    name: 'jobs/+',
    isLastValue: false,
    takes: within('jobs/'),
    definition: { is_lastvalue: false, dispatch_strategy: 'random' },
    consumers: [{ version: 4 }, { version: 5 }],
  },
  {
    name: 'jobs/both',
    isLastValue: false,
    takes: (topic) => topic === 'jobs/both',
    definition: { is_lastvalue: false, dispatch_strategy: 'round_robin' },
    consumers: [{ version: 5 }],
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
    consumers: [{ version: 5 }],
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

const ONE_NODE: LoadSpec = { queues: QUEUES, publishers: PUBLISHERS };

export function keysOf(name: string): string[] {
  return Array.from({ length: KEYS_PER_PUBLISHER }, (_, n) => `state/${name}${n}`);
}

export interface PublisherSpec {
  name: string;
  version: 4 | 5;
  qos: 1 | 2;
  topics: readonly string[];
  /** From one publish to the next, at least; as fast as answers come when left out. */
  paceMs?: number;
  /** Largest payload; a mixture with images now and then when left out. */
  bytesMax?: number;
}

/** Where a client connects: one address, or several to try in turn, beginning with the first. */
export type Target = Address | readonly Address[];

/**
 * Stock clients (MQTT.js) that publish and consume through everything that happens to the broker, and write down what
 * they saw. They reconnect by themselves and send again what was not answered, as applications do.
 */
export class Load {
  readonly history: History;
  readonly #spec: LoadSpec;
  readonly #targetOf: (client: number) => Target;
  readonly #publishers: Publisher[];
  readonly #consumers: Consumer[] = [];

  /** `target` may differ from client to client: clients count from 0. */
  constructor(target: Target | ((client: number) => Target), seed: number, spec: LoadSpec = ONE_NODE) {
    this.#spec = spec;
    this.history = new History(spec.queues);
    this.#targetOf = typeof target === 'function' ? target : () => target;
    let clients = 0;
    this.#publishers = spec.publishers.map(
      (publisher, n) => new Publisher(publisher, this.#targetOf(clients++), this.history, seed + n),
    );
    for (const queue of spec.queues) {
      queue.consumers.forEach(({ version, workMs = 0 }, n) => {
        const target = this.#targetOf(clients++);
        this.#consumers.push(new Consumer(`${queue.name}#${n}`, version, queue.name, target, this.history, { workMs }));
      });
    }
  }

  static async createQueues(rest: RestClient, spec: LoadSpec = ONE_NODE): Promise<void> {
    for (const { name, definition } of spec.queues) {
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
    await until(
      () =>
        `answers to all publishes; missing ${this.#publishers.map((p) => `${p.name}: ${p.outstanding}${p.outstanding > 0 ? ` (${p.state})` : ''}`).join(', ')}`,
      untilMs,
      async () => this.#publishers.every((p) => p.outstanding === 0),
    );
    const late = this.#spec.queues
      .filter(({ consumers }) => consumers.length === 0)
      .map(({ name }) => new Consumer(`${name}#late`, 5, name, this.#targetOf(0), this.history));
    let last: Map<string, QueueFigures | undefined> = new Map();
    try {
      const figures = await until(
        () => `empty queues; they are ${JSON.stringify([...last])}`,
        untilMs,
        async () => {
          last = await this.figures(rest());
          const all = [...last.values()];
          const isEmpty = (queue?: QueueFigures) => queue?.depth_messages === 0 && queue.inflight_messages === 0;
          return all.every(isEmpty) && (last as Map<string, QueueFigures>);
        },
      );
      this.history.drainsMs.push(performance.now());
      return figures;
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

  /** What one node says of each queue; undefined when it does not know. */
  async figures(rest: RestClient): Promise<Map<string, QueueFigures | undefined>> {
    const figures = new Map<string, QueueFigures | undefined>();
    for (const { name } of this.#spec.queues) {
      const answer = await rest.get(`${API}/${encodeURIComponent(`/${name}`)}/stats`).catch(() => undefined);
      const queue = answer?.status === 200 ? (answer.body as { statistics: QueueFigures | null }).statistics : null;
      figures.set(name, queue ?? undefined);
    }
    return figures;
  }

  /** From now on what is published on topics with this prefix has so many bytes; undefined: what was drawn before. */
  weigh(prefix: string, bytes: number | undefined): void {
    for (const publisher of this.#publishers) if (publisher.publishesOn(prefix)) publisher.bytes = bytes;
  }

  /** Of those that publish now: what their clients are about. */
  working(): WorkingPublisher[] {
    return this.#publishers.filter(({ startedMs }) => startedMs !== undefined) as WorkingPublisher[];
  }

  /** How many publish. */
  get publishers(): number {
    return this.#publishers.length;
  }

  /** Publishes acknowledged so far, for progress. */
  get acknowledged(): number {
    return this.history.acknowledged;
  }

  end(): void {
    for (const client of [...this.#publishers, ...this.#consumers]) client.end();
  }
}

export interface WorkingPublisher {
  readonly name: string;
  readonly clientId: string;
  readonly connected: boolean;
  readonly outstanding: number;
  readonly state: string;
  readonly startedMs: number;
}

/** Looks until it finds something; throws when the time is over. */
export async function until<T>(
  what: string | (() => string),
  untilMs: number,
  look: () => Promise<T | undefined | false>,
): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > untilMs) {
      throw new Error(`waited in vain for ${typeof what === 'string' ? what : what()}`);
    }
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
  #startedMs: number | undefined;
  #nextAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  outstanding = 0;
  /** Of its connections, PINGREQ and PINGRESP among them. */
  #lastSent = 'nothing';
  #lastReceived = 'nothing';
  /** Of each payload, when it is not drawn. */
  bytes: number | undefined;

  constructor(spec: PublisherSpec, target: Target, history: History, seed: number) {
    this.#spec = spec;
    this.#history = history;
    this.#prng = new SeededPrng(seed);
    this.#client = connect(`pub-${spec.name}`, spec.version, target);
    this.#client.on('packetsend', (packet) => {
      this.#lastSent = noteOf(packet);
      if (packet.cmd !== 'publish') return;
      const id = idOf(packet.payload as Buffer);
      this.#idByPacket.set(packet.messageId as number, id);
      this.#history.sent(id);
    });
    this.#client.on('packetreceive', (packet) => {
      this.#lastReceived = noteOf(packet);
      if (packet.cmd !== 'puback' && packet.cmd !== 'pubrec') return;
      const id = this.#idByPacket.get(packet.messageId as number);
      if (id === undefined) return;
      if ((packet.reasonCode ?? 0) < 0x80) this.#history.ok(id);
      else this.#history.fail(id);
    });
    this.#client.on('close', () => this.#idByPacket.clear());
    this.#client.on('connect', () => this.#fill());
  }

  get name(): string {
    return this.#spec.name;
  }

  get clientId(): string {
    return this.#client.options.clientId as string;
  }

  get connected(): boolean {
    return this.#client.connected;
  }

  /** Whether it is the client that stands still: one that is neither connected nor reconnecting never tries again. */
  get state(): string {
    const states = ['connected', 'reconnecting', 'disconnecting', 'disconnected'] as const;
    const held = states.filter((state) => this.#client[state]);
    return `${held.join(' and ') || 'gave up'}, sent ${this.#lastSent} last, received ${this.#lastReceived}`;
  }

  publishesOn(prefix: string): boolean {
    return this.#spec.topics.some((topic) => topic.startsWith(prefix));
  }

  /** Since when it publishes; undefined while it does not. */
  get startedMs(): number | undefined {
    return this.#startedMs;
  }

  start(): void {
    this.#startedMs = performance.now();
    this.#fill();
  }

  stop(): void {
    this.#startedMs = undefined;
    clearTimeout(this.#timer);
  }

  end(): void {
    this.stop();
    this.#client.end(true);
  }

  #fill(): void {
    const { paceMs = 0 } = this.#spec;
    while (this.#startedMs !== undefined && this.#client.connected && this.outstanding < OUTSTANDING_MAX) {
      const waitMs = this.#nextAtMs - performance.now();
      if (waitMs > 0) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#fill(), waitMs);
        return;
      }
      this.#nextAtMs = performance.now() + paceMs;
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
    const { name, bytesMax } = this.#spec;
    const place = ++this.#count;
    const id = `${name}-${place}`;
    const drawn = bytesMax === undefined ? drawSize(this.#prng) : this.#prng.below(bytesMax);
    const payload = makePayload(id, this.bytes ?? drawn);
    const isState = topic.startsWith('state/');
    const sequence = (this.#sequences.get(topic) ?? 0) + 1;
    this.#sequences.set(topic, sequence);
    this.#history.invoke(id, {
      topic,
      hash: hashOf(payload),
      publisher: name,
      place,
      ...(isState ? { key: topic, sequence } : {}),
    });
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

function noteOf(packet: Packet): string {
  const code = 'reasonCode' in packet ? (packet.reasonCode ?? 0) : 0;
  return `${packet.cmd}${code === 0 ? '' : ` 0x${code.toString(16)}`} at ${new Date().toISOString().slice(11, 23)}`;
}

/** Takes everything a queue gives, and writes it down. */
export class Consumer {
  readonly #client: MqttClient;
  #ended = false;
  accepted = 0;

  /** It acknowledges `acceptMax` deliveries, then no more; each after `workMs`. */
  constructor(
    name: string,
    version: 4 | 5,
    queue: string,
    target: Target,
    history: History,
    { acceptMax = Number.POSITIVE_INFINITY, workMs = 0 } = {},
  ) {
    this.#client = connect(`con-${name}`, version, target);
    let connection = 0;
    // What it held is given to others, also what was on its way to it.
    let lost: Fault | undefined;
    let isUsed = false;
    this.#client.on('close', () => {
      connection++;
      if (lost !== undefined || !isUsed || this.#ended) return;
      const atMs = performance.now();
      lost = {
        kind: `${name} lost its connection`,
        queue,
        fromMs: atMs - KEEPALIVE_S * 1_500,
        toMs: Number.POSITIVE_INFINITY,
      };
      history.faults.push(lost);
    });
    this.#client.on('connect', () => {
      if (lost !== undefined) lost.toMs = performance.now() + BACK_MS;
      lost = undefined;
      isUsed = true;
    });
    this.#client.handleMessage = (packet, done) => {
      const topic = packet.topic;
      const payload = packet.payload as Buffer;
      const count = deliveryCountOf(packet.properties?.userProperties);
      const seen = { queue, consumer: name, id: idOf(payload), topic, hash: hashOf(payload), count };
      const delivery = history.delivered({ ...seen, atMs: performance.now() });
      if (this.accepted >= acceptMax) return;
      this.accepted++;
      const of = connection;
      const accept = () => {
        // Its packet id means another message on the next connection.
        if (of !== connection) return;
        delivery.acceptedAtMs = performance.now();
        done();
      };
      if (workMs === 0) accept();
      else setTimeout(accept, workMs);
    };
    this.#client.on('connect', () => this.#client.subscribe(`$q/${queue}`, { qos: 1 }, () => {}));
  }

  end(): void {
    this.#ended = true;
    this.#client.end(true);
  }
}

function deliveryCountOf(properties: Record<string, string | string[]> | undefined): number {
  const count = properties?.['sluice-delivery-count'];
  return count === undefined ? 1 : Number(Array.isArray(count) ? count.at(-1) : count);
}

/** A stock client that comes back by itself; with several addresses to the next of them. */
export function connect(clientId: string, protocolVersion: 4 | 5, target: Target): MqttClient {
  const several = Array.isArray(target);
  const client = mqtt.connect({
    ...(several ? { servers: target.map((address: Address) => ({ ...address, protocol: 'mqtt' as const })) } : target),
    // A gateway that is frozen or cut off says nothing: the next one is tried soon.
    ...(several ? { connectTimeout: 2_000, keepalive: KEEPALIVE_S } : { connectTimeout: 10_000 }),
    clientId,
    protocolVersion,
    clean: true,
    reconnectPeriod: RECONNECT_MS,
    resubscribe: false,
    // An acknowledgement that could not be sent must not be sent on the next connection, where its id means another.
    queueQoSZero: false,
  });
  // Refused connections while the broker is down.
  client.on('error', () => {});
  return client;
}
