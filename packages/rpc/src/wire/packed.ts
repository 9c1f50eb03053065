import type { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteReader as Reader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { v1 } from '../gen/v1.ts';
import { type Codec, readerOf, reading, wireInvalid } from './codec.ts';

/**
 * `Packed` of proto/v1: a head of varints and the payloads beside it. Protobuf would cost an object and a number class
 * for each of the thousands of small integers a turn sends, and would nest the payloads so that each level copies them;
 * here the head is one pass over bytes, and a payload is copied once, into the frame.
 */
export function packedCodec<T>(
  name: string,
  pack: (message: T, head: ByteWriter, data: Uint8Array[]) => void,
  unpack: (head: HeadReader) => T,
): Codec<T> {
  return {
    write(message, writer) {
      const head = new ByteWriter();
      const data: Uint8Array[] = [];
      pack(message, head, data);
      v1.Packed.encode({ head: head.finish(), data }, writer);
    },
    read(bytes) {
      return reading(name, () => {
        const packed = v1.Packed.decode(readerOf(bytes));
        const head = new HeadReader(packed.head, packed.data);
        const message = unpack(head);
        head.end();
        return message;
      });
    },
  };
}

/** Reads what `pack` wrote. Counts are believed only as far as there are bytes for them. */
export class HeadReader {
  readonly #head: ByteReader;
  readonly #data: readonly Uint8Array[];
  #nextData = 0;

  constructor(head: Uint8Array, data: readonly Uint8Array[]) {
    this.#head = new Reader(head);
    this.#data = data;
  }

  u8(): number {
    return this.#head.u8();
  }
  u32(): number {
    return this.#head.u32();
  }
  integer(): number {
    return this.#head.varint();
  }
  text(): string {
    return this.#head.text();
  }
  flag(): boolean {
    const value = this.#head.u8();
    if (value > 1) throw wireInvalid(`${value} is no flag`);
    return value === 1;
  }
  /** One of the names whose position was written. */
  name<const N extends string>(names: readonly N[], what: string): N {
    const name = names[this.#head.u8()];
    if (name === undefined) throw wireInvalid(`unknown ${what}`);
    return name;
  }
  /** @returns how many items follow, each of `sizeMin` bytes or more in the head. */
  count(sizeMin: number): number {
    const count = this.#head.varint();
    if (count * sizeMin > this.#head.remaining) throw wireInvalid(`${count} items do not fit`);
    return count;
  }
  list<I>(sizeMin: number, item: () => I): I[] {
    const count = this.count(sizeMin);
    const items: I[] = [];
    for (let i = 0; i < count; i++) items.push(item());
    return items;
  }
  integers(): number[] {
    return this.list(1, () => this.integer());
  }
  data(): Uint8Array {
    const data = this.#data[this.#nextData++];
    if (data === undefined) throw wireInvalid('a payload is missing');
    return data;
  }

  /** Who wrote it may be of a later version, and have said more. */
  get hasMore(): boolean {
    return this.#head.remaining > 0;
  }

  end(): void {
    if (this.#head.remaining > 0) throw wireInvalid(`${this.#head.remaining} bytes too many`);
    if (this.#nextData !== this.#data.length) throw wireInvalid('payloads that nothing speaks of');
  }
}

export function writeFlag(head: ByteWriter, value: boolean): void {
  head.u8(value ? 1 : 0);
}

export function writeName<N extends string>(head: ByteWriter, names: readonly N[], name: N): void {
  const at = names.indexOf(name);
  if (at < 0) throw wireInvalid(`${name} has no number`);
  head.u8(at);
}

export function writeIntegers(head: ByteWriter, values: readonly number[]): void {
  head.varint(values.length);
  for (const value of values) head.varint(value);
}
