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

  constructor(role: Role, limits: PacketLimits) {
    this.bytes = NO_BYTES;
    this.at = 0;
    this.end = 0;
    this.version = 4;
    this.connected = false;
    this.role = role;
    this.limits = limits;
  }

  point(bytes: TextBytes, at: number, end: number): void {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }
  /** Lets go of the chunk, so that an idle connection does not keep it alive. */
  release(): void {
    this.bytes = NO_BYTES;
    this.at = 0;
    this.end = 0;
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
    return this.bytes.subarray(start, end);
  }
  /** For what outlives the turn by its nature, such as a will: a view would pin the whole chunk. */
  binaryCopy(): Uint8Array {
    return new Uint8Array(this.binary());
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
