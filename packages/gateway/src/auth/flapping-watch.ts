import type { Clock } from '@sluice/common/clock';
import type { AdmittedClient, AuthenticationOutcome, AuthenticationRequest, Authenticator } from './authenticator.ts';

/**
 * A client that comes, goes and comes again costs what a hundred quiet ones cost, and usually nobody knows. Who is let in
 * more often than it may within a window is banned for a while, everywhere. Counted is who is about to have its session,
 * however it was authenticated: by failing, or by asking for what is somebody else's, anybody could have anybody's client id
 * banned.
 */
export class FlappingWatch implements Authenticator {
  readonly method: string;
  readonly #inner: Authenticator;
  readonly #connectsMax: number;
  readonly #windowMs: number;
  readonly #clock: Clock;
  readonly #ban: (clientId: string) => void;
  #seen = new Map<string, { connects: number; sinceMs: number }>();

  /** Clients that are counted at once; beyond that counting begins anew. */
  static readonly CLIENTS_MAX = 100_000;

  constructor(
    inner: Authenticator,
    options: { connectsMax: number; windowMs: number; clock: Clock; ban: (clientId: string) => void },
  ) {
    this.method = inner.method;
    this.#inner = inner;
    this.#connectsMax = options.connectsMax;
    this.#windowMs = options.windowMs;
    this.#clock = options.clock;
    this.#ban = options.ban;
  }

  authenticate(request: AuthenticationRequest): AuthenticationOutcome | Promise<AuthenticationOutcome> {
    return this.#inner.authenticate(request);
  }

  expels(client: AdmittedClient): number | undefined {
    return this.#inner.expels?.(client);
  }

  isSuperuser(user: string): boolean {
    return this.#inner.isSuperuser?.(user) !== false;
  }

  mayOpen(clientId: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const seen = this.#seen.get(clientId);
    if (seen === undefined || nowMs - seen.sinceMs >= this.#windowMs) {
      if (this.#seen.size >= FlappingWatch.CLIENTS_MAX) this.#seen = new Map();
      this.#seen.set(clientId, { connects: 1, sinceMs: nowMs });
      return true;
    }
    seen.connects++;
    if (seen.connects <= this.#connectsMax) return true;
    // Once: until the ban is everywhere, the count refuses as well.
    if (seen.connects === this.#connectsMax + 1) this.#ban(clientId);
    return false;
  }
}
