import { v1 } from '../gen/v1.ts';
import { type Codec, readerOf, reading } from './codec.ts';
import type { Check } from './shape.ts';

/** `Json` of proto/v1, for rare messages whose parts are stored as JSON anyway. */
export function jsonCodec<T>(name: string, check: Check): Codec<T> {
  return {
    write(message, writer) {
      v1.Json.encode({ json: jsonBytes(message) }, writer);
    },
    read(bytes) {
      return reading(name, () => {
        const value = parseJson(v1.Json.decode(readerOf(bytes)).json);
        check(value, name);
        return value as T;
      });
    },
  };
}

export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value), 'utf8');
}

export function parseJson(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
}
