import type { ConnectPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { PeerCertificate } from '../connection/byte-channel.ts';
import type { AccessSubject } from './authorizer.ts';

/** Who may connect. Asked once a CONNECT, before any session is touched. */
export interface Authenticator {
  /** For metrics, where the outcome does not say which of several methods decided: `none`, `password`, … */
  readonly method: string;
  /** A rejected promise counts as SERVER_UNAVAILABLE: an authenticator that fails lets nobody in, and the client comes again. */
  authenticate(request: AuthenticationRequest): AuthenticationOutcome | Promise<AuthenticationOutcome>;
  /** With what somebody who was let in is sent away now: banned meanwhile, or removed. Undefined: it may stay. */
  expels?(client: AdmittedClient): number | undefined;
  /**
   * Asked once for each client that is about to have its session, which is nobody else's, however it was authenticated.
   * False: it comes too often, and is banned. Absent: it may.
   */
  mayOpen?(clientId: string): boolean;
  /** Whether a user that was let in as a superuser is one still. Absent: it is. */
  isSuperuser?(user: string): boolean;
}

/** Of somebody who was let in as one, or left a will as one: what users are taken to be may have changed since. */
export function isSuperuserStill(authenticator: Authenticator, { isSuperuser, user }: AccessSubject): boolean {
  return isSuperuser && (user === undefined || authenticator.isSuperuser?.(user) !== false);
}

export interface AdmittedClient {
  readonly clientId: string;
  /** As it said. */
  readonly username: string | undefined;
  /** As it proved. */
  readonly user: string | undefined;
  readonly peerHost: string;
  /** Which method let it in. */
  readonly method: string | undefined;
}

export interface AuthenticationRequest {
  readonly clientId: string;
  readonly username: ConnectPacket['username'];
  readonly password: ConnectPacket['password'];
  readonly peerHost: string;
  /** Of a TLS connection whose certificate was verified. */
  readonly certificate?: PeerCertificate | undefined;
}

export interface AuthenticationOutcome {
  /** SUCCESS, or what the CONNACK says. */
  reasonCode: number;
  /** Who it is. A session may be taken over only by the same identity; undefined when nobody was asked. */
  identity: string | undefined;
  /** The user name as far as it was proved: permissions go by it. Undefined: the same as `identity`; null: none was. */
  user?: string | null | undefined;
  /** What it is called from now on, where what it said as its user name is a secret. */
  username?: string | undefined;
  /** No rule applies to it. */
  isSuperuser?: boolean | undefined;
  /** Wall time from which on it is not admitted any more: the connection ends then. */
  expiresAtMs?: number | undefined;
  /** Which method decided. */
  method?: string | undefined;
}

/** Everybody may connect, under any name. */
export const anonymousAuthenticator: Authenticator = {
  method: 'none',
  authenticate: () => ADMITTED,
};
const ADMITTED: AuthenticationOutcome = { reasonCode: ReasonCode.SUCCESS, identity: undefined };

/** Nobody is let in by an authenticator that fails. */
export const UNAVAILABLE: AuthenticationOutcome = { reasonCode: ReasonCode.SERVER_UNAVAILABLE, identity: undefined };
