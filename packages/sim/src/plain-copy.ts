/**
 * A copy of a message, as a wire makes one: no two nodes share an object. Bytes are counted on the way. What is no plain
 * data has no business in a message, and is an error here rather than a surprise on a real wire.
 */
export class PlainCopier {
  bytes = 0;

  copy<T>(value: T): T {
    this.bytes = 0;
    return this.#copy(value) as T;
  }

  #copy(value: unknown): unknown {
    this.bytes += 4;
    if (typeof value === 'string') {
      this.bytes += value.length;
      return value;
    }
    if (typeof value !== 'object' || value === null) {
      if (typeof value === 'function' || typeof value === 'symbol') throw new Error('a message holds no functions');
      return value;
    }
    if (value instanceof Uint8Array) {
      this.bytes += value.length;
      return Buffer.from(value);
    }
    if (Array.isArray(value)) return value.map((each) => this.#copy(each));
    const prototype = Object.getPrototypeOf(value) as object | null;
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) throw new Error('a message is plain data');
    const copied: Record<string, unknown> = {};
    for (const key of Object.keys(value)) copied[key] = this.#copy((value as Record<string, unknown>)[key]);
    return copied;
  }
}
