import { publishFirstByte, publishHeadSize, publishPropertiesSize, writePublishHead } from './encode-publish.ts';
import { fixedHeaderSize, remainingLength, writePacket } from './encoder.ts';
import type { AckPacket, Packet, ProtocolVersion, PublishPacket } from './packet.ts';
import { PacketType } from './packet.ts';
import { fitPacket } from './packet-fit.ts';
import type { TextBytes } from './utf8.ts';
import { writeVariableByteInteger } from './variable-byte-integer.ts';

export interface PacketWriterOptions {
  /** May be set later, once the CONNECT is known. Default 4. */
  version?: ProtocolVersion;
  /** The peer's Maximum Packet Size; default none. */
  peerMaximumPacketSizeBytes?: number;
  /** A payload of at least this size is passed on as it is. Default 8 KiB. */
  payloadSliceBytesMin?: number;
}

/** A chunk is closed when it would grow beyond this. */
export const CHUNK_BYTES_MAX = 64 * 1024;
const PAYLOAD_SLICE_BYTES_MIN = 8 * 1024;
const CHUNK_BYTES_MIN = 64;

const NO_CHUNK = Buffer.alloc(0) as unknown as TextBytes;
/** Nobody pushes to it: a list is made by the first slice. */
const NO_SLICES: Uint8Array[] = [];

/**
 * Everything a connection sends in one turn, gathered: a write call costs more than encoding fifty packets, so packets
 * are appended to one buffer and handed over together. Large payloads are not copied: they become slices of their own
 * between the chunks, in order, and must not change until the socket has taken them.
 *
 * Between turns nothing is held, whatever the number of connections; the first buffer of a turn is as large as the
 * last turn needed. The writer bounds nothing: `sizeBytes` is for the caller's back-pressure.
 *
 * @hotpath
 */
export class PacketWriter {
  version: ProtocolVersion;
  peerMaximumPacketSizeBytes: number;
  readonly #payloadSliceBytesMin: number;
  #chunk: TextBytes;
  #start: number;
  #at: number;
  #done: Uint8Array[];
  #doneBytes: number;
  #copiedBytes: number;
  #expectedBytes: number;

  constructor(options: PacketWriterOptions = {}) {
    this.version = options.version ?? 4;
    this.peerMaximumPacketSizeBytes = options.peerMaximumPacketSizeBytes ?? Number.POSITIVE_INFINITY;
    this.#payloadSliceBytesMin = options.payloadSliceBytesMin ?? PAYLOAD_SLICE_BYTES_MIN;
    this.#chunk = NO_CHUNK;
    this.#start = 0;
    this.#at = 0;
    this.#done = NO_SLICES;
    this.#doneBytes = 0;
    this.#copiedBytes = 0;
    this.#expectedBytes = 0;
  }

  /** What `take` would give. */
  get sizeBytes(): number {
    return this.#doneBytes + this.#at - this.#start;
  }

  /**
   * False when the packet exceeds the peer's maximum and nothing was written: a PUBLISH then counts as delivered
   * [MQTT-3.1.2-25], any other packet is one the peer cannot be told.
   */
  append(packet: Packet): boolean {
    if (packet.type === PacketType.PUBLISH) return this.publish(packet);
    const version = this.version;
    let fitted: Packet = packet;
    let remaining = remainingLength(packet, version);
    let size = fixedHeaderSize(remaining) + remaining;
    if (size > this.peerMaximumPacketSizeBytes) {
      const smaller = fitPacket(packet, version, this.peerMaximumPacketSizeBytes);
      if (smaller === undefined) return false;
      fitted = smaller;
      remaining = remainingLength(smaller, version);
      size = fixedHeaderSize(remaining) + remaining;
    }
    const at = this.#reserve(size);
    writePacket(fitted, version, remaining, this.#chunk, at);
    return true;
  }

  /** An acknowledgement without properties, without an object for it. */
  ack(type: AckPacket['type'], packetId: number, reasonCode = 0): boolean {
    const size = reasonCode === 0 || this.version === 4 ? 4 : 5;
    if (size > this.peerMaximumPacketSizeBytes) return false;
    const at = this.#reserve(size);
    const chunk = this.#chunk;
    chunk[at] = (type << 4) | (type === PacketType.PUBREL ? 2 : 0);
    chunk[at + 1] = size - 2;
    chunk[at + 2] = packetId >>> 8;
    chunk[at + 3] = packetId & 0xff;
    if (size === 5) chunk[at + 4] = reasonCode;
    return true;
  }

  publish(packet: PublishPacket): boolean {
    const version = this.version;
    const payload = packet.payload;
    const propertiesSize = version === 5 ? publishPropertiesSize(packet.properties) : 0;
    const remaining = publishHeadSize(packet, version, propertiesSize) + payload.length;
    const size = fixedHeaderSize(remaining) + remaining;
    if (size > this.peerMaximumPacketSizeBytes) return false;
    const sliced = payload.length >= this.#payloadSliceBytesMin;
    const start = this.#reserve(sliced ? size - payload.length : size);
    const chunk = this.#chunk;
    chunk[start] = publishFirstByte(packet);
    const head = writeVariableByteInteger(chunk, start + 1, remaining);
    const end = writePublishHead(packet, version, propertiesSize, chunk, head);
    if (sliced) {
      this.#close();
      this.#push(payload);
    } else if (payload.length > 0) chunk.set(payload, end);
    return true;
  }

  /** What to write, in order; the writer is empty afterwards. The chunks belong to the caller. */
  take(): Uint8Array[] {
    const last = this.#slice();
    this.#expectedBytes = this.#copiedBytes;
    this.#chunk = NO_CHUNK;
    this.#start = 0;
    this.#at = 0;
    this.#copiedBytes = 0;
    // Most turns: an array that is pushed to from nothing takes room for seventeen.
    if (this.#doneBytes === 0) return last === undefined ? [] : [last];
    const done = this.#done;
    if (last !== undefined) done.push(last);
    this.#done = NO_SLICES;
    this.#doneBytes = 0;
    return done;
  }

  /** Ends the current slice; the rest of its buffer goes on to serve. */
  #close(): void {
    const slice = this.#slice();
    if (slice === undefined) return;
    this.#push(slice);
    this.#start = this.#at;
  }

  #push(slice: Uint8Array): void {
    if (this.#done === NO_SLICES) this.#done = [];
    this.#done.push(slice);
    this.#doneBytes += slice.length;
  }

  #slice(): Uint8Array | undefined {
    const size = this.#at - this.#start;
    if (size === 0) return undefined;
    this.#copiedBytes += size;
    const chunk = this.#chunk;
    return size === chunk.length ? chunk : chunk.subarray(this.#start, this.#at);
  }

  /** Room for `count` bytes in the current chunk: where they start. */
  #reserve(count: number): number {
    const at = this.#at;
    if (at + count <= this.#chunk.length) {
      this.#at = at + count;
      return at;
    }
    const open = at - this.#start;
    if (open + count > CHUNK_BYTES_MAX) {
      this.#close();
      return this.#renew(0, count, Math.max(count, CHUNK_BYTES_MAX));
    }
    // Turns are often alike: one that needs what the last one needed has a buffer of exactly that, and no view of it.
    const isFirst = open === 0 && count <= this.#expectedBytes;
    const wanted = isFirst ? this.#expectedBytes : Math.max(2 * (open + count), this.#expectedBytes, CHUNK_BYTES_MIN);
    return this.#renew(open, count, wanted);
  }

  /** A new chunk that starts with the `open` bytes of the slice at hand. */
  #renew(open: number, count: number, wanted: number): number {
    const capacity = Math.max(open + count, Math.min(wanted, CHUNK_BYTES_MAX));
    const grown = Buffer.allocUnsafe(capacity) as unknown as TextBytes;
    if (open > 0) this.#chunk.copy(grown, 0, this.#start, this.#at);
    this.#chunk = grown;
    this.#start = 0;
    this.#at = open + count;
    return open;
  }
}
