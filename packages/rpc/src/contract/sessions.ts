import type { ExchangeStep } from '@sluice/queue/session/commands';
import type { BoundId, RefusedId, TakenId } from '@sluice/queue/session/exchanges';

/**
 * Sessions that outlive their connection, gateway to store. A session is in the partition of its client id; questions go
 * to that partition's leader, are numbered by the gateway and answered once each when what they ask for is committed.
 * Whoever hears nothing asks again, elsewhere: asking twice does no harm.
 *
 * A session that was opened has an epoch, and who comes with another one has lost it. Its messages come after `attach`,
 * never more than its window unanswered, each from one stream: what is stored for a topic filter of the partition. When
 * another store begins to lead (`leading`) everything not passed by then comes again from there.
 *
 * Streams are told to every gateway, which stores in them what its clients publish. There may be hundreds of thousands:
 * whoever begins to lead tells of its own a page at a time, the next when the gateway asks for it.
 */
export type SessionsRequest =
  | {
      type: 'open';
      requestId: number;
      partition: number;
      clientId: string;
      /** Empty: nobody was asked who they are. */
      identity: string;
      cleanStart: boolean;
      /** Seconds; 0xffffffff: never. */
      expiryS: number;
      /** One a CONNECT, so that asking twice is not taken for two connections; 0: a former release drew none for all. */
      ticket: number;
      /** Kept before the answer; undefined: it leaves none. */
      will: WillToLeave | undefined;
    }
  | {
      type: 'subscribe';
      requestId: number;
      partition: number;
      clientId: string;
      epoch: number;
      subscriptions: readonly StoredFilter[];
    }
  | {
      type: 'unsubscribe';
      requestId: number;
      partition: number;
      clientId: string;
      epoch: number;
      filters: readonly string[];
    }
  /** What became of packet ids; one of a session at a time. `serial` counts them within the epoch. */
  | {
      type: 'exchange';
      requestId: number;
      partition: number;
      clientId: string;
      epoch: number;
      serial: number;
      steps: readonly ExchangeStep[];
    }
  | {
      type: 'close';
      requestId: number;
      partition: number;
      clientId: string;
      epoch: number;
      expiryS: number;
      /** Its client said that the will is not to be published. */
      takesWillBack: boolean;
      /** What an earlier gateway may have sent was not all brought to this one. */
      leavesUnsure: boolean;
    }
  | { type: 'attach'; partition: number; clientId: string; epoch: number; window: number }
  /** Everything that one turn's clients took in a partition. */
  | { type: 'pass'; partition: number; items: readonly PassedItem[] }
  /** What this gateway publishes from now on goes to the streams as of this version. */
  | { type: 'seen'; partition: number; version: number }
  /** Every will of the group is where it belongs, or never will be. Said again to a new leader that asks again. */
  | { type: 'wills-published'; partition: number; group: number }
  /** The page before was taken. */
  | { type: 'next-page'; partition: number };

export interface WillToLeave {
  /** That of its CONNECT; of a gateway that draws one for wills alone, too. */
  ticket: number;
  delayS: number;
  /** For whichever gateway publishes it; the store does not read it. */
  message: Uint8Array;
}

export interface StoredFilter {
  filter: string;
  /** The options byte of SUBSCRIBE. */
  options: number;
  /** 0: none. */
  subscriptionId: number;
  /** Whether messages are kept for it. */
  isStored: boolean;
}

export interface PassedItem {
  clientId: string;
  epoch: number;
  /** 0: everything, since its connection is over; said when the session was lost. A store of before passes it over. */
  streamId: number;
  offset: number;
}

export type SessionsResponse =
  | ({
      type: 'answer';
      requestId: number;
      status: SessionsStatus;
      /** With `not-leader`: who leads as far as this store knows; 0 when it does not. */
      leader: number;
    } & AnsweredSession)
  | { type: 'deliver'; partition: number; clientId: string; epoch: number; deliveries: readonly StreamDelivery[] }
  /** Another connection has it, or it is over. */
  | { type: 'lost'; partition: number; clientId: string; epoch: number }
  | { type: 'leading'; partition: number; term: number }
  /** These are due. The partition has one group under way and its number is higher than any before. */
  | { type: 'publish-wills'; partition: number; group: number; wills: readonly DueWillView[] }
  | StreamNews;

/** What a question about a session is answered with, as the store says it and the gateway hears it. */
export interface AnsweredSession {
  /** Of `open`: 0 when nothing is kept for this client. */
  epoch: number;
  present: boolean;
  /** Of `open`: all that the session has; of `subscribe`: those asked for. A stream id of 0: none, -1: refused. */
  subscriptions: readonly StoredSubscriptionView[];
  /** Of `open`: packet ids that are in use, by what the client publishes and by what it was sent. */
  taken: readonly TakenId[];
  bound: readonly BoundId[];
  /** Of `exchange`: the number of each `take`. */
  numbers: readonly number[];
  /** Of `open`: packet ids whose last publish was refused, which its client may not know. */
  refused: readonly RefusedId[];
  /** Of `open`, when the gateway before left no word: the streams of which it may have sent what is not bound. */
  unsure: readonly UnsureStream[];
}

/** A partition's streams. */
export interface StreamNews {
  type: 'streams';
  partition: number;
  version: number;
  /** Pages are all that there are; what changes between two of them is told at once. */
  part: 'first-page' | 'page' | 'change';
  /** With this the gateway knows all streams of the partition, as of `version`. */
  isComplete: boolean;
  added: readonly { streamId: number; filter: string }[];
  removed: readonly number[];
}

/** Whoever has the session next may be sending again what lies before. */
export interface UnsureStream {
  streamId: number;
  before: number;
}

export interface DueWillView {
  clientId: string;
  message: Uint8Array;
}

export interface StoredSubscriptionView {
  filter: string;
  options: number;
  subscriptionId: number;
  streamId: number;
}

export interface StreamDelivery {
  streamId: number;
  offset: number;
  /** One encoded record, a view into the bytes of its batch. */
  record: Uint8Array;
}

/** `fenced`: somebody else has the session; `denied`: it is somebody else's. With the last three, ask again. */
export type SessionsStatus = 'done' | 'fenced' | 'denied' | 'not-leader' | 'busy' | 'unavailable';
