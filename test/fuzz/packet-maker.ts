import type { Prng } from '@sluice/common/prng';
import { PacketType, type ProtocolVersion } from '@sluice/mqtt/codec/packet';
import { PROPERTIES_OF_PACKET, PROPERTY_SPECS, PropertyKind, WILL } from '@sluice/mqtt/codec/property-table';

/**
 * Packets as a client could send them, right and wrong. Random bytes die at the fixed header and try nothing behind it, so a
 * packet is made of its fields first, with names and identifiers that other packets use too, and what is wrong is done to the
 * fields: one is left out, repeated, exchanged, lies about its length, or holds what it may not. Our own encoder is not used:
 * it could not write most of that, and what it gets wrong it would get wrong twice.
 */
export class PacketMaker {
  readonly #chance: Prng;
  readonly #words: Words;
  /** One packet in so many is made wrong; 0: none. */
  readonly #brokenOneIn: number;

  constructor(chance: Prng, words: Words, brokenOneIn: number) {
    this.#chance = chance;
    this.#words = words;
    this.#brokenOneIn = brokenOneIn;
  }

  /** A right one: what comes behind it is read at all. */
  connect(version: ProtocolVersion): Buffer {
    return bytesOf(this.#connect(version));
  }

  next(version: ProtocolVersion): Buffer {
    const draft = this.#draft(version);
    if (this.#brokenOneIn === 0 || this.#chance.below(this.#brokenOneIn) > 0) return bytesOf(draft);
    return this.#broken(draft);
  }

  #draft(version: ProtocolVersion): Draft {
    const of = this.below(300);
    if (of < 120) return this.#publish(version);
    if (of < 165) return this.#subscribe(version);
    if (of < 190) return this.#unsubscribe(version);
    if (of < 280) return this.#ack(version);
    if (of < 297) return { first: PacketType.PINGREQ << 4, fields: [] };
    return this.#rare(version);
  }

  #connect(version: ProtocolVersion): Draft {
    const { below } = this;
    const hasWill = below(3) === 0;
    const hasUser = below(3) === 0;
    const flags = (below(2) << 1) | (hasWill ? 0x04 | (below(3) << 3) | (below(2) << 5) : 0) | (hasUser ? 0xc0 : 0);
    const fields = [text('MQTT'), u8(version), u8(flags), u16(below(3) * 60)];
    if (version === 5) fields.push(...this.#properties(PacketType.CONNECT));
    fields.push(text(this.#pick(this.#words.clientIds)));
    if (hasWill) {
      if (version === 5) fields.push(...this.#properties(WILL));
      fields.push(text(this.#pick(this.#words.topics)), binary(this.#payload()));
    }
    if (hasUser) fields.push(text('user'), binary(Buffer.from('secret')));
    return { first: PacketType.CONNECT << 4, fields };
  }

  #publish(version: ProtocolVersion): Draft {
    const qos = this.below(3);
    const dup = qos > 0 ? this.below(2) : 0;
    const fields = [text(this.#pick(this.#words.topics))];
    if (qos > 0) fields.push(u16(this.#packetId()));
    if (version === 5) fields.push(...this.#properties(PacketType.PUBLISH));
    fields.push({ head: NOTHING, body: this.#payload() });
    return { first: (PacketType.PUBLISH << 4) | (dup << 3) | (qos << 1) | this.below(2), fields };
  }

  #subscribe(version: ProtocolVersion): Draft {
    const fields = [u16(this.#packetId())];
    if (version === 5) fields.push(...this.#properties(PacketType.SUBSCRIBE));
    for (let i = this.below(3); i >= 0; i--) {
      const filter = this.#pick(this.#words.filters);
      // No Local is an error with a shared subscription [MQTT-3.8.3-4].
      const flags = filter.startsWith('$share') ? this.below(2) << 1 : this.below(4);
      const options = version === 5 ? this.below(3) | (flags << 2) | (this.below(3) << 4) : this.below(3);
      fields.push(text(filter), u8(options));
    }
    return { first: (PacketType.SUBSCRIBE << 4) | 2, fields };
  }

  #unsubscribe(version: ProtocolVersion): Draft {
    const fields = [u16(this.#packetId())];
    if (version === 5) fields.push(...this.#properties(PacketType.UNSUBSCRIBE));
    for (let i = this.below(3); i >= 0; i--) fields.push(text(this.#pick(this.#words.filters)));
    return { first: (PacketType.UNSUBSCRIBE << 4) | 2, fields };
  }

  #ack(version: ProtocolVersion): Draft {
    const type = this.#pick([PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP]);
    const fields = [u16(this.#packetId())];
    if (version === 5 && this.below(2) === 0) {
      const isRelease = type === PacketType.PUBREL || type === PacketType.PUBCOMP;
      fields.push(u8(this.#pick(isRelease ? [0, 0x92] : [0, 0x10, 0x80, 0x97])));
      if (this.below(2) === 0) fields.push(...this.#properties(type));
    }
    return { first: (type << 4) | (type === PacketType.PUBREL ? 2 : 0), fields };
  }

  /** What ends a connection, in the right way or the wrong one. */
  #rare(version: ProtocolVersion): Draft {
    const of = this.below(3);
    if (of === 0) return this.#connect(version);
    const fields: Field[] = [];
    if (version === 5) fields.push(u8(of === 1 ? this.#pick([0, 0x04, 0x93]) : 0x18));
    if (version === 5) fields.push(...this.#properties(of === 1 ? PacketType.DISCONNECT : PacketType.AUTH));
    return { first: (of === 1 ? PacketType.DISCONNECT : PacketType.AUTH) << 4, fields };
  }

  /** Their length, then each; a few, and only those of this packet. */
  #properties(packet: number): Field[] {
    const properties: Field[] = [];
    const used = new Set<number>();
    for (let i = this.below(4); i > 0; i--) {
      const spec = this.#pick(PROPERTIES_OF_PACKET[packet] ?? []);
      // In a PUBLISH it is for servers to send [MQTT-3.3.4-6].
      if (packet === PacketType.PUBLISH && spec.name === 'subscriptionIdentifiers') continue;
      // Right by its form, and the end of nearly every connection.
      if (spec.name.startsWith('authentication') && this.below(10) > 0) continue;
      if (used.has(spec.id) && spec.name !== 'userProperties') continue;
      used.add(spec.id);
      properties.push(this.#property(spec.id, spec.kind, spec.min, Math.min(spec.max, 0xffff)));
    }
    const length = properties.reduce((sum, { head, body }) => sum + head.length + body.length, 0);
    return [{ head: varint(length), body: NOTHING }, ...properties];
  }

  #property(id: number, kind: PropertyKind, min: number, max: number): Field {
    const value = min + this.below(Math.min(max, 20) - min + 1);
    const some = Buffer.from(this.#pick(this.#words.texts));
    const of = (body: Buffer): Field => ({ head: varint(id), body });
    switch (kind) {
      case PropertyKind.BYTE:
        return of(Buffer.of(value));
      case PropertyKind.TWO_BYTE:
        return of(integer(value, 2));
      case PropertyKind.FOUR_BYTE:
        return of(integer(value, 4));
      case PropertyKind.VARIABLE:
        return of(varint(value));
      case PropertyKind.STRING_PAIR:
        return of(Buffer.concat([prefixed(some), prefixed(some)]));
      case PropertyKind.TOPIC:
        return of(prefixed(Buffer.from(this.#pick(this.#words.topics))));
      default:
        return of(prefixed(some));
    }
  }

  #broken(draft: Draft): Buffer {
    const { below } = this;
    const fields = [...draft.fields];
    const at = below(Math.max(1, fields.length));
    const field = fields[at] ?? { head: NOTHING, body: NOTHING };
    const put = (...instead: Field[]): Buffer => bytesOf({ ...draft, fields: fields.toSpliced(at, 1, ...instead) });
    switch (below(14)) {
      case 0:
        return put();
      case 1:
        return put(field, field);
      case 2:
        return put(this.#pick(fields.length > 0 ? fields : [field]));
      case 3:
        return put({ ...field, head: lied(field.head, below) });
      case 4:
        return put(text(this.#pick(HOSTILE_TEXTS)));
      case 5:
        return put({ head: prefixed(this.#pick(NO_TEXTS)), body: NOTHING });
      case 6:
        return put(this.#property(this.#pick(PROPERTY_SPECS).id, this.#pick(PROPERTY_SPECS).kind, 0, 0xffff));
      case 7:
        return put(field, { head: NOTHING, body: this.#noise(1 + below(8)) });
      case 8:
        return bytesOf({ ...draft, first: draft.first ^ (1 << below(8)) });
      case 9:
        return bytesOf(draft, (length) => varint(Math.max(0, length + this.#pick([-1, 1, -3, 7, 300]))));
      case 10:
        return bytesOf(draft, () => this.#pick(NO_LENGTHS));
      case 11:
        return bytesOf(draft, () => varint(this.#pick(HUGE_LENGTHS)));
      case 12: {
        const bytes = bytesOf(draft);
        return bytes.subarray(0, below(bytes.length));
      }
      default: {
        const bytes = bytesOf(draft);
        const where = below(bytes.length);
        bytes[where] = (bytes[where] as number) ^ (1 << below(8));
        return bytes;
      }
    }
  }

  /** Few, so that they meet. */
  #packetId(): number {
    return 1 + this.below(16);
  }

  #payload(): Buffer {
    return this.below(4) === 0 ? this.#noise(this.below(200)) : Buffer.from(this.#pick(this.#words.payloads));
  }

  #noise(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = this.below(256);
    return bytes;
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)] as T;
  }

  readonly below = (bound: number): number => this.#chance.below(bound);
}

/** What names packets use. Few of each: packets that speak of the same thing reach what single ones do not. */
export interface Words {
  topics: readonly string[];
  filters: readonly string[];
  clientIds: readonly string[];
  payloads: readonly string[];
  texts: readonly string[];
}

export const WORDS: Words = {
  topics: [
    ...['a', 'a', 'a', 'a/b', 'a/b', 'x/b', 'x/b', 'lv', 'lv', 'w', 'ä/é', '__proto__', `a/${'b/'.repeat(100)}`],
    ...['a/c', 'a/c/d', 'b', 'b/b', 'c', '$x/y', '$SYS/a'],
  ],
  filters: [
    ...['a', 'a/#', '+/b', '#', 'constructor', '$share/g/a', '$share/g/a/#', '$share/h/+/b', '$SYS/#'],
    ...['$q/a', '$q/a/#', '$q/lv', '$queue/a', '$queue/none', '$q/none'],
  ],
  clientIds: ['', 'c1', 'c2', 'c3', 'toString', 'ç'],
  payloads: ['', 'x', '{"k":1}', '{"k":"v","z":[[]]}', '{"k":'],
  texts: ['', 'k', 'v', '__proto__', 'hasOwnProperty', 'text/plain', '🦀'],
};

/** A packet before it is bytes. */
interface Draft {
  first: number;
  fields: Field[];
}

/** A length or an identifier, which can lie, and what it speaks of. */
interface Field {
  head: Buffer;
  body: Buffer;
}

const NOTHING = Buffer.alloc(0);
const HOSTILE_TEXTS = [
  '',
  '#',
  '+',
  'a#',
  'a/#/b',
  '+a',
  '/'.repeat(300),
  'x'.repeat(65_535),
  '$share//x',
  '$share/g/',
  '$q/',
];
/** No UTF-8 that MQTT allows: a torn sequence, a surrogate, overlong, NUL, beyond the last code point. */
const NO_TEXTS = [[0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf], [0x61, 0x00, 0x62], [0xf5, 0x80, 0x80, 0x80]].map((bytes) =>
  Buffer.from(bytes),
);
/** Too long for what they say, or without an end. */
const NO_LENGTHS = [
  [0x80, 0x00],
  [0x82, 0x80, 0x00],
  [0xff, 0xff, 0xff, 0xff, 0x01],
  [0x80, 0x80, 0x80, 0x80],
].map((bytes) => Buffer.from(bytes));
const HUGE_LENGTHS = [20_000, 1_000_000, 16_777_216, 268_435_455];

function bytesOf({ first, fields }: Draft, length: (true_: number) => Buffer = varint): Buffer {
  const body = Buffer.concat(fields.flatMap((field) => [field.head, field.body]));
  return Buffer.concat([Buffer.of(first & 0xff), length(body.length), body]);
}

function lied(head: Buffer, below: (bound: number) => number): Buffer {
  const copy = Buffer.from(head);
  if (copy.length === 0) return Buffer.of(below(256));
  const at = copy.length - 1;
  copy[at] = ((copy[at] as number) + 1 + below(255)) & 0xff;
  return copy;
}

const u8 = (value: number): Field => ({ head: NOTHING, body: Buffer.of(value) });
const u16 = (value: number): Field => ({ head: NOTHING, body: integer(value, 2) });
const text = (value: string): Field => binary(Buffer.from(value));
const binary = (body: Buffer): Field => ({ head: integer(body.length, 2), body });
const prefixed = (body: Buffer): Buffer => Buffer.concat([integer(body.length, 2), body]);

function integer(value: number, bytes: 2 | 4): Buffer {
  const to = Buffer.alloc(bytes);
  to.writeUIntBE(value, 0, bytes);
  return to;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  do {
    const low = left & 0x7f;
    left >>>= 7;
    bytes.push(left > 0 ? low | 0x80 : low);
  } while (left > 0);
  return Buffer.from(bytes);
}
