/**
 * What key expressions need from outside of themselves. The package is pure: whoever evaluates hands these in, and a
 * simulator or a test hands in its own.
 */
export interface KeyEnvironment {
  /** Wall clock. */
  nowMs(): number;
  /** Uniform integer in [0, bound). */
  randomBelow(bound: number): number;
  /**
   * A variable that the operator has set for expressions, by its name without the prefix. Nothing else of the process
   * environment is to be reachable: an expression is written by whoever may create queues.
   */
  getenv(name: string): string | undefined;
  /** One of `DIGEST_ALGORITHMS`. */
  digest(algorithm: DigestAlgorithm, data: Uint8Array): Uint8Array;
  /** Standard alphabet, padded. */
  base64Encode(data: Uint8Array): string;
  /** Standard alphabet, padded; the text has been checked. */
  base64Decode(text: string): Uint8Array;
}

/** MD4 is left out: current OpenSSL has none, and nothing new should ask for it. */
export const DIGEST_ALGORITHMS = [
  'md5',
  'sha',
  'sha1',
  'sha224',
  'sha256',
  'sha384',
  'sha512',
  'sha3_224',
  'sha3_256',
  'sha3_384',
  'sha3_512',
  'shake128',
  'shake256',
  'blake2b',
  'blake2s',
] as const;
export type DigestAlgorithm = (typeof DIGEST_ALGORITHMS)[number];
