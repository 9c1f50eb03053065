import type { KeyValueWrite } from '../engine.ts';
import type { RocksDbBatch } from './rocksdb-binding.ts';
import { sealValue } from './sealed-value.ts';

/** A batch of the binding, its values sealed one behind the other in one buffer. */
export class SealedBatch {
  readonly #changes: RocksDbBatch;
  readonly #sealed: Buffer;
  #at = 0;

  /** `sealed` has room for all of them. */
  constructor(changes: RocksDbBatch, sealed: Buffer) {
    this.#changes = changes;
    this.#sealed = sealed;
  }

  add(row: KeyValueWrite): void {
    const key = bufferOf(row.key);
    if (row.value === undefined) this.#changes.del(key);
    else this.put(key, row.value);
  }

  put(key: Buffer, value: Uint8Array): void {
    const end = this.#at + sealValue(key, value, this.#sealed, this.#at);
    this.#changes.put(key, this.#sealed.subarray(this.#at, end));
    this.#at = end;
  }

  write(sync: boolean, done: (error: Error | null | undefined) => void): void {
    this.#changes.write({ sync }, done);
  }
}

/** The same bytes, as the binding wants them. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
