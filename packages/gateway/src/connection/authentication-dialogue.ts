import type { Properties } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { ConnectionPhase } from '@sluice/mqtt/protocol/connection-phase';
import type { ConnectionState } from '@sluice/mqtt/protocol/connection-state';
import type { AuthenticationOutcome, AuthenticationRequest } from '../auth/authenticator.ts';
import type { EnhancedExchange, EnhancedMethod, EnhancedStep } from '../auth/enhanced-method.ts';
import type { GatewaySession } from '../deliver/gateway-session.ts';
import type { GatewayServices } from '../gateway-services.ts';
import type { ConnectionAdmission } from './connection-admission.ts';

/**
 * The proof in steps of one connection, and each time it is asked for again. Exists only for clients whose CONNECT names a
 * method. How long they may take is bounded by the time a CONNECT has; connected, by nothing but their Keep Alive.
 */
export class AuthenticationDialogue {
  readonly #services: GatewayServices;
  readonly #admission: ConnectionAdmission;
  readonly #state: ConnectionState;
  readonly #method: EnhancedMethod;
  readonly #request: AuthenticationRequest;
  #exchange: EnhancedExchange;
  #startedMs: number;

  constructor(
    services: GatewayServices,
    admission: ConnectionAdmission,
    state: ConnectionState,
    method: EnhancedMethod,
    request: AuthenticationRequest,
  ) {
    this.#services = services;
    this.#admission = admission;
    this.#state = state;
    this.#method = method;
    this.#request = request;
    this.#exchange = method.begin(request);
    this.#startedMs = services.clock.monotonicMs();
  }

  /** What the client says; `isNew` when it begins anew. */
  next(data: Uint8Array | undefined, isNew: boolean): void {
    if (isNew) {
      this.#exchange = this.#method.begin(this.#request);
      this.#startedMs = this.#services.clock.monotonicMs();
    }
    const step = this.#exchange.next(data);
    if (step.kind === 'challenge') this.#state.challenge(step.data);
    else if (this.#state.phase === ConnectionPhase.OPEN) this.#provedAgain(step);
    else this.#admission.decided(step.outcome, this.#startedMs, step.data);
  }

  /** A session is its owner's: nobody becomes somebody else in the middle of it. */
  #provedAgain({ outcome, data }: EnhancedStep & { kind: 'decided' }): void {
    const { metrics, clock } = this.#services;
    const session = this.#state.session as GatewaySession | undefined;
    const isSame = outcome.reasonCode === ReasonCode.SUCCESS && outcome.identity === session?.identity;
    metrics.authSeconds.observe((clock.monotonicMs() - this.#startedMs) / 1000);
    metrics.auth(outcome.method ?? this.#method.name, isSame).add();
    this.#state.reauthenticated(isSame ? ReasonCode.SUCCESS : ReasonCode.NOT_AUTHORIZED, data);
  }
}

/** For a CONNECT that names a method; undefined when nobody offers it, which refuses the CONNECT. */
export function beginDialogue(
  services: GatewayServices,
  admission: ConnectionAdmission,
  state: ConnectionState,
  { authenticationMethod, authenticationData }: Properties,
  request: AuthenticationRequest,
): AuthenticationDialogue | undefined {
  const method = services.enhanced.find(({ name }) => name === authenticationMethod);
  if (method === undefined) {
    admission.decided(METHOD_NOT_OFFERED, services.clock.monotonicMs());
    return undefined;
  }
  const dialogue = new AuthenticationDialogue(services, admission, state, method, request);
  dialogue.next(authenticationData, false);
  return dialogue;
}

const METHOD_NOT_OFFERED: AuthenticationOutcome = {
  reasonCode: ReasonCode.BAD_AUTHENTICATION_METHOD,
  identity: undefined,
};
