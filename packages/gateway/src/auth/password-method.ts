import { timingSafeEqual } from 'node:crypto';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { AuthenticationMethod, MethodOutcome } from './authentication-chain.ts';
import type { AdmittedClient, AuthenticationOutcome, AuthenticationRequest } from './authenticator.ts';
import type { PasswordGate } from './password-gate.ts';
import type { PasswordHash } from './password-hash.ts';

/** How a user's password is known. */
export interface KnownUser {
  /** Exactly one of the two. */
  readonly hash?: PasswordHash | undefined;
  readonly plainSum?: Buffer | undefined;
  readonly isSuperuser?: boolean | undefined;
}

export interface UserSource {
  find(username: string): KnownUser | undefined;
  /** Some are kept as slow hashes: names nobody has must cost as much. */
  readonly hasHashes: boolean;
}

/**
 * User names and passwords. A user name without a password is refused like a wrong password: protocols that took it for
 * "not checked" let everybody in. What is compared has equal length, in constant time.
 */
export class PasswordMethod implements AuthenticationMethod {
  readonly name: string;
  readonly #users: UserSource;
  readonly #gate: PasswordGate;

  constructor(name: string, users: UserSource, gate: PasswordGate) {
    this.name = name;
    this.#users = users;
    this.#gate = gate;
  }

  authenticate({ username, password }: AuthenticationRequest): MethodOutcome | Promise<MethodOutcome> {
    if (username === undefined) return 'unknown';
    const user = this.#users.find(username);
    if (user === undefined) return 'unknown';
    if (password === undefined) return WRONG;
    if (user.plainSum !== undefined) {
      return timingSafeEqual(this.#gate.sum(password), user.plainSum) ? admitted(username, user) : WRONG;
    }
    if (user.hash === undefined) return WRONG;
    const right = this.#gate.isRight(password, user.hash);
    if (!(right instanceof Promise)) return right ? admitted(username, user) : WRONG;
    return right.then((answer) => (answer === 'busy' ? BUSY : answer ? admitted(username, user) : WRONG));
  }

  /** Who was let in by a password, and is nobody any more. */
  expels({ user, method }: AdmittedClient): number | undefined {
    if (method !== this.name || user === undefined || this.#users.find(user) !== undefined) return undefined;
    return ReasonCode.NOT_AUTHORIZED;
  }

  isSuperuser(user: string): boolean {
    return this.#users.find(user)?.isSuperuser === true;
  }

  decoy({ username, password }: AuthenticationRequest): Promise<void> | undefined {
    if (username === undefined || password === undefined || !this.#users.hasHashes) return undefined;
    return this.#gate.waste(password).then(() => {});
  }
}

function admitted(username: string, { isSuperuser }: KnownUser): AuthenticationOutcome {
  return { reasonCode: ReasonCode.SUCCESS, identity: username, isSuperuser: isSuperuser === true };
}

const WRONG: AuthenticationOutcome = { reasonCode: ReasonCode.BAD_USER_NAME_OR_PASSWORD, identity: undefined };
const BUSY: AuthenticationOutcome = { reasonCode: ReasonCode.SERVER_BUSY, identity: undefined };
