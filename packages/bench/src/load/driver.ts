import type { Inbox } from './inbox.ts';
import type { Outbox } from './outbox.ts';

/**
 * A protocol as the load speaks it. The load decides how many messages may leave and when (`Outbox`) and what has come
 * (`Inbox`); a driver turns that into packets, a turn's worth at a time. So windows, clocks and checks are the same for
 * every broker, and only the wire differs.
 *
 * A driver is a module that exports one of these as `driver`; the processes of the load are told its address, so that
 * none of them loads the libraries of the others.
 */
export interface Driver {
  /** Resolves when it may publish. `onEnd` is told when the connection ends unasked. */
  publisher(link: PublisherLink, outbox: Outbox, onEnd: OnEnd): Promise<PublishingLink>;
  /** Resolves when it is subscribed. */
  consumer(link: ConsumerLink, inbox: Inbox, onEnd: OnEnd): Promise<ConsumingLink>;
  /** Connects, and stays: what an idle device does. */
  idler(link: IdlerLink): Promise<IdleLink>;
}

export type OnEnd = (error: Error) => void;

/** Sends what its outbox gives. */
export interface PublishingLink {
  /** False while the socket has more than it can take; `outbox.answered()` follows when it is true again. */
  readonly isWritable: boolean;
  /** Takes `count` messages from the outbox and hands them to the socket. */
  send(count: number): void;
  close(): Promise<void>;
}

/** Gives its inbox what comes, by `take` and then, once a chunk, `turnEnds`. */
export interface ConsumingLink {
  /** May be kept back until `flush`. */
  acknowledge(tag: number): void;
  flush(): void;
  close(): Promise<void>;
}

export interface IdleLink {
  close(): Promise<void>;
}

export interface Address {
  host: string;
  port: number;
}

/** What a driver has to know of the broker; data, because it travels to another process. */
export interface Link {
  address: Address;
  /** Unique in the run. */
  clientId: string;
  /** Whatever else the driver of this peer understands. */
  options: Readonly<Record<string, string | number | boolean>>;
}

export interface PublisherLink extends Link {
  /** By key: where a message goes. One, when there are no keys. */
  topics: readonly string[];
  payloadBytes: number;
  /** Messages without an answer at most; a broker that takes fewer is not given them. */
  window: number;
}

export interface ConsumerLink extends Link {
  /** The queues, or what is subscribed to; one, where the peer has nothing of several. */
  sources: readonly string[];
  /** Unacknowledged messages it may hold. */
  prefetch: number;
}

export type IdlerLink = Link;
