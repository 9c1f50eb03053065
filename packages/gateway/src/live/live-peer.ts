import type { LiveRequest, LiveResponse, LiveRoute } from '@sluice/rpc/contract/live';
import type { Channel } from '@sluice/rpc/transport';
import { Outbox } from './forward-batch.ts';

/**
 * Another gateway. Our channel to it carries our routes and our messages, its channel to us carries its own; either may
 * be there without the other for a moment.
 */
export class LivePeer {
  readonly nodeId: number;
  /** The topology names it; otherwise it is known because it has opened a channel, and forgotten with that. */
  named = false;
  outgoing: Channel<LiveRequest, LiveResponse> | undefined = undefined;
  incoming: Channel<LiveResponse, LiveRequest> | undefined = undefined;
  /** Inside `Transport.open`, which may bring the peer's own channel before it returns. */
  opening = false;
  retryAtMs = 0;
  backoffMs = BACKOFF_MS_MIN;

  /** Version of our routes it acts on. */
  seenVersion = 0;
  /** The newest it was told of, and owes an answer to or gave it. */
  #toldVersion = 0;
  /** Versions whose answer it owes, ascending; at most `UNANSWERED_MAX` of them besides a question. */
  #unanswered: number[] = [];
  /** The newest it was told of for the sake of its answer alone. */
  #askedVersion = 0;
  /** It let somebody wait in vain: nobody waits for it again until it has caught up, or answers in time again. */
  isLate = false;
  /** It let somebody wait in vain who was to read what is retained: nobody does so again until it answers anything. */
  isSilent = false;
  /** While it is late: a version whose answer is timed, 0 for none. */
  #timedVersion = 0;
  #timedSinceMs = 0;
  /** Version of its routes that it was not told we act on, because we had no channel to act by. */
  owedVersion = 0;

  readonly outbox = new Outbox();

  constructor(nodeId: number) {
    this.nodeId = nodeId;
  }

  /** False: what it is offered is dropped. */
  get hasRoom(): boolean {
    const { outgoing } = this;
    return outgoing !== undefined && outgoing.unsentBytes + this.outbox.sizeBytes < UNSENT_BYTES_MAX;
  }

  /** Too far behind to be told even the small things: it begins anew, with an image. */
  get isLost(): boolean {
    return this.outgoing !== undefined && this.outgoing.unsentBytes > 2 * UNSENT_BYTES_MAX;
  }

  began(channel: Channel<LiveRequest, LiveResponse>): void {
    this.outgoing = channel;
    this.seenVersion = 0;
    this.#toldVersion = 0;
    this.#askedVersion = 0;
    this.#unanswered = [];
  }

  backOff(nowMs: number): void {
    this.retryAtMs = nowMs + this.backoffMs;
    this.backoffMs = Math.min(this.backoffMs * 2, BACKOFF_MS_MAX);
  }

  /**
   * Routes are told at once, whatever it owes: it must not miss what is published because its stores are slow to answer. But
   * each answer it owes is kept there until they do, so beyond `UNANSWERED_MAX` routes go without their version, and one
   * question behind the next answer (`ask`) stands for all of these.
   */
  sendChanges(version: number, added: readonly LiveRoute[], removed: readonly LiveRoute[], nowMs: number): void {
    if (this.#unanswered.length < UNANSWERED_MAX) this.#send(version, added, removed, nowMs);
    else this.outgoing?.send({ type: 'routes-changed', version: 0, added, removed });
  }

  #send(version: number, added: readonly LiveRoute[], removed: readonly LiveRoute[], nowMs: number): void {
    this.outgoing?.send({ type: 'routes-changed', version, added, removed });
    this.#toldVersion = version;
    this.#unanswered.push(version);
    if (!this.isLate || this.#timedVersion !== 0) return;
    this.#timedVersion = version;
    this.#timedSinceMs = nowMs;
  }

  /**
   * No route is new, but somebody waits for its answer. It has one such question at a time: who asks while one is under way
   * is served by the next, which goes out with the answer. So it owes one, however long its stores take.
   */
  ask(version: number, nowMs: number): void {
    if (version <= this.#toldVersion || this.seenVersion < this.#askedVersion) return;
    this.#askedVersion = version;
    this.#send(version, [], [], nowMs);
  }

  /**
   * It acts on our routes up to `version`; `newest` is the version they have. While routes change all the time nobody is
   * ever up to date, so a late peer is forgiven, too, when it answers one version within `timelyMs`.
   */
  seen(version: number, newest: number, nowMs: number, timelyMs: number): void {
    this.seenVersion = Math.max(this.seenVersion, version);
    const left = this.#unanswered.findIndex((owed) => owed > version);
    this.#unanswered.splice(0, left === -1 ? this.#unanswered.length : left);
    this.backoffMs = BACKOFF_MS_MIN;
    this.isSilent = false;
    if (!this.isLate) return;
    const isTimed = this.#timedVersion !== 0 && version >= this.#timedVersion;
    if (version >= newest || (isTimed && nowMs - this.#timedSinceMs < timelyMs)) this.isLate = false;
    if (isTimed) this.#timedVersion = 0;
  }

  /** We act on its routes; told when there is a channel to act by. */
  acted(version: number): void {
    if (version === 0) return;
    if (this.outgoing === undefined) this.owedVersion = version;
    else this.incoming?.send({ type: 'seen', version });
  }

  /** Everything that we want, in pieces; only the last one has the version. */
  sendImage(routes: Iterable<LiveRoute>, version: number): void {
    let piece: LiveRoute[] = [];
    let length = 0;
    let isFirst = true;
    const send = (last: boolean): void => {
      const of = last ? version : 0;
      this.outgoing?.send(
        isFirst
          ? { type: 'routes', version: of, filters: piece }
          : { type: 'routes-changed', version: of, added: piece, removed: [] },
      );
      isFirst = false;
      piece = [];
      length = 0;
    };
    for (const route of routes) {
      piece.push(route);
      length += route.filter.length + route.share.length;
      if (piece.length >= PIECE_ROUTES_MAX || length >= PIECE_LENGTH_MAX) send(false);
    }
    send(true);
    this.#toldVersion = version;
  }
}

/** Live messages that wait for one gateway; further ones are dropped and counted, whatever their QoS. */
export const UNSENT_BYTES_MAX = 16 * 1024 * 1024;
/** Changes of our routes whose answer one gateway owes; further ones are told without asking for it. */
export const UNANSWERED_MAX = 64;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5_000;
const PIECE_ROUTES_MAX = 4_096;
const PIECE_LENGTH_MAX = 256 * 1024;
