import type { BoundId, RefusedId, TakenId } from './exchanges.ts';
import type { StoredSubscription } from './session-rows.ts';
import type { WillGroup } from './will-rows.ts';

/** What a command of sessions answers to its proposer. */
export type SessionReply =
  | {
      type: 'session-opened';
      /** 0: nothing is kept for this client, its session is its gateway's alone. */
      epoch: number;
      present: boolean;
      subscriptions: readonly StoredSubscription[];
      /** What its client publishes, and what it was sent, under packet ids that are still in use. */
      taken: readonly TakenId[];
      bound: readonly BoundId[];
      /** Of what its client published, it may not have heard so. */
      refused: readonly RefusedId[];
      /** Nobody said what of the rest it was sent. */
      isUnsure: boolean;
      /** Where it was connected until now; 0: nowhere. */
      formerGateway: number;
      formerEpoch: number;
    }
  /** The session belongs to somebody else who uses the same client id. */
  | { type: 'session-denied' }
  /** A stream id each; 0: nothing is kept for it, -1: it was refused, the session has too many. */
  | { type: 'session-subscribed'; streamIds: readonly number[] }
  /** Whether it was there, each. */
  | { type: 'session-unsubscribed'; existed: readonly boolean[] }
  /** Somebody else has the session by now, or it is over. */
  | { type: 'session-fenced' }
  /** False: it was not as the proposer believed. */
  | { type: 'session-closed'; changed: boolean }
  | { type: 'sessions-expired'; clientIds: readonly string[] }
  /** False: it was before, or nothing is left of that session. */
  | { type: 'portion-ended'; changed: boolean }
  | { type: 'session-passed' }
  /** The number of each `take`. */
  | { type: 'session-exchanged'; numbers: readonly number[] }
  | { type: 'wills-fired'; count: number }
  /** Undefined: none is due. */
  | { type: 'wills-claimed'; group: WillGroup | undefined }
  | { type: 'wills-ended'; count: number };

/** Said to the host of every replica; only a leader acts on them. */
export type SessionEffect =
  /** From now on what matches the filter is to be stored in the stream too. Lost: a new leader tells all of them. */
  | { type: 'stream-added'; streamId: number; filter: string }
  | { type: 'stream-removed'; streamId: number }
  /** Its oldest records may have been received by all. Lost: the next one says it again. */
  | { type: 'stream-passed'; streamId: number }
  /** It is over, and there is more of it than goes with one entry. Lost: a new leader looks at all of them. */
  | { type: 'session-ending' }
  /** Lost, all three: a new leader looks at those that wait and those that are due. */
  | { type: 'will-waiting'; dueAtMs: number }
  | { type: 'will-due'; number: number }
  | { type: 'will-cancelled'; number: number };
