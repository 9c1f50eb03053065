import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { AuthenticationMethod, MethodOutcome } from './authentication-chain.ts';
import type { AuthenticationOutcome, AuthenticationRequest } from './authenticator.ts';
import type { JwtKey } from './jwt-keys.ts';

export interface JwtRules {
  /** Where the token stands in CONNECT. */
  readonly from: 'password' | 'username';
  /** Its text is the user name. */
  readonly userClaim: string;
  /** What claims must be; `${username}` and `${clientid}` are those of CONNECT. */
  readonly claims: ReadonlyMap<string, string>;
  readonly leewayMs: number;
}

export interface JwtKeySource {
  /** Undefined: they could not be had yet. */
  readonly keys: readonly JwtKey[] | undefined;
  /** A token names a key that is not there, or none that is there has signed it: there may be new ones. */
  wanted(): void;
}

/** Tokens that somebody else has issued. The connection ends with its token. */
export class JwtMethod implements AuthenticationMethod {
  readonly name = 'jwt';
  readonly #rules: JwtRules;
  readonly #source: JwtKeySource;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Loaded by who lets tokens in: the library behind it has fifty files, a tenth of a start that asks for none. */
  readonly #loaded = import('./jwt.ts');

  constructor(rules: JwtRules, source: JwtKeySource, parts: { clock: Clock; logger: Logger }) {
    this.#rules = rules;
    this.#source = source;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
  }

  async authenticate(request: AuthenticationRequest): Promise<MethodOutcome> {
    const { from, leewayMs } = this.#rules;
    const { username, password, clientId } = request;
    const token =
      from === 'username' ? username : password === undefined ? undefined : Buffer.from(password).toString('latin1');
    if (token === undefined) return 'unknown';
    const { keys } = this.#source;
    if (keys === undefined) return UNAVAILABLE;
    const { verifyToken } = await this.#loaded;
    const verified = await verifyToken(token, keys, this.#clock.nowMs(), leewayMs);
    if (!verified.ok) {
      if (verified.why === 'not-a-token') return 'unknown';
      // A token need not name its key: that none of those at hand has signed it is all that tells of a new one.
      if (verified.why === 'no-key' || verified.why === 'signature') this.#source.wanted();
      return this.#refused(clientId, verified.why);
    }
    const wrong = this.#wrongClaim(verified.claims, request);
    if (wrong !== undefined) return this.#refused(clientId, `claim ${wrong}`);
    const user = verified.claims.get(this.#rules.userClaim);
    if (typeof user !== 'string' || user === '') return this.#refused(clientId, `no ${this.#rules.userClaim}`);
    const admitted = { reasonCode: ReasonCode.SUCCESS, identity: user, expiresAtMs: verified.expiresAtMs };
    // Whoever has the token is that user: it stands in no log, no key and no stored will.
    return this.#rules.from === 'username' ? { ...admitted, username: user } : admitted;
  }

  /** A claim that is a list (`aud` may be one) must hold what is asked for. */
  #wrongClaim(claims: ReadonlyMap<string, unknown>, { username, clientId }: AuthenticationRequest): string | undefined {
    for (const [name, template] of this.#rules.claims) {
      const value = claims.get(name);
      const wanted = template === USERNAME ? username : template === CLIENT_ID ? clientId : template;
      const isRight = Array.isArray(value) ? value.includes(wanted) : value === wanted;
      if (wanted === undefined || !isRight) return name;
    }
    return undefined;
  }

  #refused(client: string, why: string): AuthenticationOutcome {
    this.#logger.debug({ client, why }, 'a token was refused');
    return REFUSED;
  }
}

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: the placeholders are written so.
const USERNAME = '${username}';
const CLIENT_ID = '${clientid}';
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: the placeholders are written so.

const REFUSED: AuthenticationOutcome = { reasonCode: ReasonCode.BAD_USER_NAME_OR_PASSWORD, identity: undefined };
const UNAVAILABLE: AuthenticationOutcome = { reasonCode: ReasonCode.SERVER_UNAVAILABLE, identity: undefined };
