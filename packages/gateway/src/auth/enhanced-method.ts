import type { AuthenticationOutcome, AuthenticationRequest } from './authenticator.ts';

/** One way to prove who one is in several steps, MQTT 5 section 4.12. */
export interface EnhancedMethod {
  /** As clients name it in their CONNECT. */
  readonly name: string;
  /** For one connection, or for one more proof on it. */
  begin(request: AuthenticationRequest): EnhancedExchange;
}

export interface EnhancedExchange {
  /** What the client sends: in its CONNECT at first, then in each AUTH. */
  next(data: Uint8Array | undefined): EnhancedStep;
}

export type EnhancedStep =
  /** For the client to answer. */
  | { readonly kind: 'challenge'; readonly data: Uint8Array }
  /** The end: SUCCESS, with what proves us to the client, or a refusal. */
  | { readonly kind: 'decided'; readonly outcome: AuthenticationOutcome; readonly data: Uint8Array | undefined };
