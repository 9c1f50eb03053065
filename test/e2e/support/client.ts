import type { IClientOptions, IPublishPacket, ISubscriptionGrant, MqttClient } from 'mqtt';
import mqtt from 'mqtt';
import { until } from './until.ts';

export interface ClientOptions {
  version?: 3 | 4 | 5;
  clientId?: string;
  clean?: boolean;
  username?: string;
  password?: string;
  receiveMaximum?: number;
  maximumPacketSize?: number;
  sessionExpirySeconds?: number;
  /** `ws` connects to the WebSocket listener at the same address. */
  transport?: 'mqtt' | 'ws';
  /** The reason code for a QoS 1 delivery; MQTT.js asks before it acknowledges. */
  answer?: (text: string) => number;
  /** How long it works on a message before it acknowledges it. */
  workMs?: number;
}

export interface Received {
  topic: string;
  text: string;
  qos: number;
  retain: boolean;
  dup: boolean;
  size: number;
  properties: NonNullable<IPublishPacket['properties']>;
}

export interface PublishOptions {
  qos?: 0 | 1 | 2;
  retain?: boolean;
  userProperties?: Record<string, string | string[]>;
  expirySeconds?: number;
}

/** MQTT.js, as its users use it. */
export class Client {
  readonly received: Received[] = [];
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
  }

  static async connect(address: { host: string; port: number }, options: ClientOptions = {}): Promise<Client> {
    const { version = 5, transport = 'mqtt', workMs = 0 } = options;
    const client = mqtt.connect(`${transport}://${address.host}:${address.port}${transport === 'ws' ? '/mqtt' : ''}`, {
      protocolVersion: version,
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      reconnectPeriod: 0,
      clean: options.clean ?? true,
      ...(options.clientId === undefined ? {} : { clientId: options.clientId }),
      ...(options.username === undefined ? {} : { username: options.username, password: options.password ?? '' }),
      ...(version === 5 ? { properties: connectProperties(options) } : {}),
      ...(options.answer === undefined ? {} : { customHandleAcks: answering(options.answer) }),
    } as IClientOptions);
    const self = new Client(client);
    client.handleMessage = (packet, done) => {
      self.received.push(receivedOf(packet as IPublishPacket));
      if (workMs === 0) done();
      else setTimeout(done, workMs).unref();
    };
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
      client.once('close', () => reject(new Error('closed before CONNACK')));
    });
    client.on('error', () => {});
    return self;
  }

  get texts(): string[] {
    return this.received.map(({ text }) => text);
  }

  get isConnected(): boolean {
    return this.#client.connected;
  }

  /** What was granted. Queue subscriptions at QoS 0 are what stock consumers do. */
  async subscribe(filter: string, qos: 0 | 1 | 2 = 0, identifier?: number): Promise<number> {
    const properties = identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } };
    const granted = await new Promise<ISubscriptionGrant[]>((resolve, reject) =>
      this.#client.subscribe(filter, { qos, ...properties }, (error, grants) =>
        error ? reject(error) : resolve(grants ?? []),
      ),
    );
    return granted[0]?.qos ?? 0x80;
  }

  /** In one packet. */
  async subscribeAll(filters: string[], qos: 0 | 1 | 2): Promise<void> {
    await this.#client.subscribeAsync(filters, { qos });
  }

  async unsubscribe(filter: string): Promise<void> {
    await this.#client.unsubscribeAsync(filter);
  }

  /** Resolves when it was acknowledged; rejects with the `code` of a refusal. */
  async publish(topic: string, text: string | Buffer, options: PublishOptions = {}): Promise<void> {
    const { qos = 1, retain = false, userProperties, expirySeconds } = options;
    const properties = {
      ...(userProperties === undefined ? {} : { userProperties }),
      ...(expirySeconds === undefined ? {} : { messageExpiryInterval: expirySeconds }),
    };
    await this.#client.publishAsync(topic, text, { qos, retain, properties });
  }

  async publishAll(topic: string, texts: readonly string[], options: PublishOptions = {}): Promise<void> {
    await Promise.all(texts.map((text) => this.publish(topic, text, options)));
  }

  /** Waits until `count` messages are there, and returns their texts. */
  async texted(count: number, withinMs?: number): Promise<string[]> {
    const what = (): string => `${count} messages, there are ${this.received.length}: ${this.texts.slice(0, 20)}`;
    await until(() => this.received.length >= count, what, withinMs);
    return this.texts;
  }

  async closed(): Promise<void> {
    await until(() => !this.#client.connected, 'the broker closes the connection');
  }

  /** DISCONNECT. */
  async close(): Promise<void> {
    if (this.#client.connected) await this.#client.endAsync();
    else this.#client.end(true);
  }

  /** As a machine that loses its power: its socket breaks, nothing is said. */
  destroy(): void {
    this.#client.stream.destroy();
    this.#client.end(true);
  }
}

function connectProperties(options: ClientOptions): NonNullable<IClientOptions['properties']> {
  return {
    ...(options.receiveMaximum === undefined ? {} : { receiveMaximum: options.receiveMaximum }),
    ...(options.maximumPacketSize === undefined ? {} : { maximumPacketSize: options.maximumPacketSize }),
    ...(options.sessionExpirySeconds === undefined ? {} : { sessionExpiryInterval: options.sessionExpirySeconds }),
  };
}

function answering(answer: (text: string) => number): NonNullable<IClientOptions['customHandleAcks']> {
  return (_topic, payload, _packet, done) =>
    (done as (error: Error | null, code: number) => void)(null, answer(payload.toString()));
}

function receivedOf(packet: IPublishPacket): Received {
  const payload = Buffer.from(packet.payload);
  return {
    topic: packet.topic,
    text: payload.subarray(0, 256).toString().replace(/\0+$/, ''),
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup,
    size: payload.length,
    properties: packet.properties ?? {},
  };
}
