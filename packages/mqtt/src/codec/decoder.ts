import { TOPIC_LEVELS_MAX } from '../topic/topic-name.ts';
import { decodeBody } from './decode-body.ts';
import { FIXED_HEADER_VERDICTS, type FixedHeaderVerdict } from './fixed-header.ts';
import { BODY_ROOM_BYTES, LARGE_BODY_BYTES, LargeBody } from './large-body.ts';
import type { Packet, ProtocolVersion } from './packet.ts';
import { PacketType } from './packet.ts';
import { PacketBody, type PacketLimits, type Role } from './packet-body.ts';
import { MqttProtocolError } from './protocol-error.ts';
import { ReasonCode } from './reason-code.ts';
import type { TextBytes } from './utf8.ts';

export interface DecoderOptions {
  /** Fixed header included. A larger packet is refused [0x95] at its fixed header. */
  maximumPacketSizeBytes: number;
  /** The same before the CONNECT is complete: what a stranger can make us keep. Default 16 KiB. */
  preConnectBytesMax?: number;
  /** The side this decoder stands on. Default `server`. */
  role?: Role;
  /** Of what is in a packet. Default `PACKET_LIMITS`. */
  limits?: PacketLimits;
}

export const PRE_CONNECT_BYTES_MAX = 16 * 1024;
export const PACKET_LIMITS: PacketLimits = {
  topicLevelsMax: TOPIC_LEVELS_MAX,
  userPropertiesMax: 8192,
  filtersMax: 8192,
};

/** A split packet's buffer starts with room for four times what arrived, and no less than this (or the whole packet). */
const ASSEMBLY_BYTES_MIN = 1024;

const NO_CHUNK = Buffer.alloc(0) as unknown as TextBytes;

/**
 * Chunks in, packets out. A packet that lies within one chunk is decoded in place and its payload is a view into that
 * chunk; one that is spread over chunks is gathered in a buffer of its own. That buffer grows with what has arrived,
 * up to exactly the packet's size: an announced length is a claim, and four bytes must not cost 256 MB. A large one is
 * kept in pieces until it is whole (`large-body`), or read to where it belongs (`room`). Sizes, types and flags are judged
 * at the fixed header, before anything is kept.
 *
 * Call `next` until it gives undefined before pushing again; chunks pushed meanwhile wait, uncopied. After an error
 * the decoder is dead: `push` does nothing and `next` throws the same error again.
 *
 * @hotpath
 */
export class Decoder {
  readonly #body: PacketBody;
  #verdicts: readonly (FixedHeaderVerdict | undefined)[];
  readonly #maximumPacketSizeBytes: number;
  readonly #preConnectBytesMax: number;
  #chunk: TextBytes;
  #at: number;
  /** Chunks behind the current one: there are some only while the connection is not read. */
  #waiting: TextBytes[] | undefined;
  /** The fixed header of a packet that is not complete in one chunk: its bytes so far, 0 when there is none. */
  #headerBytes: number;
  #first: number;
  #remaining: number;
  /** Set once the header is complete and the body is not. */
  #assembling: boolean;
  #assembly: TextBytes;
  #assembled: number;
  /** Instead of the assembly, where the packet is large. */
  #large: LargeBody | undefined;
  /** The largest body that came whole: who has shown so many bytes is believed to send as many again. */
  #shownBytes: number;
  #error: MqttProtocolError | undefined;
  #isStranger: boolean;
  /** The chunk is somebody else's again soon. */
  #isLent: boolean;

  constructor(options: DecoderOptions) {
    const role = options.role ?? 'server';
    this.#body = new PacketBody(role, options.limits ?? PACKET_LIMITS);
    // On a client's side there is no CONNECT to wait for.
    this.#body.connected = role === 'client';
    this.#verdicts = FIXED_HEADER_VERDICTS[role];
    this.#maximumPacketSizeBytes = options.maximumPacketSizeBytes;
    this.#preConnectBytesMax = Math.min(
      options.preConnectBytesMax ?? PRE_CONNECT_BYTES_MAX,
      options.maximumPacketSizeBytes,
    );
    this.#chunk = NO_CHUNK;
    this.#at = 0;
    this.#waiting = undefined;
    this.#headerBytes = 0;
    this.#first = 0;
    this.#remaining = 0;
    this.#assembling = false;
    this.#assembly = NO_CHUNK;
    this.#assembled = 0;
    this.#large = undefined;
    this.#shownBytes = 0;
    this.#error = undefined;
    this.#isStranger = false;
    this.#isLent = false;
  }

  /** 4 until a CONNECT says otherwise. A decoder on a client's side is told. */
  get protocolVersion(): ProtocolVersion {
    return this.#body.version;
  }
  set protocolVersion(version: ProtocolVersion) {
    this.#body.version = version;
  }

  /** Whoever proves itself by AUTH is a stranger until then: its packets stay as small as a CONNECT. */
  admit(): void {
    this.#isStranger = false;
  }

  /** What is kept for a packet that is not complete yet: the memory this connection's peer has claimed. */
  get assemblyBytes(): number {
    return this.#large === undefined ? this.#assembly.length : this.#large.heldBytes;
  }

  /** The bytes must not change afterwards: packets refer to them. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.#error !== undefined) return;
    const bytes = (
      Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    ) as TextBytes;
    if (this.#chunk === NO_CHUNK) this.#chunk = bytes;
    else {
      this.#waiting ??= [];
      this.#waiting.push(bytes);
    }
  }

  /**
   * As `push`, of bytes that may change from `reclaim` on. Acknowledgements are read where they are, since nothing of them
   * outlives their decoding; from the first other packet on the rest is copied.
   */
  lend(chunk: Buffer): void {
    const isBetweenPackets = this.#chunk === NO_CHUNK && this.#headerBytes === 0 && !this.#assembling;
    if (isBetweenPackets && this.#error === undefined) {
      this.#chunk = chunk as unknown as TextBytes;
      this.#isLent = true;
    } else this.push(copyOf(chunk, 0));
  }

  /** What was lent is its owner's again: of what was not decoded there is a copy from now on. */
  reclaim(): void {
    if (!this.#isLent) return;
    if (this.#at === this.#chunk.length) this.#advance();
    else this.#own();
  }

  /**
   * Where the next bytes belong, if they are of a large packet and nothing that was pushed waits before them. They may be
   * put there and be `filled` instead of pushed; a room is good until something else is pushed.
   */
  get room(): Uint8Array | undefined {
    return this.#chunk === NO_CHUNK ? this.#large?.room : undefined;
  }

  /** So many bytes were put into the room that was asked for last; nothing after an error. */
  filled(count: number): void {
    const large = this.#large;
    if (large === undefined) return;
    large.filled(count);
    this.#assembled += count;
  }

  /** The next complete packet; undefined when more bytes are needed. */
  next(): Packet | undefined {
    if (this.#error !== undefined) throw this.#error;
    try {
      return this.#next();
    } catch (error) {
      if (error instanceof MqttProtocolError) this.#die(error);
      throw error;
    }
  }

  #next(): Packet | undefined {
    for (;;) {
      const chunk = this.#chunk;
      const at = this.#at;
      if (at === chunk.length) {
        const large = this.#large;
        if (large !== undefined && this.#assembled === this.#remaining) return this.#decodeLarge(large);
        if (!this.#advance()) return undefined;
        continue;
      }
      if (this.#assembling) {
        const packet = this.#assemble();
        if (packet !== undefined) return packet;
        continue;
      }
      if (this.#isLent && !isAcknowledgement(chunk[at] as number)) {
        this.#own();
        continue;
      }
      // Nearly all packets: the fixed header is two bytes and the whole packet is here.
      if (this.#headerBytes === 0 && at + 1 < chunk.length) {
        const remaining = chunk[at + 1] as number;
        if (remaining < 0x80 && at + 2 + remaining <= chunk.length) {
          const first = chunk[at] as number;
          this.#judge(first);
          this.#checkSize(2 + remaining);
          this.#at = at + 2 + remaining;
          return this.#decode(chunk, at + 2, remaining, first);
        }
      }
      if (!this.#readHeader()) continue;
      const start = this.#at;
      const end = start + this.#remaining;
      if (end > chunk.length) {
        this.#assembling = true;
        const size = this.#remaining;
        if (size >= LARGE_BODY_BYTES) {
          if (this.#isLent) this.#own();
          this.#large = new LargeBody(size, size <= this.#shownBytes);
        }
        continue;
      }
      this.#at = end;
      return this.#decode(chunk, start, this.#remaining, this.#first);
    }
  }

  /** The current chunk is used up: takes the next, or lets go of it. */
  #advance(): boolean {
    this.#at = 0;
    this.#isLent = false;
    const next = this.#waiting?.shift();
    this.#chunk = next ?? NO_CHUNK;
    if (next === undefined) this.#body.release();
    return next !== undefined;
  }

  /** What is left of a chunk that was lent is a copy from here on. */
  #own(): void {
    this.#chunk = copyOf(this.#chunk, this.#at);
    this.#at = 0;
    this.#isLent = false;
  }

  /** Consumes fixed header bytes of the current chunk; false when it ends within them. */
  #readHeader(): boolean {
    const chunk = this.#chunk;
    while (this.#at < chunk.length) {
      const byte = chunk[this.#at++] as number;
      const index = this.#headerBytes++;
      if (index === 0) {
        this.#judge(byte);
        this.#first = byte;
        this.#remaining = 0;
        continue;
      }
      this.#remaining |= (byte & 0x7f) << (7 * (index - 1));
      if (byte < 0x80) {
        if (byte === 0 && index > 1) this.#body.malformed('the remaining length is overlong [MQTT-1.5.5-1]');
        this.#checkSize(this.#headerBytes + this.#remaining);
        this.#headerBytes = 0;
        return true;
      }
      if (index === 4) this.#body.malformed('the remaining length has more than four bytes');
    }
    return false;
  }

  #judge(first: number): void {
    const body = this.#body;
    const verdict = this.#verdicts[first];
    if (verdict !== undefined) body.fail(verdict.reasonCode, verdict.message);
    if (body.role === 'client') return;
    if ((first >>> 4 === PacketType.CONNECT) === body.connected) {
      body.protocolError(
        body.connected ? 'a second CONNECT [MQTT-3.1.0-2]' : 'the first packet is not a CONNECT [MQTT-3.1.0-1]',
      );
    }
  }

  #checkSize(sizeBytes: number): void {
    const maximum = this.#body.connected && !this.#isStranger ? this.#maximumPacketSizeBytes : this.#preConnectBytesMax;
    if (sizeBytes > maximum) {
      this.#body.fail(ReasonCode.PACKET_TOO_LARGE, `a packet of ${sizeBytes} bytes, at most ${maximum} are accepted`);
    }
  }

  /** Moves what the current chunk has of the body into the assembly; the packet, when that completes it. */
  #assemble(): Packet | undefined {
    const chunk = this.#chunk;
    const take = Math.min(this.#remaining - this.#assembled, chunk.length - this.#at);
    const large = this.#large;
    if (large !== undefined) {
      large.add(chunk, this.#at, take);
      this.#at += take;
      this.#assembled += take;
      return this.#assembled < this.#remaining ? undefined : this.#decodeLarge(large);
    }
    this.#growAssembly(this.#assembled + take);
    const assembly = this.#assembly;
    chunk.copy(assembly, this.#assembled, this.#at, this.#at + take);
    this.#at += take;
    this.#assembled += take;
    if (this.#assembled < this.#remaining) return undefined;
    this.#assembling = false;
    this.#assembly = NO_CHUNK;
    this.#assembled = 0;
    return this.#decode(assembly, 0, this.#remaining, this.#first);
  }

  #decodeLarge(large: LargeBody): Packet {
    this.#assembling = false;
    this.#assembled = 0;
    this.#large = undefined;
    this.#shownBytes = Math.max(this.#shownBytes, this.#remaining);
    const packet = this.#decode(large.whole(), BODY_ROOM_BYTES, this.#remaining, this.#first);
    if (packet.type === PacketType.PUBLISH) packet.ownsBuffer = true;
    return packet;
  }

  #growAssembly(needed: number): void {
    const assembly = this.#assembly;
    if (needed <= assembly.length) return;
    const capacity = Math.min(this.#remaining, Math.max(4 * needed, ASSEMBLY_BYTES_MIN));
    // Not from the runtime's pool: a payload that is kept would keep strangers' bytes with it.
    const grown = Buffer.allocUnsafeSlow(capacity) as unknown as TextBytes;
    assembly.copy(grown, 0, 0, this.#assembled);
    this.#assembly = grown;
  }

  #decode(bytes: TextBytes, at: number, length: number, first: number): Packet {
    const body = this.#body;
    body.point(bytes, at, at + length);
    const packet = decodeBody(body, first);
    if (!body.connected) {
      body.connected = true;
      if (packet.type === PacketType.CONNECT) {
        if (packet.isMqtt31) this.#verdicts = FIXED_HEADER_VERDICTS.serverMqtt31;
        this.#isStranger = packet.properties?.authenticationMethod !== undefined;
      }
    }
    return packet;
  }

  #die(error: MqttProtocolError): void {
    this.#error = error;
    this.#chunk = NO_CHUNK;
    this.#at = 0;
    this.#isLent = false;
    this.#waiting = undefined;
    this.#assembling = false;
    this.#assembly = NO_CHUNK;
    this.#large = undefined;
    this.#body.release();
  }
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP, by the first byte: 4 to 7 in its upper half. */
function isAcknowledgement(first: number): boolean {
  return (first & 0xc0) === 0x40;
}

/** Not from the runtime's pool: a payload that is kept would keep strangers' bytes with it. */
function copyOf(chunk: Buffer, from: number): TextBytes {
  const copy = Buffer.allocUnsafeSlow(chunk.length - from) as unknown as TextBytes;
  chunk.copy(copy, 0, from, chunk.length);
  return copy;
}
