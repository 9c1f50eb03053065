/** What a client that was let in may do. Asked for every publish, every will and every filter of a SUBSCRIBE. */
export interface Authorizer {
  /** The permissions of one connection. Nothing is worked out before it is asked for the first time. */
  admit(subject: AccessSubject): ClientAccess;
  /** Permissions may be other ones from now on: subscriptions that exist are looked at again. */
  onChange(listener: () => void): void;
}

/** Who asks, as far as that was proved: a user name that nobody has checked is none. */
export interface AccessSubject {
  readonly user: string | undefined;
  readonly clientId: string;
  readonly peerHost: string;
  /** No rule applies to it. */
  readonly isSuperuser: boolean;
}

export interface ClientAccess {
  /** @param topic a valid topic name. */
  mayPublish(topic: string, qos: number, retain: boolean): boolean;
  /** Every topic of this filter. `consume`: from a queue. @param filter a valid filter without any prefix. */
  mayRead(filter: string, qos: number, how: 'subscribe' | 'consume'): boolean;
}

/** Everything is everybody's. */
export const openAuthorizer: Authorizer = {
  admit: () => OPEN,
  onChange: () => {},
};
const OPEN: ClientAccess = { mayPublish: () => true, mayRead: () => true };

/** Before anybody was let in. */
export const NO_ACCESS: ClientAccess = { mayPublish: () => false, mayRead: () => false };
