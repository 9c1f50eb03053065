import { createHash, timingSafeEqual } from 'node:crypto';
import type { ApiKeyRecord, ApiRole } from './api-key-file.ts';

/** Who is calling, once the secret has been checked. */
export interface ApiIdentity {
  /** Name of the key, or `anonymous`. */
  readonly key: string;
  readonly role: ApiRole;
  /** null: every scope. */
  readonly scopes: readonly string[] | null;
}

export interface ApiKeyStore {
  /** How many keys there are. */
  readonly size: number;
  verify(key: string, secret: string): ApiIdentity | null;
  /** From now on these and no others. */
  replace(records: readonly ApiKeyRecord[]): void;
}

/**
 * Secrets are kept and compared as SHA-256 digests, in a time that depends neither on the secret nor on whether the key
 * exists. A slow hash would add nothing: the secrets are generated, and the file they came from holds them as they are.
 */
export function createApiKeyStore(records: readonly ApiKeyRecord[]): ApiKeyStore {
  let byKey = digested(records);
  const nobody = Buffer.alloc(32);
  return {
    get size() {
      return byKey.size;
    },
    verify(key, secret) {
      const entry = byKey.get(key);
      const equal = timingSafeEqual(sha256(secret), entry?.digest ?? nobody);
      return equal && entry !== undefined ? entry.identity : null;
    },
    replace(renewed) {
      byKey = digested(renewed);
    },
  };
}

interface KeptKey {
  digest: Buffer;
  identity: ApiIdentity;
}

function digested(records: readonly ApiKeyRecord[]): Map<string, KeptKey> {
  const byKey = new Map<string, KeptKey>();
  for (const { key, secret, role, scopes } of records) {
    byKey.set(key, { digest: sha256(secret), identity: { key, role, scopes } });
  }
  return byKey;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}
