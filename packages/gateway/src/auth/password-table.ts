import type { PasswordGate } from './password-gate.ts';
import { PASSWORD_HASH_PREFIX, parsePasswordHash } from './password-hash.ts';
import type { KnownUser, UserSource } from './password-method.ts';
import { parseScramVerifier, SCRAM_PREFIX, type ScramCredentials, type ScramVerifier } from './scram-verifier.ts';

/** A secret as it is written for one user: a password, or what `sluice passwd` made of it. */
export type KeptSecret =
  | { readonly plain: string; readonly hash?: undefined; readonly scram?: undefined }
  | { readonly plain?: undefined; readonly hash: string; readonly scram: string | undefined };

/**
 * The part of a line behind the user name: hashes begin with `$scrypt$`, and everything else is the password itself.
 * Undefined for what begins like a hash and is none: taken as a password it would be one that stands in a file for all
 * to read.
 */
export function parseKeptSecret(text: string): KeptSecret | undefined {
  if (!text.startsWith(PASSWORD_HASH_PREFIX) && !text.startsWith(SCRAM_PREFIX)) return { plain: text };
  const [hash, scram, ...more] = text.trim().split(/ +/);
  if (hash === undefined || parsePasswordHash(hash) === undefined || more.length > 0) return undefined;
  if (scram !== undefined && parseScramVerifier(scram) === undefined) return undefined;
  return { hash, scram };
}

export interface TableUser {
  readonly username: string;
  /** What `parseKeptSecret` made. */
  readonly secret: KeptSecret;
}

/** The users of the configuration and of its password file, which may change while the node runs. */
export class PasswordTable implements UserSource, ScramCredentials {
  readonly #gate: PasswordGate;
  #users = new Map<string, KnownUser>();
  #verifiers = new Map<string, ScramVerifier>();
  hasHashes = false;

  constructor(users: readonly TableUser[], gate: PasswordGate) {
    this.#gate = gate;
    this.replace(users);
  }

  /** These, and nobody else. */
  replace(users: readonly TableUser[]): void {
    this.#users = new Map();
    this.#verifiers = new Map();
    this.hasHashes = false;
    for (const { username, secret } of users) {
      if (secret.plain !== undefined) {
        this.#users.set(username, { plainSum: this.#gate.sum(Buffer.from(secret.plain, 'utf8')) });
        continue;
      }
      this.#users.set(username, { hash: parsePasswordHash(secret.hash) });
      this.hasHashes = true;
      const verifier = secret.scram === undefined ? undefined : parseScramVerifier(secret.scram);
      if (verifier !== undefined) this.#verifiers.set(username, verifier);
    }
  }

  find(username: string): KnownUser | undefined {
    return this.#users.get(username);
  }

  scramVerifier(username: string): ScramVerifier | undefined {
    return this.#verifiers.get(username);
  }
}
