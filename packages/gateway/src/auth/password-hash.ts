import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

/**
 * A password as it is kept: `$scrypt$ln=14,r=8,p=1$<salt>$<hash>`, both in base64 without padding. The cost stands in
 * each, so that it may rise for new ones; what is read is bounded, because a line that asks for a gigabyte of memory
 * would be a way to stop the broker.
 */
export interface PasswordHash {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

export const PASSWORD_HASH_PREFIX = '$scrypt$';

/** 16 MiB and some 40 ms of a core. */
const COST = { logN: 14, r: 8, p: 1 };
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const LOG_N_MAX = 17;
const R_MAX = 16;
const P_MAX = 4;

export async function hashPassword(password: string | Uint8Array): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(password, { ...COST, salt, length: HASH_BYTES });
  const { logN, r, p } = COST;
  return `${PASSWORD_HASH_PREFIX}ln=${logN},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** Undefined for what is no such text, or asks for more than is done. */
export function parsePasswordHash(text: string): PasswordHash | undefined {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{16,86})\$([A-Za-z0-9+/]{22,86})$/.exec(
    text,
  );
  if (match === null) return undefined;
  const [logN, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (logN < 1 || logN > LOG_N_MAX || r < 1 || r > R_MAX || p < 1 || p > P_MAX) return undefined;
  const salt = Buffer.from(match[4] as string, 'base64');
  const hash = Buffer.from(match[5] as string, 'base64');
  return { logN, r, p, salt, hash };
}

/**
 * A password that ends in NUL is never right: below scrypt lies an HMAC, which fills its key with NULs, so that one and
 * the same password without them would be equal.
 */
export async function isPassword(password: Uint8Array, kept: PasswordHash): Promise<boolean> {
  const derived = await derive(password, { ...kept, length: kept.hash.length });
  return timingSafeEqual(derived, kept.hash) && password.at(-1) !== 0;
}

/** As long as a password of today's cost takes, with a result that nobody has. */
export async function wastePassword(password: Uint8Array): Promise<void> {
  await derive(password, { ...COST, salt: DECOY_SALT, length: HASH_BYTES });
}
const DECOY_SALT = randomBytes(SALT_BYTES);

function derive(
  password: string | Uint8Array,
  { logN, r, p, salt, length }: Omit<PasswordHash, 'hash'> & { length: number },
): Promise<Buffer> {
  const cost = { N: 2 ** logN, r, p, maxmem: 2 ** logN * r * 128 + 2 * 1024 * 1024 };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, cost, (error, derived) => (error === null ? resolve(derived) : reject(error)));
  });
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
