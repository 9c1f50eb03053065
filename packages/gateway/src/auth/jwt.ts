import { constants, createHmac, timingSafeEqual, verify } from 'node:crypto';
import type { JwtKey } from './jwt-keys.ts';

/**
 * JSON Web Tokens in their compact form (RFC 7515, RFC 7519), no more of it than a broker needs: a signature under a key
 * that was configured for that algorithm, and the times. The token chooses among the keys, never what is accepted: `none`
 * is no algorithm of any key, and a header that asks for more than is understood (`crit`) is refused.
 */
export type VerifiedToken =
  | { ok: true; claims: ReadonlyMap<string, unknown>; expiresAtMs: number | undefined }
  /** `not-a-token`: it does not even look like one. */
  | { ok: false; why: 'not-a-token' | 'malformed' | 'no-key' | 'signature' | 'expired' | 'not-yet' };

const TOKEN_CHARACTERS_MAX = 16_384;
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

export function verifyToken(token: string, keys: readonly JwtKey[], nowMs: number, leewayMs: number): VerifiedToken {
  if (token.length > TOKEN_CHARACTERS_MAX || !TOKEN.test(token)) return refused('not-a-token');
  const [head = '', body = '', signature = ''] = token.split('.');
  const header = objectOf(head);
  const claims = objectOf(body);
  if (header === undefined) return refused('not-a-token');
  if (claims === undefined || header.has('crit')) return refused('malformed');
  const alg = header.get('alg');
  const kid = header.get('kid');
  if (typeof alg !== 'string') return refused('malformed');
  const candidates = keys.filter(
    (key) => key.algorithms.includes(alg) && (typeof kid !== 'string' || key.kid === undefined || key.kid === kid),
  );
  if (candidates.length === 0) return refused('no-key');
  const signed = Buffer.from(`${head}.${body}`, 'latin1');
  const bytes = Buffer.from(signature, 'base64url');
  if (!candidates.some((key) => isSignedBy(key, alg, signed, bytes))) return refused('signature');
  return withTimes(claims, nowMs, leewayMs);
}

function withTimes(claims: ReadonlyMap<string, unknown>, nowMs: number, leewayMs: number): VerifiedToken {
  const expiresAtS = claims.get('exp');
  const notBeforeS = claims.get('nbf');
  if (!isTime(expiresAtS) || !isTime(notBeforeS)) return refused('malformed');
  if (notBeforeS !== undefined && notBeforeS * 1000 > nowMs + leewayMs) return refused('not-yet');
  if (expiresAtS === undefined) return { ok: true, claims, expiresAtMs: undefined };
  const expiresAtMs = expiresAtS * 1000 + leewayMs;
  return expiresAtMs <= nowMs ? refused('expired') : { ok: true, claims, expiresAtMs };
}

function isSignedBy({ key }: JwtKey, alg: string, signed: Buffer, signature: Buffer): boolean {
  const hash = `sha${alg.slice(2)}`;
  switch (alg.slice(0, 2)) {
    case 'HS': {
      const expected = createHmac(hash, key).update(signed).digest();
      return expected.length === signature.length && timingSafeEqual(expected, signature);
    }
    case 'RS':
      return verify(hash, signed, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
    case 'PS':
      return verify(
        hash,
        signed,
        { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
        signature,
      );
    case 'ES':
      return verify(hash, signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
    case 'Ed':
      return verify(null, signed, key, signature);
    default:
      return false;
  }
}

function objectOf(part: string): ReadonlyMap<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return new Map(Object.entries(value));
  } catch {
    return undefined;
  }
}

function isTime(value: unknown): value is number | undefined {
  return value === undefined || (typeof value === 'number' && Number.isFinite(value) && value >= 0);
}

function refused(why: Extract<VerifiedToken, { ok: false }>['why']): VerifiedToken {
  return { ok: false, why };
}
