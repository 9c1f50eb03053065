import { createHash, randomInt } from 'node:crypto';
import { type Clock, systemClock } from '@sluice/common/clock';
import type { DigestAlgorithm, KeyEnvironment } from '@sluice/queue/key-expression/environment';

/**
 * What key expressions reach of this process. Of the process environment only variables with the prefix are visible, by
 * their names without it, and as they were when the gateway started: whoever may create queues is not to read secrets
 * by `getenv`, and a key does not change its meaning under way.
 */
const KEY_VARIABLE_PREFIX = 'SLUICEVAR_';

export class NodeKeyEnvironment implements KeyEnvironment {
  readonly #clock: Clock;
  readonly #variables: ReadonlyMap<string, string>;

  constructor(clock: Clock, environment: Readonly<Record<string, string | undefined>> = process.env) {
    this.#clock = clock;
    const variables = new Map<string, string>();
    for (const [name, value] of Object.entries(environment)) {
      if (name.startsWith(KEY_VARIABLE_PREFIX) && value !== undefined) {
        variables.set(name.slice(KEY_VARIABLE_PREFIX.length), value);
      }
    }
    this.#variables = variables;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  randomBelow(bound: number): number {
    return bound > 1 ? randomInt(bound) : 0;
  }

  getenv(name: string): string | undefined {
    return this.#variables.get(name);
  }

  digest(algorithm: DigestAlgorithm, data: Uint8Array): Uint8Array {
    return createHash(OPENSSL_NAMES[algorithm]).update(data).digest();
  }

  base64Encode(data: Uint8Array): string {
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
  }

  base64Decode(text: string): Uint8Array {
    return Buffer.from(text, 'base64');
  }
}

const OPENSSL_NAMES: Readonly<Record<DigestAlgorithm, string>> = {
  md5: 'md5',
  sha: 'sha1',
  sha1: 'sha1',
  sha224: 'sha224',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
  sha3_224: 'sha3-224',
  sha3_256: 'sha3-256',
  sha3_384: 'sha3-384',
  sha3_512: 'sha3-512',
  shake128: 'shake128',
  shake256: 'shake256',
  blake2b: 'blake2b512',
  blake2s: 'blake2s256',
};

/** The one of this process. */
export const nodeKeyEnvironment: KeyEnvironment = new NodeKeyEnvironment(systemClock);
