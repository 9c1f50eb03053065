import type { RouteTable } from '@sluice/store-client/route/route-table';

/**
 * Who waits to attach because nobody is known to lead a partition, or because its leader refused for now.
 *
 * Usually the route table hears who leads within a moment, and all attach at once. When it hears nothing, somebody has to
 * ask; ten thousand asking every replica would be an attack. So one is sent ahead: a store that does not lead refuses
 * it soon, and one that has not after a pause is taken to lead, so the others follow. The pause grows.
 */
export class LeaderWaiting {
  readonly #routes: RouteTable;
  readonly #places = new Map<number, Place>();
  #isClosed = false;

  static readonly PAUSE_MS_MIN = 50;
  static readonly PAUSE_MS_MAX = 500;

  constructor(routes: RouteTable) {
    this.#routes = routes;
    routes.onLeader((partition, nodeId) => this.#leaderKnown(partition, nodeId));
  }

  wait(waiter: LeaderWaiter): void {
    if (this.#isClosed) return;
    const { partition } = waiter;
    let place = this.#places.get(partition);
    if (place === undefined) {
      place = { waiters: new Set(), pauseMs: LeaderWaiting.PAUSE_MS_MIN, ahead: undefined, timer: undefined };
      this.#places.set(partition, place);
    }
    place.waiters.add(waiter);
    this.#arm(partition, place);
  }

  /** It is not interested any more. */
  leave(waiter: LeaderWaiter): void {
    this.#places.get(waiter.partition)?.waiters.delete(waiter);
  }

  close(): void {
    this.#isClosed = true;
    for (const place of this.#places.values()) clearTimeout(place.timer);
    this.#places.clear();
  }

  #arm(partition: number, place: Place): void {
    place.timer ??= setTimeout(() => {
      place.timer = undefined;
      this.#pauseOver(partition, place);
    }, place.pauseMs);
  }

  #pauseOver(partition: number, place: Place): void {
    const { ahead } = place;
    place.ahead = undefined;
    if (place.waiters.size === 0 && ahead === undefined) {
      this.#places.delete(partition);
      return;
    }
    place.pauseMs = Math.min(place.pauseMs * 2, LeaderWaiting.PAUSE_MS_MAX);
    // Armed in any case: whoever is refused at once must not find a fresh place with a short pause.
    this.#arm(partition, place);
    const leader = this.#routes.leaderOf(partition);
    if (leader !== 0) {
      attachAll(place, leader);
      return;
    }
    if (ahead !== undefined && ahead.waiter.nodeId === ahead.nodeId) {
      this.#routes.confirmed(partition, ahead.nodeId);
      return;
    }
    const nodeId = this.#routes.candidate(partition);
    const [waiter] = place.waiters;
    if (nodeId === 0 || waiter === undefined) return;
    place.waiters.delete(waiter);
    place.ahead = { waiter, nodeId };
    waiter.attachAt(nodeId);
  }

  #leaderKnown(partition: number, nodeId: number): void {
    const place = this.#places.get(partition);
    if (place === undefined) return;
    place.ahead = undefined;
    place.pauseMs = LeaderWaiting.PAUSE_MS_MIN;
    attachAll(place, nodeId);
  }
}

export interface LeaderWaiter {
  readonly partition: number;
  /** Where it is attached; 0: nowhere. */
  readonly nodeId: number;
  attachAt(nodeId: number): void;
}

interface Place {
  readonly waiters: Set<LeaderWaiter>;
  pauseMs: number;
  /** Sent to a replica to see whether it is refused. */
  ahead: { waiter: LeaderWaiter; nodeId: number } | undefined;
  timer: NodeJS.Timeout | undefined;
}

function attachAll(place: Place, nodeId: number): void {
  const waiters = [...place.waiters];
  place.waiters.clear();
  for (const waiter of waiters) waiter.attachAt(nodeId);
}
