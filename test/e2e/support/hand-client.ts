import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet';
import { until } from './until.ts';

export interface HandClientOptions {
  version?: 4 | 5;
  clientId?: string;
  receiveMaximum?: number;
  clean?: boolean;
  username?: string;
  password?: string;
  sessionExpirySeconds?: number;
  will?: { topic: string; payload: string; retain?: boolean; properties?: { willDelayInterval: number } };
}

export interface HandDelivery {
  text: string;
  /** 1 on the first delivery; later ones carry it as the user property sluice-delivery-count. */
  count: number;
  packet: IPublishPacket;
}

/**
 * A worker that answers deliveries when the test says so, with the reason code it says. MQTT.js reads nothing more while
 * it waits for the answer to one message, so what several unanswered messages do is seen only by hand.
 */
export class HandClient {
  readonly deliveries: HandDelivery[] = [];
  /** As CONNACK said. */
  sessionPresent = false;
  readonly #packets: Packet[] = [];
  readonly #socket: Socket;
  readonly #version: 4 | 5;
  #packetId = 0;

  private constructor(socket: Socket, version: 4 | 5) {
    this.#socket = socket;
    this.#version = version;
    const incoming = parser({ protocolVersion: version });
    incoming.on('packet', (packet: Packet) => this.#take(packet));
    socket.on('data', (bytes) => incoming.parse(bytes));
    socket.on('error', () => {});
  }

  static async connect(address: { host: string; port: number }, options: HandClientOptions = {}): Promise<HandClient> {
    const { version = 5, clientId = '', clean = true, receiveMaximum, sessionExpirySeconds, will, username } = options;
    const socket = connect(address.port, address.host);
    await once(socket, 'connect');
    const client = new HandClient(socket, version);
    client.#send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId,
      clean,
      keepalive: 0,
      ...(username === undefined ? {} : { username, password: Buffer.from(options.password ?? '') }),
      ...(version === 5 ? { properties: connectProperties(receiveMaximum, sessionExpirySeconds) } : {}),
      ...(will === undefined ? {} : { will: { qos: 1, retain: false, ...will, payload: Buffer.from(will.payload) } }),
    });
    const connack = await client.#answer('connack');
    client.sessionPresent = (connack as { sessionPresent?: boolean }).sessionPresent === true;
    return client;
  }

  get texts(): string[] {
    return this.deliveries.map(({ text }) => text);
  }

  get isClosed(): boolean {
    return this.#socket.destroyed || this.#socket.readableEnded;
  }

  async subscribe(filter: string, qos: 0 | 1 | 2 = 1): Promise<void> {
    this.#send({ cmd: 'subscribe', messageId: ++this.#packetId, subscriptions: [{ topic: filter, qos }] } as Packet);
    await this.#answer('suback');
  }

  async unsubscribe(filter: string): Promise<void> {
    this.#send({ cmd: 'unsubscribe', messageId: ++this.#packetId, unsubscriptions: [filter] });
    await this.#answer('unsuback');
  }

  async received(count: number, withinMs?: number): Promise<string[]> {
    const what = (): string => `${count} deliveries, there are ${this.deliveries.length}: ${this.texts}`;
    await until(() => this.deliveries.length >= count, what, withinMs);
    return this.texts;
  }

  /** PUBACK for the n-th delivery (from 0); above 0x7f it refuses, which MQTT 5 alone can. */
  ack(n: number, reasonCode = 0): void {
    const messageId = (this.deliveries[n] as HandDelivery).packet.messageId as number;
    this.#send({ cmd: 'puback', messageId, ...(this.#version === 5 ? { reasonCode } : {}) } as Packet);
  }

  ackAll(): void {
    for (let n = 0; n < this.deliveries.length; n++) this.ack(n);
  }

  /** The reason code of the answer. */
  async publishQoS1(topic: string, text: string, retain = false): Promise<number> {
    const messageId = ++this.#packetId;
    this.#send({ cmd: 'publish', topic, payload: text, qos: 1, dup: false, retain, messageId });
    const answer = await this.#answer('puback');
    return (answer as { reasonCode?: number }).reasonCode ?? 0;
  }

  /** A QoS 2 publish: PUBLISH alone, with a packet id of the test's choice. The answer is awaited. */
  async publishQoS2(topic: string, text: string, messageId: number, dup: boolean): Promise<void> {
    this.#send({ cmd: 'publish', topic, payload: text, qos: 2, dup, retain: false, messageId });
    await this.#answer('pubrec');
  }

  async releaseQoS2(messageId: number): Promise<void> {
    this.#send({ cmd: 'pubrel', messageId } as Packet);
    await this.#answer('pubcomp');
  }

  close(): void {
    this.#send({ cmd: 'disconnect' } as Packet);
    this.#socket.end();
  }

  /** As a machine that loses its power. */
  destroy(): void {
    this.#socket.destroy();
  }

  #send(packet: Packet): void {
    this.#socket.write(generate(packet, { protocolVersion: this.#version }));
  }

  async #answer(cmd: Packet['cmd']): Promise<Packet> {
    const find = (): number => this.#packets.findIndex((packet) => packet.cmd === cmd);
    await until(() => find() >= 0, cmd);
    return this.#packets.splice(find(), 1)[0] as Packet;
  }

  #take(packet: Packet): void {
    if (packet.cmd !== 'publish') {
      this.#packets.push(packet);
      return;
    }
    const properties = packet.properties?.userProperties as Record<string, string> | undefined;
    const count = Number(properties?.['sluice-delivery-count'] ?? 1);
    this.deliveries.push({ text: packet.payload.toString(), count, packet });
  }
}

function connectProperties(receiveMaximum: number | undefined, sessionExpiryInterval: number | undefined): object {
  return {
    ...(receiveMaximum === undefined ? {} : { receiveMaximum }),
    ...(sessionExpiryInterval === undefined ? {} : { sessionExpiryInterval }),
  };
}
