import type { ProtocolVersion } from './packet.ts';
import { MqttProtocolError } from './protocol-error.ts';
import { ReasonCode } from './reason-code.ts';
import { decodeUtf8, type TextBytes } from './utf8.ts';

export type Role = 'server' | 'client';

/** Which bounds a peer's packets are held to beside the maximum packet size, each with its reason code in brackets. */
export interface PacketLimits {
  /** Levels of a topic name [0x90] or filter [0x8F]; deeper ones cost the topic trie and no honest client has them. */
  topicLevelsMax: number;
  /** User properties of one packet [0x97]: five bytes on the wire become two strings each. */
  userPropertiesMax: number;
  /** Topic filters of one SUBSCRIBE or UNSUBSCRIBE [0x97]. */
  filtersMax: number;
}

const NO_BYTES = Buffer.alloc(0) as unknown as TextBytes;
const NO_TOPIC = new Uint8Array(0);

/** A longer topic is not remembered: the copy would outweigh the connection's other state. */
const REMEMBERED_TOPIC_BYTES_MAX = 128;
/** A run of properties up to this size is turned into one string of which the single ones are parts. */
const TEXT_BYTES_MAX = 512;

/**
 * A cursor over the variable header and payload of one packet, kept by a decoder and pointed at packet after packet.
 * Whatever would read past the packet's end is a malformed packet, so the `decode*` functions only say what comes next.
 *
 * @hotpath
 */
export class PacketBody {
  bytes: TextBytes;
  at: number;
  end: number;
  version: ProtocolVersion;
  /** Whether the CONNECT has been taken: tells a CONNACK from a DISCONNECT when something fails. */
  connected: boolean;
  readonly role: Role;
  readonly limits: PacketLimits;
  /** Of `bytes`: asking a typed array for its buffer costs as much as making a view. */
  #buffer: ArrayBufferLike;
  #byteOffset: number;
  #text: string;
  #textAt: number;
  #topic: string;
  #topicBytes: Uint8Array;
  #topicLength: number;

  constructor(role: Role, limits: PacketLimits) {
    this.bytes = NO_BYTES;
    this.at = 0;
    this.end = 0;
    this.version = 4;
    this.connected = false;
    this.role = role;
    this.limits = limits;
    this.#buffer = NO_BYTES.buffer;
    this.#byteOffset = NO_BYTES.byteOffset;
    this.#text = '';
    this.#textAt = 0;
    this.#topic = '';
    this.#topicBytes = NO_TOPIC;
    this.#topicLength = 0;
  }

  point(bytes: TextBytes, at: number, end: number): void {
    if (this.bytes !== bytes) {
      this.bytes = bytes;
      this.#buffer = bytes.buffer;
      this.#byteOffset = bytes.byteOffset;
    }
    this.at = at;
    this.end = end;
  }
  /** Lets go of the chunk, so that an idle connection does not keep it alive. */
  release(): void {
    this.point(NO_BYTES, 0, 0);
  }

  fail(reasonCode: number, message: string): never {
    throw new MqttProtocolError(reasonCode, message, !this.connected);
  }
  malformed(message: string): never {
    return this.fail(ReasonCode.MALFORMED_PACKET, message);
  }
  protocolError(message: string): never {
    return this.fail(ReasonCode.PROTOCOL_ERROR, message);
  }

  u8(): number {
    const at = this.at;
    if (at >= this.end) this.endsEarly();
    this.at = at + 1;
    return this.bytes[at] as number;
  }
  u16(): number {
    const at = this.at;
    if (at + 2 > this.end) this.endsEarly();
    this.at = at + 2;
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number);
  }
  u32(): number {
    const at = this.at;
    if (at + 4 > this.end) this.endsEarly();
    this.at = at + 4;
    const bytes = this.bytes;
    return (
      (((bytes[at] as number) << 24) |
        ((bytes[at + 1] as number) << 16) |
        ((bytes[at + 2] as number) << 8) |
        (bytes[at + 3] as number)) >>>
      0
    );
  }
  variableByteInteger(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.u8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) this.malformed('a variable byte integer is overlong [MQTT-1.5.5-1]');
        return value;
      }
    }
    return this.malformed('a variable byte integer has more than four bytes');
  }
  string(): string {
    const length = this.u16();
    const start = this.at;
    const end = start + length;
    if (end > this.end) this.endsEarly();
    const value = decodeUtf8(this.bytes, start, end);
    if (value === undefined) this.malformed('a string is not UTF-8 or contains U+0000 [MQTT-1.5.4-1]');
    this.at = end;
    return value;
  }
  /** A view, not a copy. */
  binary(): Uint8Array {
    const length = this.u16();
    const start = this.at;
    const end = start + length;
    if (end > this.end) this.endsEarly();
    this.at = end;
    return new Uint8Array(this.#buffer, this.#byteOffset + start, length);
  }
  /** All that is left, as a view. */
  rest(): Uint8Array {
    const start = this.at;
    this.at = this.end;
    return new Uint8Array(this.#buffer, this.#byteOffset + start, this.end - start);
  }
  /** For what outlives the turn by its nature, such as a will: a view would pin the whole chunk. */
  binaryCopy(): Uint8Array {
    return new Uint8Array(this.binary());
  }

  /**
   * From here to `end` many short strings follow. Making a string is a call into the runtime that costs more than a
   * short string's bytes do; cutting one out of a longer string is not. `textEnds` must follow.
   */
  textBegins(end: number): void {
    if (end - this.at > TEXT_BYTES_MAX) return;
    this.#text = this.bytes.latin1Slice(this.at, end);
    this.#textAt = this.at;
  }
  textEnds(): void {
    this.#text = '';
  }
  /** As `string`, between `textBegins` and `textEnds`. */
  textString(): string {
    if (this.#text === '') return this.string();
    const length = this.u16();
    const start = this.at;
    const end = start + length;
    if (end > this.end) this.endsEarly();
    const bytes = this.bytes;
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number;
      if (byte === 0 || byte >= 0x80) {
        this.at = start - 2;
        return this.string();
      }
    }
    this.at = end;
    return this.#text.slice(start - this.#textAt, end - this.#textAt);
  }

  /**
   * The topic of the PUBLISH before, when the next `length` bytes spell it again: most publishers have one topic, and
   * a string that is the same object is found faster by everyone who looks it up. Undefined otherwise.
   */
  repeatedTopic(length: number): string | undefined {
    if (length !== this.#topicLength) return undefined;
    const known = this.#topicBytes;
    const bytes = this.bytes;
    const start = this.at;
    for (let i = length - 1; i >= 0; i--) if (known[i] !== bytes[start + i]) return undefined;
    return this.#topic;
  }
  rememberTopic(topic: string, start: number, length: number): void {
    if (length > REMEMBERED_TOPIC_BYTES_MAX) return;
    if (this.#topicBytes === NO_TOPIC) this.#topicBytes = new Uint8Array(REMEMBERED_TOPIC_BYTES_MAX);
    const known = this.#topicBytes;
    const bytes = this.bytes;
    for (let i = 0; i < length; i++) known[i] = bytes[start + i] as number;
    this.#topic = topic;
    this.#topicLength = length;
  }

  packetId(): number {
    const id = this.u16();
    if (id === 0) this.protocolError('a packet identifier is 0 [MQTT-2.2.1-3]');
    return id;
  }

  endsEarly(): never {
    return this.malformed('the packet ends within a field');
  }
}
