import type { Clock } from '@sluice/common/clock';
import type { Counter, Gauge, Metrics } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type { RetainedAsk, RetainedPage, RetainedRequest, RetainedResponse } from '@sluice/rpc/contract/retained';
import type { Transport } from '@sluice/rpc/transport';
import type { RouteTable } from '../route/route-table.ts';
import { type RetainedListener, RetainedLookup } from './retained-lookup.ts';
import { UnreachedPartitions } from './unreached-partitions.ts';

/**
 * A node's way to the retained messages. Lookups that want a page in the same turn and of the same store go there as one
 * question: clients that come back all at once cost a question a store and turn, not one each. A store is asked
 * `CALLS_MAX` questions at once, so that many lookups wait here, where they cost nothing, and not there.
 *
 * What can be read now comes first. Partitions that refused or did not answer are nobody's to ask then but the scout's: one
 * question a store, for no topic, about all of those it may lead, again and again until each was answered; a leader that did
 * not answer somebody once says nothing when it does again, and nobody else may have a reason to ask it. A lookup with
 * nothing else left waits for that, however long it takes, since who waits is a subscriber that has its SUBACK. It goes on
 * where it was. `STALLED_MAX` may wait; more than those end with what they have, as do those whose partition answers
 * `STALLS_MAX` times in a row and cannot be read.
 */
export class RetainedLookups {
  readonly #topology: Topology;
  readonly #routes: RetainedRoutes;
  readonly #transport: Pick<Transport, 'call'>;
  readonly #failed: Counter;
  readonly #open: Gauge;
  readonly #stalled: Gauge;
  /** To be asked with this turn. */
  #ready: RetainedLookup[] = [];
  readonly #unreached: UnreachedPartitions;
  /** To be told that they may ask again. */
  #woken: RetainedLookup[] = [];
  /** Questions under way, by store. */
  readonly #calls = new Map<number, number>();
  /** The scout waits for their answer. */
  readonly #scouted = new Set<number>();
  #turnRequested = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  static readonly CALLS_MAX = 4;
  static readonly ASKS_MAX = 64;
  static readonly STALLED_MAX = 65_536;
  static readonly STALLS_MAX = 64;
  /** Each has its connection take a turn. */
  static readonly WOKEN_A_TURN = 512;

  constructor(options: {
    topology: Topology;
    routes: RetainedRoutes;
    transport: Pick<Transport, 'call'>;
    clock: Clock;
    metrics: Metrics;
  }) {
    this.#topology = options.topology;
    this.#routes = options.routes;
    this.#transport = options.transport;
    this.#unreached = new UnreachedPartitions(options.clock);
    this.#failed = options.metrics.counter(
      'sluice_gateway_retained_failed_total',
      'Subscriptions that did not get all retained messages: too many waited for a partition, or it could not be read',
    );
    this.#open = options.metrics.gauge(
      'sluice_gateway_retained_lookups',
      'Subscriptions that retained messages are read for',
    );
    this.#stalled = options.metrics.gauge(
      'sluice_gateway_retained_stalled',
      'Of these, those that wait for partitions that do not answer',
    );
  }

  /** Nothing is asked before `more`; pages come one by one. */
  open(filter: string, listener: RetainedListener): RetainedLookup {
    this.#open.add(1);
    return new RetainedLookup(this, filter, listener);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#ready = [];
    this.#woken = [];
  }

  /** Of a lookup: it wants a page. */
  want(lookup: RetainedLookup): void {
    if (this.#closed) return;
    this.#ready.push(lookup);
    this.#requestTurn();
  }

  ended(lookup: RetainedLookup): void {
    this.#open.add(-1);
    if (this.#unreached.forget(lookup)) this.#stalled.add(-1);
  }

  #requestTurn(): void {
    if (this.#turnRequested) return;
    this.#turnRequested = true;
    setImmediate(() => {
      this.#turnRequested = false;
      this.#ask();
    });
  }

  #ask(): void {
    if (this.#closed) return;
    this.#wake();
    const ready = this.#ready;
    this.#ready = [];
    const byStore = new Map<number, RetainedLookup[]>();
    for (const lookup of ready) {
      if (lookup.isClosed) continue;
      lookup.begin(this.#topology.partitionCount);
      const store = this.#storeFor(lookup);
      if (store === 0) this.#stall(lookup);
      else addTo(byStore, store, lookup);
    }
    for (const [store, lookups] of byStore) this.#askStore(store, lookups);
  }

  /** Who leads the first partition that is left and may be asked now; 0: nobody does. */
  #storeFor({ places }: RetainedLookup): number {
    for (const { partition } of places) {
      const leader = this.#unreached.has(partition) ? 0 : this.#routes.leaderOf(partition);
      if (leader !== 0) return leader;
    }
    return 0;
  }

  /** Undefined: nobody there, or what it has cannot be read. */
  async #question(store: number, asks: readonly RetainedAsk[]): Promise<RetainedResponse | undefined> {
    try {
      const request: RetainedRequest = { asks };
      return await this.#transport.call<RetainedRequest, RetainedResponse>(store, 'retained', request);
    } catch {
      // Asked for by the scout.
      return undefined;
    }
  }

  #askStore(store: number, lookups: RetainedLookup[]): void {
    for (let at = 0; at < lookups.length; ) {
      const calls = this.#calls.get(store) ?? 0;
      if (calls >= RetainedLookups.CALLS_MAX) {
        // Asked again with the turn in which a question is answered.
        for (const lookup of lookups.slice(at)) this.#ready.push(lookup);
        return;
      }
      const batch = lookups.slice(at, at + RetainedLookups.ASKS_MAX);
      at += batch.length;
      this.#calls.set(store, calls + 1);
      void this.#call(store, batch);
    }
  }

  async #call(store: number, lookups: readonly RetainedLookup[]): Promise<void> {
    const isAsked = (partition: number): boolean =>
      this.#routes.leaderOf(partition) === store && !this.#unreached.has(partition);
    const asks: RetainedAsk[] = lookups.map((lookup) => ({
      filter: lookup.filter,
      places: lookup.places.filter(({ partition }) => isAsked(partition)),
    }));
    // Without an answer all are asked for again.
    const { pages = [] } = (await this.#question(store, asks)) ?? {};
    this.#calls.set(store, (this.#calls.get(store) as number) - 1);
    if (this.#closed) return;
    for (let i = 0; i < lookups.length; i++) {
      this.#learn(store, asks[i] as RetainedAsk, pages[i]);
      this.#answered(lookups[i] as RetainedLookup, asks[i] as RetainedAsk, pages[i]);
    }
    if (this.#ready.length > 0) this.#requestTurn();
  }

  /** It read what only a leader reads, or says that it leads no more, or says nothing. */
  #learn(store: number, { places }: RetainedAsk, page: RetainedPage | undefined): void {
    for (const { partition } of places) {
      const refusal = page?.elsewhere.find((one) => one.partition === partition);
      if (page !== undefined && refusal === undefined) {
        this.#routes.confirmed(partition, store);
        continue;
      }
      this.#unreached.add(partition);
      if (refusal === undefined) continue;
      if (this.#routes.leaderOf(partition) !== store || (refusal.leader !== 0 && refusal.leader !== store)) {
        this.#routes.suspect(partition, store);
        this.#routes.hinted(partition, refusal.leader);
      }
    }
    this.#watch();
  }

  #answered(lookup: RetainedLookup, ask: RetainedAsk, page: RetainedPage | undefined): void {
    if (lookup.isClosed) return;
    if (page !== undefined) lookup.advance(ask, page);
    if (page !== undefined && (page.records.length > 0 || lookup.places.length === 0)) {
      lookup.give(page.records);
    } else this.#ready.push(lookup);
  }

  // ---- partitions that do not answer

  #stall(lookup: RetainedLookup): void {
    const { size } = this.#unreached;
    if (size >= RetainedLookups.STALLED_MAX || lookup.stalls >= RetainedLookups.STALLS_MAX) {
      this.#failed.add();
      lookup.giveUp();
      return;
    }
    for (const { partition } of lookup.places) this.#unreached.add(partition);
    // Before it is known how many partitions there are.
    if (lookup.places.length === 0) this.#unreached.add(1);
    this.#unreached.wait(lookup);
    this.#stalled.add(1);
    this.#watch();
    lookup.stall();
  }

  #watch(): void {
    if (this.#unreached.size === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#scout();
      this.#watch();
    }, UnreachedPartitions.PAUSE_MS_MIN);
  }

  /** All that may lead one of them at once, none twice: what one does not answer holds up no other. */
  #scout(): void {
    const byStore = new Map<number, number[]>();
    for (const partition of this.#unreached.due()) {
      const store = this.#routes.leaderOf(partition) || this.#routes.candidate(partition);
      if (store !== 0 && !this.#scouted.has(store)) addTo(byStore, store, partition);
    }
    for (const [store, partitions] of byStore) void this.#scoutAt(store, partitions);
  }

  async #scoutAt(store: number, partitions: readonly number[]): Promise<void> {
    const ask: RetainedAsk = { filter: NO_TOPIC, places: partitions.map((partition) => ({ partition, at: START })) };
    this.#scouted.add(store);
    const response = await this.#question(store, [ask]);
    this.#scouted.delete(store);
    const page = response?.pages[0];
    if (this.#closed || page === undefined) return;
    this.#learn(store, ask, page);
    for (const partition of partitions) {
      if (page.elsewhere.some((one) => one.partition === partition)) continue;
      for (const lookup of this.#unreached.reached(partition)) {
        this.#stalled.add(-1);
        this.#woken.push(lookup);
      }
    }
    if (this.#woken.length > 0) this.#requestTurn();
  }

  #wake(): void {
    for (const lookup of this.#woken.splice(0, RetainedLookups.WOKEN_A_TURN)) lookup.again();
    if (this.#woken.length > 0) this.#requestTurn();
  }
}

/** What is asked of the route table, and told to it. */
export type RetainedRoutes = Pick<RouteTable, 'leaderOf' | 'candidate' | 'confirmed' | 'suspect' | 'hinted'>;

/** Any that is not there will do. */
const NO_TOPIC = '$';
const START = new Uint8Array(0);

function addTo<T>(lists: Map<number, T[]>, key: number, one: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [one]);
  else list.push(one);
}
