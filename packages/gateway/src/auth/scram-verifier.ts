import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';

/**
 * What a server keeps of a password for SCRAM-SHA-256 (RFC 5802, RFC 7677), beside its scrypt hash: it proves that a
 * client knows the password without ever seeing it. As text `$scram-sha-256$i=4096$<salt>$<StoredKey>$<ServerKey>`.
 */
export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** Whoever can answer for a user in a SCRAM exchange. */
export interface ScramCredentials {
  /** Undefined: nobody of that name, or none that was made with SCRAM in mind. */
  scramVerifier(username: string): ScramVerifier | undefined;
}

export const SCRAM_PREFIX = '$scram-sha-256$';
const ITERATIONS = 4096;
const ITERATIONS_MAX = 100_000;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

export async function makeScramVerifier(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const salted = await saltedPassword(password, salt, ITERATIONS);
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest();
  const parts = [salt, storedKey, hmac(salted, 'Server Key')].map((bytes) => bytes.toString('base64'));
  return `${SCRAM_PREFIX}i=${ITERATIONS}$${parts.join('$')}`;
}

/** Undefined for what is no such text. */
export function parseScramVerifier(text: string): ScramVerifier | undefined {
  const match =
    /^\$scram-sha-256\$i=(\d{1,6})\$([A-Za-z0-9+/=]{1,88})\$([A-Za-z0-9+/=]{44})\$([A-Za-z0-9+/=]{44})$/.exec(text);
  if (match === null) return undefined;
  const iterations = Number(match[1]);
  if (iterations < 1 || iterations > ITERATIONS_MAX) return undefined;
  const [salt, storedKey, serverKey] = [2, 3, 4].map((i) => Buffer.from(match[i] as string, 'base64')) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  if (storedKey.length !== KEY_BYTES || serverKey.length !== KEY_BYTES) return undefined;
  return { iterations, salt, storedKey, serverKey };
}

function saltedPassword(password: string, salt: Buffer, iterations: number): Promise<Buffer> {
  // Normalised as SASLprep asks of what people write: NFKC covers what differs between keyboards.
  return new Promise((resolve, reject) => {
    pbkdf2(password.normalize('NFKC'), salt, iterations, KEY_BYTES, 'sha256', (error, derived) =>
      error === null ? resolve(derived) : reject(error),
    );
  });
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
