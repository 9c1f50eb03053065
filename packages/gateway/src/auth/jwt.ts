import { decodeProtectedHeader, errors, jwtVerify } from 'jose';
import type { JwtKey } from './jwt-keys.ts';

/**
 * JSON Web Tokens (RFC 7519): a signature under a key that was configured for that algorithm, and the times. The token chooses
 * among the keys, never what is accepted: `none` is no algorithm of any key, and a header that asks for more than is
 * understood (`crit`) is refused.
 */
export type VerifiedToken =
  | { ok: true; claims: ReadonlyMap<string, unknown>; expiresAtMs: number | undefined }
  /** `not-a-token`: it does not even look like one. */
  | { ok: false; why: RefusedToken };

export type RefusedToken = 'not-a-token' | 'malformed' | 'no-key' | 'signature' | 'expired' | 'not-yet';

const TOKEN_CHARACTERS_MAX = 16_384;
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

export async function verifyToken(
  token: string,
  keys: readonly JwtKey[],
  nowMs: number,
  leewayMs: number,
): Promise<VerifiedToken> {
  if (token.length > TOKEN_CHARACTERS_MAX || !TOKEN.test(token)) return { ok: false, why: 'not-a-token' };
  let alg: unknown;
  let kid: unknown;
  try {
    ({ alg, kid } = decodeProtectedHeader(token));
  } catch {
    return { ok: false, why: 'not-a-token' };
  }
  if (typeof alg !== 'string') return { ok: false, why: 'malformed' };
  const candidates = keys.filter(
    (key) => key.algorithms.includes(alg) && (typeof kid !== 'string' || key.kid === undefined || key.kid === kid),
  );
  let why: RefusedToken = 'no-key';
  for (const { key } of candidates) {
    try {
      const rules = { algorithms: [alg], clockTolerance: leewayMs / 1000, currentDate: new Date(nowMs) };
      const { payload } = await jwtVerify(token, key, rules);
      const expiresAtMs = payload.exp === undefined ? undefined : payload.exp * 1000 + leewayMs;
      return { ok: true, claims: new Map(Object.entries(payload)), expiresAtMs };
    } catch (cause) {
      why = whyRefused(cause);
      if (why !== 'signature') break;
    }
  }
  return { ok: false, why };
}

function whyRefused(cause: unknown): RefusedToken {
  if (cause instanceof errors.JWSSignatureVerificationFailed) return 'signature';
  if (cause instanceof errors.JWTExpired) return 'expired';
  const isEarly = cause instanceof errors.JWTClaimValidationFailed && cause.reason === 'check_failed';
  return isEarly && cause.claim === 'nbf' ? 'not-yet' : 'malformed';
}
