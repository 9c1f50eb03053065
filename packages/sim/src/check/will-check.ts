import { Violation } from '../simulation.ts';

/** What one CONNECT left. */
export interface LeftWill {
  readonly id: number;
  readonly clientId: string;
  /** 0: none was asked for, or its version has none. */
  readonly delayS: number;
  readonly expiryS: number;
  readonly isClean: boolean;
  readonly sentMs: number;
}

/**
 * Whether and when wills fire, as their clients can tell: what they said and were told, and what stores answered.
 *
 * A client id is used by one CONNECT after the other, each behind the answer to the one before; one that no store answered
 * is its last, since it may be applied whenever it likes. So what follows a connection is known, but for the moment in
 * which a store learns of its end. That is not before the client ends it, except where a store took its gateway for
 * gone: then not before `ORPHAN_MS` after the CONNECT.
 *
 *   once     each gateway process publishes a will once; another one only where gateways may be out of reach
 *   early    not before the delay is over, or its session is; not for who is connected
 *   taken    not after a DISCONNECT 0x00 that a store has answered before anything else could have fired it
 *   resumed  not after a CONNECT that went on with the session, answered before the delay could be over
 *   due      in the end all others are published, but where a CONNECT without answer may have been in time
 *
 * What becomes of a will that is published is for those who check queues, sessions and retained messages.
 */
export class WillCheck {
  readonly #mayLose: () => boolean;
  readonly #wills = new Map<number, CheckedWill>();
  /** By client id, in the order of their CONNECTs. Those without a will are among them. */
  readonly #connects = new Map<string, CheckedWill[]>();
  /** By stream: where each will is in it. */
  readonly #places = new Map<string, number>();
  /** By connection and subscription: how often it was brought a will that nobody keeps. */
  readonly #live = new Map<string, number>();
  fired = 0;
  takenBack = 0;

  /** So long a store waits for a gateway that is gone (`PartitionSessions.ORPHAN_GRACE_MS`). */
  static readonly ORPHAN_MS = 10_000;
  /** Clocks tell whole milliseconds. */
  static readonly CLOCK_MS = 1;

  /** `mayLose`: a gateway may die, or be out of the stores' reach. */
  constructor(mayLose: () => boolean) {
    this.#mayLose = mayLose;
  }

  // ---- what the client does and hears

  /** A CONNECT; `hasWill` false: it leaves none, and what it means for the one before is all there is to check. */
  left(will: LeftWill, hasWill: boolean): void {
    const connects = this.#connects.get(will.clientId) ?? [];
    if (connects.length === 0) this.#connects.set(will.clientId, connects);
    const checked: CheckedWill = {
      ...will,
      hasWill,
      openedMs: NEVER,
      endedMs: NEVER,
      isEndedByClient: false,
      takesBack: false,
      takenMs: NEVER,
      closedMs: NEVER,
      leftExpiryS: will.expiryS,
      next: undefined,
      processes: new Set(),
      firedMs: NEVER,
      publishedMs: NEVER,
    };
    const before = connects.at(-1);
    if (before !== undefined) before.next = checked;
    connects.push(checked);
    this.#wills.set(will.id, checked);
  }

  /** CONNACK. */
  opened(id: number, atMs: number): void {
    const will = this.#will(id);
    will.openedMs = atMs;
    const connects = this.#connects.get(will.clientId) as CheckedWill[];
    const before = connects[connects.indexOf(will) - 1];
    if (before !== undefined) this.#judge(before);
  }

  /** `expiryS`: as DISCONNECT says it. */
  saidFarewell(id: number, takesBack: boolean, expiryS: number | undefined): void {
    const will = this.#will(id);
    will.takesBack = takesBack;
    will.leftExpiryS = expiryS ?? will.expiryS;
  }

  /** Not `isByClient`: somebody else ended it, at some time since it was open. */
  ended(id: number, atMs: number, isByClient: boolean): void {
    const will = this.#will(id);
    will.endedMs = atMs;
    will.isEndedByClient = isByClient;
  }

  // ---- what stores and gateways do

  /** A store answered, at that time, that the connection is over. */
  closed(id: number, saidAtMs: number, isTakenBack: boolean): void {
    const will = this.#will(id);
    will.closedMs = Math.min(will.closedMs, saidAtMs);
    if (!isTakenBack || will.takenMs <= saidAtMs) return;
    will.takenMs = saidAtMs;
    this.takenBack++;
    this.#judge(will);
  }

  /** A gateway publishes it. */
  published(id: number, atMs: number, process: string): void {
    const will = this.#will(id);
    if (!will.hasWill)
      throw new Violation('no invention', `${nameOf(will)} left no will, and ${process} publishes one`);
    if (will.processes.has(process)) throw new Violation('will twice', `${process} publishes ${nameOf(will)} again`);
    if (will.processes.size > 0 && !this.#mayLose()) {
      throw new Violation('will twice', `${[...will.processes]} published ${nameOf(will)}, and now ${process}`);
    }
    will.processes.add(process);
    if (will.firedMs !== NEVER) return;
    this.fired++;
    will.firedMs = atMs;
    const earliestMs = this.#dueFromMs(will);
    if (atMs + WillCheck.CLOCK_MS < earliestMs) {
      throw new Violation('will too early', `${nameOf(will)} fires at ${atMs}, not due before ${earliestMs}`);
    }
    this.#judge(will);
  }

  /** A gateway has told the store that it is done. */
  confirmed(id: number, atMs: number): void {
    const will = this.#will(id);
    will.publishedMs = Math.min(will.publishedMs, atMs);
  }

  /** A stream holds it there. */
  kept(id: number, stream: string, offset: number): void {
    const key = `${stream} ${id}`;
    const before = this.#places.get(key) ?? offset;
    if (before !== offset) {
      throw new Violation(
        'will twice',
        `stream ${stream} holds ${nameOf(this.#will(id))} at ${before} and at ${offset}`,
      );
    }
    this.#places.set(key, offset);
  }

  /** It came to a live subscription: as often as gateways published it. */
  cameLive(id: number, subscription: string): void {
    const key = `${subscription} ${id}`;
    const times = (this.#live.get(key) ?? 0) + 1;
    this.#live.set(key, times);
    const will = this.#will(id);
    if (times > will.processes.size) {
      throw new Violation(
        'will twice',
        `${subscription} got ${nameOf(will)} ${times} times, of ${will.processes.size}`,
      );
    }
  }

  // ---- in the end

  /** Those that have to be published and are not. */
  *due(): Generator<string> {
    for (const will of this.#wills.values()) {
      if (will.publishedMs === NEVER && this.#mustFire(will)) yield nameOf(will);
    }
  }

  atTheEnd(): void {
    for (const who of this.due()) throw new Violation('will lost', `${who} is not published`);
  }

  /** What may not fire has not. */
  #judge(will: CheckedWill): void {
    if (will.firedMs === NEVER) return;
    const what = `${nameOf(will)} fired at ${will.firedMs}`;
    if (this.#isTakenBack(will)) {
      throw new Violation('will taken back', `${what}, taken back by ${will.takenMs}`);
    }
    if (this.#isResumed(will)) {
      const { sentMs, openedMs } = will.next as CheckedWill;
      throw new Violation('will of a client that is back', `${what}, back between ${sentMs} and ${openedMs}`);
    }
  }

  /** Said so by its client or by the gateway that let nobody in, and applied before anything else could have fired it. */
  #isTakenBack(will: CheckedWill): boolean {
    const { takesBack, takenMs, next } = will;
    // Where every gateway is there and is heard, what it was told is done, whoever has been answered.
    if (takenMs === NEVER && (!takesBack || this.#mayLose())) return false;
    if (takenMs >= this.#orphanedFromMs(will) && this.#mayLose()) return false;
    const isOvertaken = next !== undefined && next.sentMs <= takenMs;
    return !isOvertaken || (delayMsOf(will) > 0 && !next.isClean);
  }

  /** The next CONNECT went on with the session, and was answered before the delay could be over. */
  #isResumed(will: CheckedWill): boolean {
    const { next } = will;
    if (next === undefined || next.isClean || delayMsOf(will) === 0) return false;
    return next.openedMs + WillCheck.CLOCK_MS < this.#endedFromMs(will) + delayMsOf(will);
  }

  #mustFire(will: CheckedWill): boolean {
    const { hasWill, openedMs, endedMs, takesBack, next, closedMs } = will;
    if (!hasWill || openedMs === NEVER || takesBack) return false;
    if (endedMs === NEVER && next === undefined) return false;
    const delayMs = delayMsAtMost(will);
    if (delayMs === 0 || next === undefined || next.isClean) return true;
    return closedMs + delayMs + WillCheck.CLOCK_MS < next.sentMs;
  }

  /** The earliest that it can be due. */
  #dueFromMs(will: CheckedWill): number {
    const dueMs = this.#endedFromMs(will) + delayMsOf(will);
    return will.next?.isClean === true ? Math.min(dueMs, will.next.sentMs) : dueMs;
  }

  /** The earliest that its connection can have ended, as stores see it. */
  #endedFromMs(will: CheckedWill): number {
    const { openedMs, sentMs, endedMs, isEndedByClient, next } = will;
    if (openedMs === NEVER) return sentMs;
    const knownMs = endedMs === NEVER || isEndedByClient ? endedMs : openedMs;
    return Math.min(knownMs, next?.sentMs ?? NEVER, this.#orphanedFromMs(will));
  }

  #orphanedFromMs({ sentMs }: CheckedWill): number {
    return this.#mayLose() ? sentMs + WillCheck.ORPHAN_MS : NEVER;
  }

  #will(id: number): CheckedWill {
    const will = this.#wills.get(id);
    if (will === undefined) throw new Violation('no invention', `nobody left a will ${id}`);
    return will;
  }
}

const NEVER = Number.POSITIVE_INFINITY;

/** It is due no later than its session ends; at least, for the DISCONNECT that says when may not have come. */
function delayMsOf({ delayS, expiryS, leftExpiryS }: CheckedWill): number {
  return Math.min(delayS, expiryS, leftExpiryS) * 1000;
}

function delayMsAtMost({ delayS, expiryS, leftExpiryS }: CheckedWill): number {
  return Math.min(delayS, Math.max(expiryS, leftExpiryS)) * 1000;
}

function nameOf({ id, clientId, delayS, leftExpiryS }: CheckedWill): string {
  return `will ${id} of ${clientId} (delay ${delayS}, session ${leftExpiryS})`;
}

interface CheckedWill extends LeftWill {
  readonly hasWill: boolean;
  /** CONNACK. */
  openedMs: number;
  /** As the client sees it. */
  endedMs: number;
  isEndedByClient: boolean;
  /** DISCONNECT 0x00 was sent. */
  takesBack: boolean;
  /** By when a store had applied it. */
  takenMs: number;
  /** By when a store knew of the end. */
  closedMs: number;
  leftExpiryS: number;
  /** Over the client's next connection. */
  next: CheckedWill | undefined;
  /** Who published it. */
  readonly processes: Set<string>;
  firedMs: number;
  publishedMs: number;
}
