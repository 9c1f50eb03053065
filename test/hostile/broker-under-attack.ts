import {
  type ConnectPacket,
  type Packet,
  PacketType,
  type ProtocolVersion,
  type PublishPacket,
} from '@sluice/mqtt/codec/packet';
import type { RestClient } from '../harness/rest.ts';
import { type ServerOptions, ServerProcess } from '../harness/server-process.ts';
import { RawClient, type Transport } from './raw-client.ts';

const QUEUES = '/api/v5/message_queues/queues';

/** What a bug leaves in a log: an assertion, a stack, a promise nobody waited for, anything called an error. */
const TRACES_OF_A_BUG = [/AssertionFailed/, /unhandled/i, /uncaught/i, /\n?\s+at .*:\d+:\d+/, /"level":"error"/];

/**
 * The built broker with every listener on, and the question that ends every case: does it still serve somebody who does
 * nothing wrong, and is its log free of traces of a bug?
 */
export class BrokerUnderAttack {
  readonly server: ServerProcess;
  #clients = 0;
  readonly #open = new Set<RawClient>();
  readonly #credentials: Partial<ConnectPacket>;

  private constructor(server: ServerProcess, credentials: Partial<ConnectPacket>) {
    this.server = server;
    this.#credentials = credentials;
  }

  /** @param credentials of whoever does nothing wrong. */
  static async start(
    options: ServerOptions = {},
    credentials: Partial<ConnectPacket> = {},
  ): Promise<BrokerUnderAttack> {
    const server = await ServerProcess.start({ ...options, flags: ['--ws', '127.0.0.1:0', ...(options.flags ?? [])] });
    const broker = new BrokerUnderAttack(server, credentials);
    await broker.createQueue({ topic_filter: 'alive', is_lastvalue: false });
    return broker;
  }

  async dispose(): Promise<void> {
    this.hangUp();
    await this.server.dispose();
  }

  get rest(): RestClient {
    return this.server.rest();
  }

  async createQueue(queue: Record<string, unknown>): Promise<void> {
    const answer = await this.rest.post(QUEUES, queue);
    if (answer.status !== 200) throw new Error(`no queue: ${JSON.stringify(answer.body)}`);
  }

  async open(transport: Transport = 'tcp'): Promise<RawClient> {
    const client = await RawClient.open(this.server.address(transport === 'ws' ? 'ws' : 'mqtt'), transport);
    this.#open.add(client);
    return client;
  }

  /** Connected under a name of its own. */
  async client(version: ProtocolVersion = 5, transport: Transport = 'tcp'): Promise<RawClient> {
    const client = await this.open(transport);
    const connack = await client.hello(`c${++this.#clients}`, version, this.#credentials);
    if (connack.type !== PacketType.CONNACK || connack.reasonCode !== 0) throw new Error('not admitted');
    return client;
  }

  /** Ends every connection that was opened here. */
  hangUp(): void {
    for (const client of this.#open) client.destroy();
    this.#open.clear();
  }

  /** A fresh client publishes into a queue and gets it back. */
  async stillServes(): Promise<void> {
    const client = await this.client();
    const payload = Buffer.from(`alive ${this.#clients}`);
    client.send(publishing('alive', { qos: 1, packetId: 1, payload }));
    client.send(subscribing(['$q/alive'], { packetId: 2 }));
    let delivered = false;
    let acknowledged = false;
    while (!delivered || !acknowledged) {
      const packet = await client.next();
      if (packet.type === PacketType.PUBACK) acknowledged = packet.reasonCode === 0;
      if (packet.type === PacketType.PUBLISH) {
        delivered = Buffer.compare(packet.payload, payload) === 0;
        client.send({ type: PacketType.PUBACK, packetId: packet.packetId, reasonCode: 0 });
      }
    }
    // Answered by the broker behind our acknowledgement: nothing of this client is left in the queue.
    client.send({ type: PacketType.PINGREQ });
    while ((await client.next()).type !== PacketType.PINGRESP);
    client.destroy();
    this.#open.delete(client);
    this.expectNoBug();
  }

  expectNoBug(): void {
    const { log } = this.server;
    for (const trace of TRACES_OF_A_BUG) {
      const found = trace.exec(log);
      if (found !== null)
        throw new Error(`the log has ${trace}: ${log.slice(Math.max(0, found.index - 300)).slice(0, 1_500)}`);
    }
  }

  /** The sum of a metric's rows whose labels contain these. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    let sum = 0;
    for (const [row, value] of await this.metrics(name)) {
      if (Object.entries(labels).every(([label, text]) => row.includes(`${label}="${text}"`))) sum += value;
    }
    return sum;
  }

  /** Rows of a metric by their labels, as they stand on the page. */
  async metrics(name: string): Promise<Map<string, number>> {
    const page = String((await this.server.rest('anonymous').get('/metrics')).body);
    const rows = new Map<string, number>();
    for (const line of page.split('\n')) {
      const found = /^(\w+)(\{.*\})? (\S+)$/.exec(line);
      if (found?.[1] === name) rows.set(found[2] ?? '', Number(found[3]));
    }
    return rows;
  }

  async until(what: string, condition: () => Promise<boolean>, withinMs = 15_000): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Waits until a metric has risen by `by` above what it was. */
  async untilRisen(before: number, by: number, name: string, labels: Record<string, string> = {}): Promise<void> {
    let now = before;
    await this.until(`${name} ${JSON.stringify(labels)} risen by ${by} from ${before}`, async () => {
      now = await this.metric(name, labels);
      return now >= before + by;
    });
  }

  /** Of the broker's process, as Linux sees it. */
  async residentMb(): Promise<number> {
    return (await this.metric('sluice_process_resident_memory_bytes')) / 1e6;
  }
}

export function publishing(topic: string, more: Partial<PublishPacket> = {}): PublishPacket {
  const payload = new Uint8Array(0);
  return { type: PacketType.PUBLISH, topic, payload, qos: 0, retain: false, dup: false, packetId: 0, ...more };
}

export function subscribing(filters: string[], more: { packetId?: number; qos?: 0 | 1 | 2 } = {}): Packet {
  const { packetId = 1, qos = 1 } = more;
  return {
    type: PacketType.SUBSCRIBE,
    packetId,
    subscriptions: filters.map((filter) => ({
      filter,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    })),
  };
}
