import type { Clock } from '@sluice/common/clock';
import { addressOf } from '@sluice/common/ip-address';
import { banOf, RULES_OF_ALL, rulesOfClient, rulesOfUser } from '@sluice/meta/access/access-keys';
import type { AccessRule } from '@sluice/meta/access/access-rule';
import type { AccessTable, UserRecord } from '@sluice/meta/access/access-table';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { AuthenticationMethod, MethodOutcome } from './authentication-chain.ts';
import type { AdmittedClient, AuthenticationOutcome, AuthenticationRequest } from './authenticator.ts';
import type { AccessSubject } from './authorizer.ts';
import { parsePasswordHash } from './password-hash.ts';
import type { KnownUser, UserSource } from './password-method.ts';
import type { RuleSource } from './rule-authorizer.ts';
import { parseScramVerifier, type ScramCredentials, type ScramVerifier } from './scram-verifier.ts';

/** The users that the cluster shares, out of this node's image. */
export class ClusterUsers implements UserSource, ScramCredentials {
  readonly #access: AccessTable;
  /** What was read of a record, for as long as that is the record. */
  readonly #known = new WeakMap<UserRecord, KnownUser>();

  constructor(access: AccessTable) {
    this.#access = access;
  }

  get hasHashes(): boolean {
    return this.#access.count('user') > 0;
  }

  find(username: string): KnownUser | undefined {
    const record = this.#access.user(username);
    if (record === undefined) return undefined;
    let known = this.#known.get(record);
    if (known === undefined) {
      known = { hash: parsePasswordHash(record.hash), isSuperuser: record.isSuperuser };
      this.#known.set(record, known);
    }
    return known;
  }

  scramVerifier(username: string): ScramVerifier | undefined {
    const scram = this.#access.user(username)?.scram;
    return scram === undefined ? undefined : parseScramVerifier(scram);
  }
}

/** The rules that the cluster shares: those of the client id first, then of the user, then of all. */
export class ClusterRules implements RuleSource {
  readonly #access: AccessTable;

  constructor(access: AccessTable) {
    this.#access = access;
  }

  *rulesFor({ user, clientId }: AccessSubject): Iterable<AccessRule> {
    yield* this.#access.rules(rulesOfClient(clientId)) ?? NO_RULES;
    if (user !== undefined) yield* this.#access.rules(rulesOfUser(user)) ?? NO_RULES;
    yield* this.#access.rules(RULES_OF_ALL) ?? NO_RULES;
  }
}

/**
 * Who is banned is not asked for a password: stands before every other method, and knows nobody else. By the user name
 * that a client says as well as by one that was proved: a name in CONNECT that is banned is refused, whoever it is.
 */
export class Bans implements AuthenticationMethod {
  readonly name = 'ban';
  readonly #access: AccessTable;
  readonly #clock: Clock;

  constructor(access: AccessTable, clock: Clock) {
    this.#access = access;
    this.#clock = clock;
  }

  authenticate({ clientId, username, peerHost }: AuthenticationRequest): MethodOutcome {
    return this.#isBanned(clientId, username, peerHost) ? BANNED : 'unknown';
  }

  expels({ clientId, username, user, peerHost }: AdmittedClient): number | undefined {
    const isBanned = this.#isBanned(clientId, username, peerHost) || this.#isBanned(clientId, user, peerHost);
    // DISCONNECT knows no "banned" [MQTT-3.14.2-1].
    return isBanned ? ReasonCode.ADMINISTRATIVE_ACTION : undefined;
  }

  #isBanned(clientId: string, username: string | undefined, peerHost: string): boolean {
    if (this.#access.count('ban') === 0) return false;
    return (
      this.#isInForce(banOf('clientid', clientId)) ||
      (username !== undefined && this.#isInForce(banOf('username', username))) ||
      this.#isInForce(banOf('peerhost', addressOf(peerHost) ?? peerHost))
    );
  }

  #isInForce(key: string): boolean {
    const ban = this.#access.ban(key);
    return ban !== undefined && (ban.untilMs === 0 || ban.untilMs > this.#clock.nowMs());
  }
}

const NO_RULES: readonly AccessRule[] = [];
const BANNED: AuthenticationOutcome = { reasonCode: ReasonCode.BANNED, identity: undefined };
