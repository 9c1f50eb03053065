import { randomBytes } from 'node:crypto';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type Packet, PacketType, type QoS } from '@sluice/mqtt/codec/packet';
import type { PublisherLink, PublishingLink } from '../load/driver.ts';
import type { Outbox } from '../load/outbox.ts';
import { STAMP_BYTES } from '../load/stamp.ts';
import type { MqttConnection, PacketReader } from './mqtt-connection.ts';

/** A larger payload is not copied for each message: all of them share the bytes behind the stamp. */
const SHARED_BYTES_MIN = 8 * 1024;
const PACKET_IDS = 65_535;
/** First byte, remaining length, the topic's length, packet id, no properties. */
const HEAD_BYTES_BESIDE_TOPIC = 1 + 4 + 2 + 2 + 1;
const REFUSED_FROM = 0x80;

/**
 * Writes PUBLISH packets by copying one that was encoded once and stamping it: a turn's messages are one buffer and one
 * write. A packet id is a place in the publisher's sequence, so an answer says which message it is of.
 *
 * @hotpath
 */
export class MqttPublisher implements PublishingLink, PacketReader {
  readonly #connection: MqttConnection;
  readonly #outbox: Outbox;
  readonly #qos: QoS;
  readonly #topics: readonly string[];
  readonly #payload: Buffer;
  /** By key: a packet up to its payload. */
  readonly #heads: (Buffer | undefined)[];
  readonly #headBytesMax: number;
  /** From where the packet id is to where the payload begins: MQTT 5 has the length of no properties in between. */
  readonly #idToPayload: number;
  /** By packet id. */
  readonly #sequences: Float64Array;

  constructor(connection: MqttConnection, link: PublisherLink, outbox: Outbox, qos: QoS) {
    this.#connection = connection;
    this.#outbox = outbox;
    this.#qos = qos;
    this.#topics = link.topics;
    this.#payload = randomBytes(Math.max(STAMP_BYTES, link.payloadBytes));
    this.#heads = [];
    this.#headBytesMax = HEAD_BYTES_BESIDE_TOPIC + Math.max(...link.topics.map((topic) => Buffer.byteLength(topic)));
    this.#idToPayload = connection.version === 5 ? 3 : 2;
    this.#sequences = new Float64Array(PACKET_IDS + 1);
  }

  get isWritable(): boolean {
    return this.#connection.isWritable;
  }

  send(count: number): void {
    const isShared = this.#payload.length >= SHARED_BYTES_MIN;
    const copied = isShared ? STAMP_BYTES : this.#payload.length;
    const room = Buffer.allocUnsafe(count * (this.#headBytesMax + copied));
    const chunks: Uint8Array[] = [];
    let start = 0;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const head = this.#headOf(this.#outbox.keyOf(this.#outbox.sent));
      const payloadAt = at + head.length;
      head.copy(room, at);
      this.#payload.copy(room, payloadAt, 0, copied);
      const sequence = this.#outbox.next(room, payloadAt);
      at = payloadAt + copied;
      if (this.#qos === 0) {
        // Nobody answers: handed to the socket is all there is.
        this.#outbox.acknowledged(sequence);
      } else {
        const packetId = 1 + (sequence % PACKET_IDS);
        this.#sequences[packetId] = sequence;
        room.writeUInt16BE(packetId, payloadAt - this.#idToPayload);
      }
      if (isShared) {
        chunks.push(room.subarray(start, at), this.#payload.subarray(STAMP_BYTES));
        start = at;
      }
    }
    if (!isShared) chunks.push(room.subarray(0, at));
    this.#connection.writeAll(chunks);
  }

  packet(packet: Packet): void {
    if (packet.type !== PacketType.PUBACK) return;
    const sequence = this.#sequences[packet.packetId] as number;
    if (packet.reasonCode >= REFUSED_FROM) this.#outbox.refused(sequence);
    else this.#outbox.acknowledged(sequence);
  }

  chunkDone(): void {
    this.#outbox.answered();
  }

  drained(): void {
    this.#outbox.answered();
  }

  close() {
    return this.#connection.close();
  }

  #headOf(key: number): Buffer {
    const known = this.#heads[key];
    if (known !== undefined) return known;
    const topic = this.#topics[key] as string;
    const payload = this.#payload;
    const whole = encode(
      { type: PacketType.PUBLISH, topic, payload, qos: this.#qos, retain: false, dup: false, packetId: 1 },
      this.#connection.version,
    );
    const head = Buffer.from(whole.subarray(0, whole.length - payload.length));
    this.#heads[key] = head;
    return head;
  }
}
