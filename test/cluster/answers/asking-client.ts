import { connect, type Socket } from 'node:net';
import { generate, type Packet, parser } from 'mqtt-packet';
import type { Address } from '../../harness/server-process.ts';

/**
 * A client that publishes in a small window and takes the time of every answer. What a gateway owes is measured by what it
 * does meanwhile, and not by a clock alone: a process that was stopped, or has no processor, answers nothing at all and owes
 * nothing. But one that answers a PINGREQ has read everything that was sent before it; so a publish or a PUBREL that is
 * unanswered for longer than `owedMs`, while a PINGREQ that was sent after all this time was answered, is forgotten.
 *
 * It comes back as MQTT.js does, to the next gateway, also when it was refused. A kept session goes on with its exchanges; a
 * clean one begins them anew.
 */
export class AskingClient {
  readonly clientId: string;
  readonly isKept: boolean;
  readonly version: 4 | 5;
  readonly forgotten: Forgotten[] = [];
  /** CONNACKs by reason; 0 those that let it in. */
  readonly admissions = new Map<number, number>();
  answered = 0;
  refused = 0;
  /** Of the one that took longest. */
  slowestMs = 0;
  readonly #options: AskingClientOptions;
  #socket: Socket | undefined;
  #isOpen = false;
  #isOver = false;
  #attempt: number;
  #lastId = 0;
  #count = 0;
  #nextAtMs = 0;
  readonly #outbox = new Map<number, Asked>();
  /** Sent on this connection, not answered. */
  #pings: number[] = [];
  #heardMs = 0;
  /** For whoever reads what came of it. */
  readonly #trace: string[] = [];
  readonly #timer: NodeJS.Timeout;

  static readonly WINDOW = 4;
  static readonly LOOK_MS = 10;
  static readonly PING_MS = 1_000;
  /** As an MQTT.js client with a Keep Alive of four seconds. */
  static readonly SILENT_MS_MAX = 6_000;
  static readonly CONNECT_MS_MAX = 8_000;
  static readonly RETRY_MS = 50;
  static readonly EXPIRY_S = 3_600;
  static readonly TRACE_MAX = 60;

  constructor(clientId: string, options: AskingClientOptions) {
    this.clientId = clientId;
    this.isKept = options.isKept;
    this.version = options.version;
    this.#options = options;
    this.#attempt = options.first;
    this.#connect();
    this.#timer = setInterval(() => this.#look(), AskingClient.LOOK_MS);
  }

  describe(): string {
    return `${this.clientId}, ${this.#isOpen ? 'connected' : 'not connected'}, ${this.#outbox.size} unanswered\n  ${this.#trace.slice(-20).join('\n  ')}`;
  }

  stop(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    const targets = this.#options.targets();
    const { host, port } = targets[this.#attempt++ % targets.length] as Address;
    const socket = connect(port, host);
    this.#socket = socket;
    this.#pings = [];
    this.#noted(`connects to ${port}`);
    const incoming = parser({ protocolVersion: this.version });
    incoming.on('packet', (packet: Packet) => {
      if (this.#socket === socket) this.#take(packet);
    });
    incoming.on('error', () => socket.destroy());
    const timer = setTimeout(() => {
      if (!this.#isOpen) socket.destroy();
    }, AskingClient.CONNECT_MS_MAX);
    socket.on('connect', () => {
      this.#send({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: this.version,
        clientId: this.clientId,
        clean: !this.isKept,
        keepalive: 4,
        ...(this.isKept && this.version === 5 ? { properties: { sessionExpiryInterval: AskingClient.EXPIRY_S } } : {}),
      } as Packet);
    });
    socket.on('data', (bytes) => incoming.parse(bytes));
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      this.#noted('closed');
      this.#isOpen = false;
      if (!this.#isOver) setTimeout(() => this.#isOver || this.#connect(), AskingClient.RETRY_MS);
    });
  }

  #send(packet: Packet): void {
    if (this.#socket?.writable !== true) return;
    if (packet.cmd !== 'pingreq') this.#noted(`> ${packet.cmd} ${packet.messageId ?? ''}`);
    this.#socket.write(generate(packet, { protocolVersion: this.version }));
  }

  #take(packet: Packet): void {
    const nowMs = performance.now();
    this.#heardMs = nowMs;
    if (packet.cmd === 'pingresp') {
      this.#judge(this.#pings.shift() ?? 0, nowMs);
      return;
    }
    const code = 'reasonCode' in packet ? (packet.reasonCode ?? 0) : 0;
    this.#noted(`< ${packet.cmd} ${packet.messageId ?? ''}${code === 0 ? '' : ` 0x${code.toString(16)}`}`);
    switch (packet.cmd) {
      case 'connack':
        this.#connected(packet.sessionPresent, packet.reasonCode ?? packet.returnCode ?? 0, nowMs);
        return;
      case 'pubrec': {
        const asked = this.#outbox.get(packet.messageId as number);
        if (asked === undefined || asked.qos !== 2) return;
        this.#over(asked, nowMs);
        if (code >= 0x80) {
          this.refused++;
          this.#outbox.delete(packet.messageId as number);
          return;
        }
        asked.isReceived = true;
        asked.sentMs = nowMs;
        this.#send({ cmd: 'pubrel', messageId: packet.messageId });
        return;
      }
      case 'puback':
      case 'pubcomp': {
        const asked = this.#outbox.get(packet.messageId as number);
        if (asked === undefined || (packet.cmd === 'puback') !== (asked.qos === 1)) return;
        this.#over(asked, nowMs);
        if (packet.cmd === 'puback' && code >= 0x80) this.refused++;
        this.#outbox.delete(packet.messageId as number);
      }
    }
  }

  #over(asked: Asked, nowMs: number): void {
    this.answered++;
    this.slowestMs = Math.max(this.slowestMs, nowMs - asked.sentMs);
  }

  #connected(sessionPresent: boolean, code: number, nowMs: number): void {
    this.admissions.set(code, (this.admissions.get(code) ?? 0) + 1);
    if (code !== 0) {
      this.#socket?.destroy();
      return;
    }
    this.#isOpen = true;
    this.#heardMs = nowMs;
    if (!this.isKept || !sessionPresent) this.#outbox.clear();
    for (const [messageId, asked] of this.#outbox) {
      asked.sentMs = nowMs;
      if (asked.isReceived) this.#send({ cmd: 'pubrel', messageId });
      else this.#sendPublish(messageId, asked, true);
    }
  }

  /** A PINGREQ of then was answered. */
  #judge(pingedMs: number, nowMs: number): void {
    for (const [messageId, asked] of this.#outbox) {
      if (asked.isTold || pingedMs - asked.sentMs < this.#options.owedMs) continue;
      asked.isTold = true;
      const what = asked.isReceived ? 'PUBREL' : `PUBLISH at QoS ${asked.qos}`;
      const forgotten = {
        client: this.clientId,
        what: `${what} ${messageId}, sent ${Math.round(nowMs - asked.sentMs)} ms ago, a PINGREQ of ${Math.round(nowMs - pingedMs)} ms ago answered`,
        trace: [...this.#trace],
      };
      this.forgotten.push(forgotten);
      this.#options.forgot(forgotten);
    }
  }

  #look(): void {
    if (!this.#isOpen) return;
    const nowMs = performance.now();
    const [oldest = nowMs] = this.#pings;
    if (nowMs - Math.max(oldest, this.#heardMs) > AskingClient.SILENT_MS_MAX) {
      this.#noted('silent');
      this.#socket?.destroy();
      return;
    }
    if (nowMs - (this.#pings.at(-1) ?? 0) >= AskingClient.PING_MS) {
      this.#pings.push(nowMs);
      this.#send({ cmd: 'pingreq' });
    }
    if (nowMs < this.#nextAtMs || this.#outbox.size >= AskingClient.WINDOW) return;
    this.#nextAtMs = nowMs + this.#options.paceMs;
    do this.#lastId = (this.#lastId % 65_535) + 1;
    while (this.#outbox.has(this.#lastId));
    const { topics, qos } = this.#options;
    const topic = topics[this.#count++ % topics.length] as string;
    const asked: Asked = { topic, qos, sentMs: nowMs, isReceived: false, isTold: false };
    this.#outbox.set(this.#lastId, asked);
    this.#sendPublish(this.#lastId, asked, false);
  }

  #sendPublish(messageId: number, { topic, qos }: Asked, dup: boolean): void {
    this.#send({ cmd: 'publish', topic, payload: 'x'.repeat(200), qos, dup, retain: false, messageId });
  }

  #noted(what: string): void {
    this.#trace.push(`${new Date().toISOString().slice(11, 23)} ${what}`);
    if (this.#trace.length > AskingClient.TRACE_MAX) this.#trace.shift();
  }
}

export interface AskingClientOptions {
  version: 4 | 5;
  qos: 1 | 2;
  isKept: boolean;
  /** By turns. */
  topics: readonly string[];
  targets: () => readonly Address[];
  /** Which of the targets it tries first. */
  first: number;
  paceMs: number;
  /** Within this every publish and every PUBREL is answered, or the connection over. */
  owedMs: number;
  forgot: (forgotten: Forgotten) => void;
}

export interface Forgotten {
  readonly client: string;
  readonly what: string;
  readonly trace: readonly string[];
}

interface Asked {
  readonly topic: string;
  readonly qos: 1 | 2;
  /** When what waits for an answer was sent on this connection. */
  sentMs: number;
  /** PUBREC came, PUBREL went. */
  isReceived: boolean;
  isTold: boolean;
}
