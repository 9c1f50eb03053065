import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import {
  type AdmittedClient,
  type AuthenticationOutcome,
  type AuthenticationRequest,
  type Authenticator,
  UNAVAILABLE,
} from './authenticator.ts';

/** One way to prove who one is. */
export interface AuthenticationMethod {
  /** For metrics. */
  readonly name: string;
  /** `unknown`: what was shown is nothing to this method, and the next one is asked. */
  authenticate(request: AuthenticationRequest): MethodOutcome | Promise<MethodOutcome>;
  /** See `Authenticator.expels`. */
  expels?(client: AdmittedClient): number | undefined;
  /** See `Authenticator.isSuperuser`. Absent: it knows none. */
  isSuperuser?(user: string): boolean;
  /** Costs what a known name with a wrong password costs: time must not tell which names exist. */
  decoy?(request: AuthenticationRequest): Promise<void> | undefined;
}

export type MethodOutcome = AuthenticationOutcome | 'unknown';

/**
 * Several methods in a stated order: what one does not know goes to the next, what one knows and finds wrong is refused
 * there. So a name that is in the first cannot be tried with the password it has in the second, and who is known to
 * nobody is admitted only where anonymous clients are.
 *
 * Bans and certificates speak of a name, and CONNECT need not say the one that a token or a certificate proves. So those
 * that guard are asked once more, about that one, before anybody's session is touched.
 */
export class AuthenticationChain implements Authenticator {
  readonly method: string;
  readonly #methods: readonly AuthenticationMethod[];
  readonly #guards: readonly AuthenticationMethod[];
  readonly #anonymous: boolean;
  readonly #nobody: AuthenticationOutcome;

  /** @param options.guards see `objectionTo`. */
  constructor(
    methods: readonly AuthenticationMethod[],
    options: { anonymous: boolean; guards?: readonly AuthenticationMethod[] },
  ) {
    this.#methods = methods;
    this.#guards = options.guards ?? [];
    this.#anonymous = options.anonymous;
    const method = methods.at(-1)?.name ?? 'none';
    this.#nobody = { reasonCode: ReasonCode.BAD_USER_NAME_OR_PASSWORD, identity: undefined, method };
    // WebSocket listeners ask for it: where strangers are let in, pages of other sites are not.
    this.method = options.anonymous ? 'none' : 'chain';
  }

  authenticate(request: AuthenticationRequest): AuthenticationOutcome | Promise<AuthenticationOutcome> {
    return this.#from(0, request);
  }

  expels(client: AdmittedClient): number | undefined {
    for (const method of this.#methods) {
      const reasonCode = method.expels?.(client);
      if (reasonCode !== undefined) return reasonCode;
    }
    return undefined;
  }

  isSuperuser(user: string): boolean {
    return this.#methods.some((method) => method.isSuperuser?.(user) === true);
  }

  /** Waits only for methods that take their time: most decide at once, and a CONNECT in the same turn. */
  #from(first: number, request: AuthenticationRequest): AuthenticationOutcome | Promise<AuthenticationOutcome> {
    for (let i = first; i < this.#methods.length; i++) {
      const method = this.#methods[i] as AuthenticationMethod;
      const outcome = method.authenticate(request);
      if (outcome instanceof Promise) {
        return outcome.then((found) =>
          found === 'unknown' ? this.#from(i + 1, request) : this.#guarded(named(found, method.name), request),
        );
      }
      if (outcome !== 'unknown') return this.#guarded(named(outcome, method.name), request);
    }
    if (this.#anonymous) return { reasonCode: ReasonCode.SUCCESS, identity: undefined, method: 'none' };
    for (const method of this.#methods) {
      const decoy = method.decoy?.(request);
      if (decoy !== undefined) return decoy.then(() => this.#nobody);
    }
    return this.#nobody;
  }

  #guarded(outcome: AuthenticationOutcome, request: AuthenticationRequest): AuthenticationOutcome {
    const user = outcome.user === undefined ? outcome.identity : outcome.user;
    // The name of CONNECT was looked at on the way here.
    if (outcome.reasonCode !== ReasonCode.SUCCESS || typeof user !== 'string' || user === request.username)
      return outcome;
    return objectionTo(this.#guards, request, user) ?? outcome;
  }
}

/**
 * What guards have against somebody whose name was proved: what they do not answer by `unknown` refuses. Undefined when
 * none of them objects.
 */
export function objectionTo(
  guards: readonly AuthenticationMethod[],
  request: AuthenticationRequest,
  username: string,
): AuthenticationOutcome | undefined {
  for (const guard of guards) {
    const outcome = guard.authenticate({ ...request, username });
    if (outcome instanceof Promise) return UNAVAILABLE;
    if (outcome !== 'unknown') return named(outcome, guard.name);
  }
  return undefined;
}

function named(outcome: AuthenticationOutcome, method: string): AuthenticationOutcome {
  return outcome.method === undefined ? { ...outcome, method } : outcome;
}
