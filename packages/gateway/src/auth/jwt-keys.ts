import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';

/** A key, and the algorithms it is for: a public key taken for a secret would let everybody sign. */
export interface JwtKey {
  readonly kid: string | undefined;
  readonly algorithms: readonly string[];
  readonly key: KeyObject;
}

const HMAC = ['HS256', 'HS384', 'HS512'];
const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const BY_CURVE: ReadonlyMap<string, string> = new Map([
  ['prime256v1', 'ES256'],
  ['secp384r1', 'ES384'],
  ['secp521r1', 'ES512'],
]);

/** Short secrets are found by trying [RFC 7518, 3.2]. */
const SECRET_BYTES_MIN = 32;
const RSA_BITS_MIN = 2048;
const KEYS_MAX = 100;

/** @throws Error that says what is wrong, never what stands in it. */
export function secretKey(secret: Buffer): JwtKey {
  if (secret.length < SECRET_BYTES_MIN) throw new Error(`holds a secret of less than ${SECRET_BYTES_MIN} bytes`);
  return { kid: undefined, algorithms: HMAC, key: createSecretKey(secret) };
}

/** @throws Error */
export function pemKey(pem: string): JwtKey {
  if (/PRIVATE KEY/.test(pem)) throw new Error('holds a private key: the public one is enough');
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new Error('holds no public key in PEM');
  }
  return { kid: undefined, algorithms: algorithmsOf(key), key };
}

/**
 * The keys of a JSON Web Key Set that are for signatures. Kinds that are not known are left out, as the RFC has it; a set
 * without any key is refused. Shared secrets are not taken from a set: it is published.
 * @throws Error
 */
export function keySet(text: string): JwtKey[] {
  let keys: unknown;
  try {
    keys = (JSON.parse(text) as { keys?: unknown }).keys;
  } catch {
    throw new Error('holds no JSON');
  }
  if (!Array.isArray(keys)) throw new Error('holds no list of keys');
  const found: JwtKey[] = [];
  for (const one of keys.slice(0, KEYS_MAX) as (JsonWebKey & { kid?: unknown; use?: unknown; alg?: unknown })[]) {
    if (one === null || typeof one !== 'object' || (one.use !== undefined && one.use !== 'sig')) continue;
    try {
      const key = createPublicKey({ key: publicPart(one), format: 'jwk' });
      const able = algorithmsOf(key);
      const algorithms = typeof one.alg === 'string' ? able.filter((alg) => alg === one.alg) : able;
      if (algorithms.length > 0)
        found.push({ kid: typeof one.kid === 'string' ? one.kid : undefined, algorithms, key });
    } catch {
      // Of a kind that is not known here, or broken: others of the set may be of use.
    }
  }
  if (found.length === 0) throw new Error('holds no key for signatures');
  return found;
}

function publicPart({ kty, n, e, crv, x, y }: JsonWebKey): JsonWebKey {
  const part: JsonWebKey = {};
  for (const [name, value] of Object.entries({ kty, n, e, crv, x, y })) if (value !== undefined) part[name] = value;
  return part;
}

function algorithmsOf(key: KeyObject): string[] {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < RSA_BITS_MIN) throw new Error(`holds an RSA key of less than ${RSA_BITS_MIN} bits`);
      return RSA;
    case 'ec': {
      const algorithm = BY_CURVE.get(namedCurve);
      if (algorithm !== undefined) return [algorithm];
      break;
    }
    case 'ed25519':
      return ['EdDSA'];
  }
  throw new Error('holds a key of a kind that signs no tokens here');
}
