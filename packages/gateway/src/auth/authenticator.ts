import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { ConnectPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';

/** Who may connect. Asked once a CONNECT, before any session is touched. */
export interface Authenticator {
  /** For metrics: `none`, `password`, … */
  readonly method: string;
  /** A rejected promise counts as SERVER_UNAVAILABLE: an authenticator that fails lets nobody in. */
  authenticate(request: AuthenticationRequest): AuthenticationOutcome | Promise<AuthenticationOutcome>;
}

export interface AuthenticationRequest {
  readonly clientId: string;
  readonly username: ConnectPacket['username'];
  readonly password: ConnectPacket['password'];
  readonly peerHost: string;
}

export interface AuthenticationOutcome {
  /** SUCCESS, or what the CONNACK says. */
  reasonCode: number;
  /** Who it is. A session may be taken over only by the same identity; undefined when nobody was asked. */
  identity: string | undefined;
}

/** Everybody may connect, under any name. */
export const anonymousAuthenticator: Authenticator = {
  method: 'none',
  authenticate: () => ADMITTED,
};
const ADMITTED: AuthenticationOutcome = { reasonCode: ReasonCode.SUCCESS, identity: undefined };

/**
 * User names and passwords from a table. A user name without a password is refused like a wrong password: protocols
 * that took it for "not checked" let everybody in. Unknown users cost the same comparison as known ones, and sums of
 * equal length are compared, so that time tells neither who exists nor how much of a password was right.
 */
export class PasswordAuthenticator implements Authenticator {
  readonly method = 'password';
  readonly #sums = new Map<string, Buffer>();
  readonly #key = randomBytes(32);
  readonly #nobody: Buffer;

  constructor(passwords: ReadonlyMap<string, string>) {
    for (const [username, password] of passwords) this.#sums.set(username, this.#sum(Buffer.from(password, 'utf8')));
    this.#nobody = this.#sum(randomBytes(32));
  }

  authenticate(request: AuthenticationRequest): AuthenticationOutcome {
    const { username, password } = request;
    const known = username === undefined ? undefined : this.#sums.get(username);
    const right = timingSafeEqual(this.#sum(password ?? NO_PASSWORD), known ?? this.#nobody);
    if (!right || known === undefined || password === undefined) return REFUSED;
    return { reasonCode: ReasonCode.SUCCESS, identity: username };
  }

  #sum(password: Uint8Array): Buffer {
    return createHmac('sha256', this.#key).update(password).digest();
  }
}
const REFUSED: AuthenticationOutcome = { reasonCode: ReasonCode.BAD_USER_NAME_OR_PASSWORD, identity: undefined };
const NO_PASSWORD = new Uint8Array(0);
