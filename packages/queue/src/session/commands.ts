import type { Portion } from './endings.ts';

/** What happens to sessions, as the leader of their partition proposes it. What each means is said by `session-machine`. */
export type SessionCommand =
  | OpenCommand
  | SubscribeCommand
  | UnsubscribeCommand
  | PassCommand
  | CloseCommand
  | ExpireCommand
  | EndPortionCommand
  | ExchangeCommand
  | FireWillsCommand
  | ClaimWillsCommand
  | EndWillsCommand;

/** Seconds after the connection's end; this many: never. */
export const EXPIRY_NEVER_S = 0xffff_ffff;

export interface OpenCommand {
  type: 'open-session';
  clientId: string;
  /** Who the client proved to be; empty: nobody in particular. Only the same may go on with a session. */
  identity: string;
  /** The node whose client it is from now on. */
  gateway: number;
  cleanStart: boolean;
  /** 0: it is to end with its connection, so nothing is begun for it that is not there, unless it leaves a will. */
  expiryS: number;
  /**
   * Drawn by the gateway for this CONNECT: an open that is asked again, because its answer was lost, is no take-over, and
   * what it began was not there before. Absent: of a release that drew one for wills alone.
   */
  ticket?: number;
  will?: LeftWill;
  /** Of an open with a ticket. */
  endsInPortions?: boolean;
}

export interface LeftWill {
  /** That of its CONNECT. */
  ticket: number;
  delayS: number;
  /** As the gateway wrote it for whoever will publish it. */
  message: Uint8Array;
}

export interface SubscribeCommand {
  type: 'subscribe-session';
  clientId: string;
  epoch: number;
  /** Bounds of a stream that begins with this; null: none. */
  countMax: number | null;
  bytesMax: number | null;
  subscriptions: readonly SubscriptionRequest[];
}

export interface SubscriptionRequest {
  filter: string;
  /** The options byte of SUBSCRIBE, and the Subscription Identifier (0: none): kept for the gateway. */
  options: number;
  subscriptionId: number;
  /** Whether messages are kept for it while nobody is connected. */
  isStored: boolean;
}

export interface UnsubscribeCommand {
  type: 'unsubscribe-session';
  clientId: string;
  epoch: number;
  filters: readonly string[];
}

/** The client is done with records of streams: taken, expired, or not there any more. */
export interface PassCommand {
  type: 'pass-session';
  passes: readonly Pass[];
}

export interface Pass {
  clientId: string;
  epoch: number;
  streamId: number;
  /** Flat pairs `[from, to, …]`, `to` excluded. */
  ranges: readonly number[];
}

export interface CloseCommand {
  type: 'close-session';
  clientId: string;
  epoch: number;
  /** From now on; undefined: as it was. */
  expiryS: number | undefined;
  /** Its client took its leave: the will is not published. Otherwise it is due, now or after its delay. */
  takesWillBack?: boolean;
  /**
   * Its gateway is gone, and left no word of what it had sent and was not answered; or it is there, and was not brought
   * yet what the one before may have sent.
   */
  leavesUnsure?: boolean;
  endsInPortions?: boolean;
}

/** Those whose time is over by the time of this command; the others are left alone. */
export interface ExpireCommand {
  type: 'expire-sessions';
  clientIds: readonly string[];
  endsInPortions?: boolean;
}

/**
 * Of a session that was ended by one of the three above which said `endsInPortions`, if it was a large one: this part of
 * what it left goes. Ended by one that did not say so, by a leader of an older release, all of it went at once.
 */
export interface EndPortionCommand extends Portion {
  type: 'end-portion';
}

/** Those whose delay is over by the time of this command; the others are left alone. */
export interface FireWillsCommand {
  type: 'fire-wills';
  clientIds: readonly string[];
}

/** This gateway is asked to publish the group under way, or, when there is none, one of these wills. */
export interface ClaimWillsCommand {
  type: 'claim-wills';
  gateway: number;
  numbers: readonly number[];
}

/** The group is published. */
export interface EndWillsCommand {
  type: 'end-wills';
  group: number;
}

/** What became of packet identifiers (`exchanges`), in the order in which it did. */
export interface ExchangeCommand {
  type: 'exchange-session';
  clientId: string;
  epoch: number;
  /** 1, 2, ... within the epoch: one that is sent again is applied once. */
  serial: number;
  steps: readonly ExchangeStep[];
}

export type ExchangeStep =
  /** What the client publishes under it at QoS 2 is about to be stored; answered by the number of the exchange. */
  | { type: 'take'; packetId: number }
  /** PUBREL came; before machine version 6 also: the publish was refused. */
  | { type: 'release'; packetId: number }
  /** The publish was refused, and its client is about to be told so. */
  | { type: 'refuse'; packetId: number; reasonCode: number }
  /** The record is about to be sent under it; stream 0: a message that the store does not have. */
  | { type: 'bind'; packetId: number; qos: 1 | 2; streamId: number; offset: number }
  /** PUBREC came: the record is passed, and PUBREL is about to be sent. */
  | { type: 'receive'; packetId: number; streamId: number; offset: number }
  /** PUBACK or PUBCOMP came. */
  | { type: 'finish'; packetId: number };
