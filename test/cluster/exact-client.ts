import { connect, type Socket } from 'node:net';
import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet';
import type { Address } from '../harness/server-process.ts';

/**
 * A client that does to the letter what MQTT says of QoS 1 and 2 and of sessions, and notes where its server does not. What
 * it holds outlives its connections: what it publishes until PUBACK or PUBCOMP, and packet ids of what it received until
 * PUBREL. It connects again by itself, to the next gateway, for as long as it is not told to stop or to stay away.
 */
export class ExactClient {
  readonly clientId: string;
  /** Handed on to its user, in their order: at QoS 2 each message when its packet id is new. */
  readonly received: string[] = [];
  /** PUBACK or PUBCOMP came. */
  readonly completed: string[] = [];
  readonly violations: string[] = [];
  /** Connections that were let in, and then lost. */
  readonly losses: Loss[] = [];
  connections = 0;
  /** Exchanges that were begun on another connection than they ended on. */
  resumed = 0;
  /** Whether its last connection found its session. */
  wasPresent = false;
  readonly qos: 1 | 2;
  readonly #version: 4 | 5;
  readonly #expiryS: number | undefined;
  readonly #willDelayS: number | undefined;
  readonly #isOnce: (text: string) => boolean;
  readonly #targets: () => readonly Address[];
  readonly #filter: string | undefined;
  readonly #willTopic: string | undefined;
  readonly #outbox = new Map<number, Outgoing>();
  readonly #inbox = new Map<number, Incoming>();
  /** At QoS 1: on which connection a message came last. */
  readonly #lastConnection = new Map<string, number>();
  #socket: Socket | undefined;
  #isOpen = false;
  #isSubscribed = false;
  #isOver = false;
  #isAway = false;
  #isClosed = false;
  #lastId = 0;
  #attempt = 0;

  /** What it publishes at once. */
  static readonly WINDOW = 8;
  static readonly RETRY_MS = 50;
  /** Longer than any run. */
  static readonly EXPIRY_S = 3_600;
  /** A server that takes so long to let it in has lost it. */
  static readonly CONNECT_MS_MAX = 8_000;

  constructor(clientId: string, options: ExactClientOptions) {
    this.clientId = clientId;
    this.#version = options.version;
    this.qos = options.qos ?? 2;
    this.#expiryS = options.expiryS;
    this.#willDelayS = options.willDelayS;
    this.#isOnce = options.isOnce ?? (() => true);
    this.#targets = options.targets;
    this.#filter = options.filter;
    this.#willTopic = options.willTopic;
    this.#attempt = options.first;
    this.#connect();
  }

  get isReady(): boolean {
    return this.#isOpen && (this.#filter === undefined || this.#isSubscribed);
  }

  /** Room for another publish. */
  get hasRoom(): boolean {
    return this.#isOpen && this.#outbox.size < ExactClient.WINDOW;
  }

  get unfinished(): number {
    return this.#outbox.size;
  }

  /** What the wills of its lost connections say. */
  get wills(): string[] {
    return this.losses.map(({ will }) => will);
  }

  publish(topic: string, text: string): void {
    do this.#lastId = (this.#lastId % 65_535) + 1;
    while (this.#outbox.has(this.#lastId));
    const outgoing = { topic, text, isReceived: false, connection: this.connections };
    this.#outbox.set(this.#lastId, outgoing);
    this.#sendPublish(this.#lastId, outgoing, false);
  }

  /** As a machine that loses its power, and comes back with everything it had. */
  cut(): void {
    this.#socket?.destroy();
  }

  /** Cut, and stays away until it is told to come back. */
  cutAway(): void {
    this.#isAway = true;
    this.#socket?.destroy();
  }

  /** Says farewell, and stays away until it is told to come back. */
  leave(): void {
    this.#isAway = true;
    this.#isOpen = false;
    this.#send({ cmd: 'disconnect' });
    this.#socket?.end();
  }

  comeBack(): void {
    this.#isAway = false;
    if (this.#isClosed) this.#connect();
  }

  stop(): void {
    this.#isOver = true;
    this.#socket?.destroy();
  }

  #connect(): void {
    const targets = this.#targets();
    const attempt = this.#attempt++;
    const { host, port } = targets[attempt % targets.length] as Address;
    const will = `${this.clientId}#${attempt}`;
    const socket = connect(port, host);
    this.#socket = socket;
    this.#isClosed = false;
    const incoming = parser({ protocolVersion: this.#version });
    incoming.on('packet', (packet: Packet) => this.#take(packet));
    incoming.on('error', (error: Error) => this.#violated(`sent what cannot be read: ${error.message}`));
    const timer = setTimeout(() => {
      if (!this.#isOpen) socket.destroy();
    }, ExactClient.CONNECT_MS_MAX);
    socket.on('connect', () => this.#send(this.#connectPacket(will)));
    socket.on('data', (bytes) => incoming.parse(bytes));
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      this.#isClosed = true;
      if (this.#isOpen && !this.#isOver) this.losses.push({ will, atMs: performance.now(), backMs: undefined });
      this.#isOpen = false;
      if (this.#isOver || this.#isAway) return;
      setTimeout(() => {
        if (!this.#isOver && !this.#isAway) this.#connect();
      }, ExactClient.RETRY_MS);
    });
  }

  #connectPacket(will: string): Packet {
    const topic = this.#willTopic;
    const delay = this.#willDelayS === undefined ? {} : { properties: { willDelayInterval: this.#willDelayS } };
    return {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: this.#version,
      clientId: this.clientId,
      clean: false,
      keepalive: 0,
      ...(this.#version === 5 ? { properties: { sessionExpiryInterval: this.#expiryS ?? ExactClient.EXPIRY_S } } : {}),
      ...(topic === undefined ? {} : { will: { topic, payload: Buffer.from(will), qos: 2, retain: false, ...delay } }),
    };
  }

  #send(packet: Packet): void {
    if (this.#socket?.writable === true) {
      this.#socket.write(generate(packet, { protocolVersion: this.#version }));
    }
  }

  #sendPublish(messageId: number, { topic, text }: Outgoing, dup: boolean): void {
    this.#send({ cmd: 'publish', topic, payload: text, qos: this.qos, dup, retain: false, messageId });
  }

  #take(packet: Packet): void {
    switch (packet.cmd) {
      case 'connack':
        this.#connected(packet.sessionPresent, packet.reasonCode ?? packet.returnCode ?? 0);
        return;
      case 'suback':
        if (packet.granted[0] !== this.qos) this.#violated(`granted ${packet.granted[0]}`);
        this.#isSubscribed = true;
        return;
      case 'publish':
        this.#arrived(packet);
        return;
      case 'pubrel':
        this.#inbox.delete(packet.messageId as number);
        this.#send({ cmd: 'pubcomp', messageId: packet.messageId });
        return;
      case 'pubrec':
        this.#answered(packet.messageId as number, packet.reasonCode ?? 0);
        return;
      case 'puback':
      case 'pubcomp': {
        const outgoing = this.#outbox.get(packet.messageId as number);
        if (outgoing === undefined) return;
        if (packet.cmd === 'puback' && (packet.reasonCode ?? 0) >= 0x80) {
          this.#violated(`${outgoing.text} was refused with ${packet.reasonCode}`);
        }
        if (packet.cmd === 'pubcomp' && !outgoing.isReceived)
          this.#violated(`PUBCOMP for ${outgoing.text} before its PUBREL`);
        if (outgoing.connection !== this.connections) this.resumed++;
        this.#outbox.delete(packet.messageId as number);
        this.completed.push(outgoing.text);
      }
    }
  }

  #connected(sessionPresent: boolean, code: number): void {
    if (code !== 0) {
      this.#socket?.destroy();
      return;
    }
    const mustBePresent = this.connections > 0 && (this.#expiryS ?? ExactClient.EXPIRY_S) >= ExactClient.EXPIRY_S;
    this.wasPresent = sessionPresent;
    const loss = this.losses.at(-1);
    if (loss !== undefined) loss.backMs ??= performance.now();
    if (mustBePresent && !sessionPresent) this.#violated('the session is gone');
    this.connections++;
    this.#isOpen = true;
    if (this.#filter !== undefined && !this.#isSubscribed) {
      this.#send({
        cmd: 'subscribe',
        messageId: 65_535,
        subscriptions: [{ topic: this.#filter, qos: this.qos }],
      } as Packet);
    }
    for (const [messageId, outgoing] of this.#outbox) {
      if (outgoing.isReceived) this.#send({ cmd: 'pubrel', messageId });
      else this.#sendPublish(messageId, outgoing, true);
    }
  }

  #arrived({ messageId: id, payload, dup, qos }: IPublishPacket): void {
    const text = payload.toString();
    const messageId = id as number;
    const isLower = qos === 1 && !this.#isOnce(text);
    if (qos !== this.qos && !isLower) this.#violated(`${text} came at QoS ${qos}`);
    if (qos === 1) {
      this.#taken(messageId, text);
      return;
    }
    const known = this.#inbox.get(messageId);
    if (known === undefined) this.received.push(text);
    else if (known.text !== text) this.#violated(`${text} came under the packet id that ${known.text} has`);
    else if (!dup) this.#violated(`${text} came again without DUP`);
    else if (known.connection === this.connections) this.#violated(`${text} came twice on one connection`);
    if (known !== undefined) this.resumed++;
    this.#inbox.set(messageId, { text, connection: this.connections });
    this.#send({ cmd: 'pubrec', messageId });
  }

  /** At least once: again only when the connection was lost in between. */
  #taken(messageId: number, text: string): void {
    const isAgain = this.#lastConnection.get(text) === this.connections;
    if (isAgain && this.#isOnce(text)) this.#violated(`${text} came twice on one connection`);
    this.#lastConnection.set(text, this.connections);
    this.received.push(text);
    this.#send({ cmd: 'puback', messageId });
  }

  #answered(messageId: number, code: number): void {
    const outgoing = this.#outbox.get(messageId);
    if (outgoing === undefined) return;
    if (code >= 0x80) {
      this.#violated(`${outgoing.text} was refused with ${code}`);
      this.#outbox.delete(messageId);
      return;
    }
    outgoing.isReceived = true;
    this.#send({ cmd: 'pubrel', messageId });
  }

  #violated(what: string): void {
    this.violations.push(`${this.clientId}: ${what}`);
  }
}

export interface ExactClientOptions {
  version: 4 | 5;
  targets: () => readonly Address[];
  /** Of what it publishes, and of its subscription. */
  qos?: 1 | 2;
  filter?: string;
  willTopic?: string;
  willDelayS?: number;
  /** An hour by default, in which the session must be there again. Of a shorter one nothing is assumed. */
  expiryS?: number;
  /** Of a message: whether it was published at QoS 2; all are, unless it is said. */
  isOnce?: (text: string) => boolean;
  /** Which of the targets it tries first. */
  first: number;
}

export interface Loss {
  /** What the will of that connection says. */
  readonly will: string;
  readonly atMs: number;
  /** It was let in again. */
  backMs: number | undefined;
}

interface Outgoing {
  readonly topic: string;
  readonly text: string;
  /** PUBREC came. */
  isReceived: boolean;
  readonly connection: number;
}

interface Incoming {
  readonly text: string;
  readonly connection: number;
}
