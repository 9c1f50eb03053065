import { createConnection } from 'node:net';
import { Decoder } from '../../packages/mqtt/dist/codec/decoder.js';
import { encode } from '../../packages/mqtt/dist/codec/encoder.js';
import { PacketType } from '../../packages/mqtt/dist/codec/packet.js';

const VERSION = 4;
const PUBACK_BYTES = 4;
/** Of one client that loads a cluster; more means that something is broken. */
const CUT_OFF_MAX = 20;
/** The sequence number in the payload, and when it was published. */
const STAMP_BYTES = 16;

/**
 * MQTT 3.1.1 on a raw socket with the broker's own codec, so that the generator costs less than what it measures. All
 * packets of a chunk are handled in one go and answered by one write.
 */
class Client {
  socket;
  #decoder = new Decoder({ maximumPacketSizeBytes: 256 * 1024 * 1024, role: 'client' });
  #waiting = [];

  /** Returns its CONNACK. */
  async connect({ host, port }, clientId, { receiveBufferBytes, cleanStart = true } = {}) {
    this.socket = createConnection({ host, port, noDelay: true, highWaterMark: receiveBufferBytes });
    await new Promise((resolve, reject) => this.socket.once('connect', resolve).once('error', reject));
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => this.#receive(chunk));
    this.socket.once('close', () => {
      for (const { type, reject } of this.#waiting.splice(0)) reject(new Error(`closed before the answer (${type})`));
    });
    this.send({ type: PacketType.CONNECT, protocolVersion: VERSION, cleanStart, keepAliveS: 0, clientId });
    const connack = await this.answer(PacketType.CONNACK);
    if (connack.reasonCode !== 0) throw new Error(`refused with ${connack.reasonCode}`);
    return connack;
  }

  async want(filter, qos = 1) {
    const subscription = { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 };
    this.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [subscription] });
    const suback = await this.answer(PacketType.SUBACK);
    if (suback.reasonCodes[0] > 1) throw new Error(`the subscription was refused: ${suback.reasonCodes}`);
  }

  send(packet) {
    this.socket.write(encode(packet, VERSION));
  }

  answer(type) {
    return new Promise((resolve, reject) => this.#waiting.push({ type, resolve, reject }));
  }

  close() {
    this.socket.destroy();
  }

  #receive(chunk) {
    this.#decoder.push(chunk);
    for (let packet = this.#decoder.next(); packet !== undefined; packet = this.#decoder.next()) {
      if (packet.type === PacketType.PUBLISH || packet.type === PacketType.PUBACK) this.packet(packet);
      else {
        const at = this.#waiting.findIndex(({ type }) => type === packet.type);
        if (at !== -1) this.#waiting.splice(at, 1)[0].resolve(packet);
      }
    }
    this.chunkDone();
  }
}

/** Publishes `count` messages of QoS 1, at most `window` of them without an answer. */
class Publisher extends Client {
  acknowledged = 0;
  #sent = 0;
  #first;
  #count;
  #window;
  #template;
  #idAt;
  #payloadAt;
  #done;

  async run(address, { clientId, topic, payloadBytes, first, count, window }) {
    this.#first = first;
    this.#count = count;
    this.#window = Math.min(window, count);
    const payload = Buffer.alloc(payloadBytes, 'abcdefghijklmnopqrstuvwxyz0123456789');
    const packet = { type: PacketType.PUBLISH, topic, payload, qos: 1, retain: false, dup: false, packetId: 1 };
    this.#template = Buffer.from(encode(packet, VERSION));
    this.#payloadAt = this.#template.length - payloadBytes;
    this.#idAt = this.#payloadAt - 2;
    await this.connect(address, clientId);
    const done = new Promise((resolve, reject) => {
      this.#done = resolve;
      this.socket.once('close', () => reject(new Error(`closed after ${this.acknowledged} answers`)));
    });
    this.#publish();
    await done;
    this.close();
  }

  packet() {
    this.acknowledged++;
  }

  chunkDone() {
    if (this.#template === undefined) return;
    if (this.acknowledged === this.#count) this.#done();
    else this.#publish();
  }

  #publish() {
    const room = Math.min(this.#window - (this.#sent - this.acknowledged), this.#count - this.#sent);
    if (room <= 0) return;
    const size = this.#template.length;
    const bytes = Buffer.allocUnsafe(room * size);
    const nowMs = Date.now();
    for (let i = 0; i < room; i++) {
      const at = i * size;
      this.#template.copy(bytes, at);
      bytes.writeUInt16BE(1 + (this.#sent % 65_535), at + this.#idAt);
      bytes.writeDoubleLE(this.#first + this.#sent, at + this.#payloadAt);
      bytes.writeDoubleLE(nowMs, at + this.#payloadAt + 8);
      this.#sent++;
    }
    this.socket.write(bytes);
  }
}

/** Publishes at an even pace whether it is answered or not, and notes when answers came. */
export class PacedPublisher extends Client {
  acknowledged = 0;
  #answeredMs = [];
  #nextId = 1;
  #timer;

  async start(address, { clientId, topic, intervalMs }) {
    await this.connect(address, clientId);
    const payload = Buffer.alloc(STAMP_BYTES);
    this.#timer = setInterval(() => {
      this.send({
        type: PacketType.PUBLISH,
        topic,
        payload,
        qos: 1,
        retain: false,
        dup: false,
        packetId: this.#nextId,
      });
      this.#nextId = (this.#nextId % 65_535) + 1;
    }, intervalMs);
  }

  packet() {
    this.acknowledged++;
    this.#answeredMs.push(performance.now());
  }

  chunkDone() {}

  answeredSince(sinceMs) {
    return this.#answeredMs.length - this.#firstAfter(sinceMs);
  }

  /** Between two answers of which the later came after `sinceMs`. */
  longestGapMs(sinceMs) {
    let longest = 0;
    for (let i = Math.max(1, this.#firstAfter(sinceMs)); i < this.#answeredMs.length; i++) {
      longest = Math.max(longest, this.#answeredMs[i] - this.#answeredMs[i - 1]);
    }
    return longest;
  }

  close() {
    clearInterval(this.#timer);
    super.close();
  }

  #firstAfter(sinceMs) {
    const at = this.#answeredMs.findIndex((ms) => ms > sinceMs);
    return at === -1 ? this.#answeredMs.length : at;
  }
}

/** Consumes a queue; `acknowledges: false` takes what it is given and never answers. */
export class Consumer extends Client {
  received = 0;
  /** From the SUBSCRIBE to the first message. */
  firstMs = 0;
  /** Where what comes is noted. */
  ledger;
  #acknowledges;
  #acks = Buffer.allocUnsafe(64 * 1024);
  #ackBytes = 0;
  #subscribedMs = 0;

  /**
   * @param {{ host: string, port: number }} address
   * @param {{
   *   clientId: string,
   *   filter: string,
   *   ledger: Ledger,
   *   acknowledges?: boolean,
   *   receiveBufferBytes?: number,
   * }} options
   */
  async subscribe(address, { clientId, filter, ledger, acknowledges = true, receiveBufferBytes }) {
    this.ledger = ledger;
    this.#acknowledges = acknowledges;
    await this.connect(address, clientId, { receiveBufferBytes });
    this.#subscribedMs = performance.now();
    await this.want(filter);
  }

  packet({ packetId, payload }) {
    if (this.received++ === 0) this.firstMs = performance.now() - this.#subscribedMs;
    if (payload.length >= STAMP_BYTES) this.ledger.note(payload);
    if (!this.#acknowledges || packetId === 0) return;
    if (this.#ackBytes + PUBACK_BYTES > this.#acks.length) this.#flush();
    const at = this.#ackBytes;
    this.#acks[at] = 0x40;
    this.#acks[at + 1] = 2;
    this.#acks.writeUInt16BE(packetId, at + 2);
    this.#ackBytes += PUBACK_BYTES;
  }

  chunkDone() {
    this.#flush();
  }

  #flush() {
    if (this.#ackBytes === 0) return;
    this.socket.write(Buffer.from(this.#acks.subarray(0, this.#ackBytes)));
    this.#ackBytes = 0;
  }
}

/** A client whose session is kept: it comes, may subscribe, and goes; what waits for it is counted. */
export class Visitor extends Client {
  received = 0;
  isPresent = false;
  /** From CONNECT to CONNACK. */
  connectMs = 0;

  async come(address, clientId, filter) {
    const startedMs = performance.now();
    this.isPresent = (await this.connect(address, clientId, { cleanStart: false })).sessionPresent;
    this.connectMs = performance.now() - startedMs;
    if (filter !== undefined) await this.want(filter);
    return this;
  }

  /** Resolves when the broker has ended the connection. */
  async go() {
    if (this.socket.closed) return;
    const gone = new Promise((resolve) => this.socket.once('close', resolve));
    this.send({ type: PacketType.DISCONNECT, reasonCode: 0 });
    await gone;
  }

  packet({ packetId }) {
    this.received++;
    if (packetId !== 0) this.send({ type: PacketType.PUBACK, packetId, reasonCode: 0 });
  }

  chunkDone() {}
}

/** Keeps a value of each of its topics at the broker, at most `window` of them without an answer. */
export class Retainer extends Client {
  acknowledged = 0;
  #wanted = 0;
  #wake = () => {};

  /**
   * Whoever is cut off, because a store moved or did not answer in time, publishes again what was not acknowledged, as
   * QoS 1 asks. Returns how often that was.
   */
  static async fill(address, clientId, topics, payload) {
    let left = [...topics];
    for (let cutOff = 0; ; cutOff++) {
      const retainer = new Retainer();
      try {
        await retainer.#fill(address, clientId, left, payload);
        return cutOff;
      } catch (cause) {
        retainer.close();
        if (cutOff === CUT_OFF_MAX) throw cause;
        left = left.slice(retainer.acknowledged);
      }
    }
  }

  async #fill(address, clientId, topics, payload, window = 256) {
    await this.connect(address, clientId);
    let packetId = 0;
    for (const topic of topics) {
      packetId = (packetId % 65_535) + 1;
      this.send({ type: PacketType.PUBLISH, topic, payload, qos: 1, retain: true, dup: false, packetId });
      this.#wanted++;
      if (this.#wanted - this.acknowledged >= window) await this.#answers(this.#wanted - window / 2);
    }
    await this.#answers(this.#wanted);
    this.close();
  }

  packet() {
    this.acknowledged++;
  }

  chunkDone() {
    this.#wake();
  }

  #answers(count) {
    return new Promise((resolve, reject) => {
      const look = () => this.acknowledged >= count && resolve();
      this.#wake = look;
      this.socket.once('close', () => reject(new Error(`closed after ${this.acknowledged} answers`)));
      look();
    }).finally(() => this.socket.removeAllListeners('close'));
  }
}

/** Which sequence numbers came, and how often: what "exactly once" is counted with. */
export class Ledger {
  seen = 0;
  duplicates = 0;
  foreign = 0;
  latenciesMs = [];
  #counts;
  #views = new DataView(new ArrayBuffer(0));

  constructor(count) {
    this.#counts = new Uint8Array(count);
  }

  note(payload) {
    this.#views = new DataView(payload.buffer, payload.byteOffset, STAMP_BYTES);
    const sequence = this.#views.getFloat64(0, true);
    if (!(sequence >= 0 && sequence < this.#counts.length)) {
      this.foreign++;
      return;
    }
    if (sequence % 64 === 0) this.latenciesMs.push(Date.now() - this.#views.getFloat64(8, true));
    if (this.#counts[sequence]++ === 0) this.seen++;
    else this.duplicates++;
  }

  has(sequence) {
    return this.#counts[sequence] > 0;
  }

  get complete() {
    return this.seen === this.#counts.length;
  }

  quantileMs(share) {
    const sorted = this.latenciesMs.sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  }
}

/**
 * `count` messages from `connections` publishers side by side, which take turns at `addresses`: one, or a list.
 *
 * @param {{ host: string, port: number } | { host: string, port: number }[]} addresses
 * @param {{
 *   topic: string,
 *   payloadBytes: number,
 *   count: number,
 *   connections: number,
 *   window: number,
 *   onProgress?: (acknowledged: number) => unknown,
 * }} options
 */
export async function publish(addresses, { topic, payloadBytes, count, connections, window, onProgress }) {
  const publishers = [];
  const runs = [];
  const targets = [addresses].flat();
  let first = 0;
  for (let i = 0; i < connections; i++) {
    const share = Math.floor(count / connections) + (i < count % connections ? 1 : 0);
    const publisher = new Publisher();
    publishers.push(publisher);
    const address = targets[i % targets.length];
    runs.push(publisher.run(address, { clientId: `publisher-${i}`, topic, payloadBytes, first, count: share, window }));
    first += share;
  }
  const timer = setInterval(() => onProgress?.(publishers.reduce((sum, p) => sum + p.acknowledged, 0)), 1000);
  try {
    await Promise.all(runs);
  } finally {
    clearInterval(timer);
  }
}

/** Resolves when `condition` holds; throws after `timeoutMs`. */
export async function until(what, condition, timeoutMs, everyMs = 20) {
  const endMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`within ${timeoutMs / 1000} s this did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
