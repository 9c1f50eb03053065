import type { Clock } from '@sluice/common/clock';
import type { Counter, Gauge, Metrics } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type { RetainedAsk, RetainedPage, RetainedRequest, RetainedResponse } from '@sluice/rpc/contract/retained';
import type { Transport } from '@sluice/rpc/transport';
import type { RouteTable } from '../route/route-table.ts';
import { type RetainedListener, RetainedLookup } from './retained-lookup.ts';

/**
 * A node's way to the retained messages. Lookups that want a page in the same turn and of the same store go there as one
 * question: clients that come back all at once cost a question a store and turn, not one each. A store is asked
 * `CALLS_MAX` questions at once, so that many lookups wait here, where they cost nothing, and not there.
 *
 * Of a partition without a known leader the replicas are asked in turn, a pause between them: a leader that did not answer
 * somebody once says nothing when it does again, and nobody else may have a reason to ask it. Who waits is a subscriber
 * that has its SUBACK. After `DEADLINE_MS` without a page the lookup ends with what it has.
 *
 * A store that leads and does not answer takes the whole time of a question to say so. What the others hold comes first, for
 * whoever asks; then it is not asked for a page, which would bind the lookup to it, but for a sign of life: each such store
 * once at a time, all of them at once, whoever waits. Meanwhile lookups are free to follow another leader.
 */
export class RetainedLookups {
  readonly #topology: Topology;
  readonly #routes: RetainedRoutes;
  readonly #transport: Pick<Transport, 'call'>;
  readonly #clock: Clock;
  readonly #failed: Counter;
  readonly #open: Gauge;
  /** To be asked with this turn. */
  #ready: RetainedLookup[] = [];
  /** Paused: nobody leads, or nobody answered. */
  #paused: RetainedLookup[] = [];
  /** Questions under way, by store. */
  readonly #calls = new Map<number, number>();
  /** They let the last question go unanswered. No more of them than there are stores. */
  readonly #silent = new Set<number>();
  /** Of those: asked for a sign of life. */
  readonly #probed = new Set<number>();
  #turnRequested = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  static readonly CALLS_MAX = 4;
  static readonly ASKS_MAX = 64;
  static readonly PAUSE_MS = 50;
  static readonly DEADLINE_MS = 15_000;

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
    this.#clock = options.clock;
    this.#failed = options.metrics.counter(
      'sluice_gateway_retained_failed_total',
      'Subscriptions that did not get all retained messages, because a partition did not answer',
    );
    this.#open = options.metrics.gauge(
      'sluice_gateway_retained_lookups',
      'Subscriptions that retained messages are read for',
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
    this.#paused = [];
  }

  /** Of a lookup: it wants a page. */
  want(lookup: RetainedLookup): void {
    if (this.#closed) return;
    lookup.wantsSinceMs = this.#clock.monotonicMs();
    this.#ready.push(lookup);
    this.#requestTurn();
  }

  ended(): void {
    this.#open.add(-1);
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
    const ready = this.#ready;
    this.#ready = [];
    const byStore = new Map<number, RetainedLookup[]>();
    const stores: StoresOfTurn = new Map();
    for (const lookup of ready) {
      if (lookup.isClosed) continue;
      const store = this.#storeFor(lookup, stores);
      if (store === 0) {
        this.#pause(lookup);
        continue;
      }
      const others = byStore.get(store);
      if (others === undefined) byStore.set(store, [lookup]);
      else others.push(lookup);
    }
    for (const [store, lookups] of byStore) this.#askStore(store, lookups, stores);
  }

  /**
   * Who leads the first partition that is left and whose leader is known, of those that answer; of none: who may lead the
   * first that nobody is known to lead. 0: nobody who answers.
   */
  #storeFor(lookup: RetainedLookup, stores: StoresOfTurn): number {
    lookup.begin(this.#topology.partitionCount);
    let unled = 0;
    for (const { partition } of lookup.places) {
      const leader = this.#routes.leaderOf(partition);
      if (leader === 0) {
        if (unled === 0) unled = partition;
        continue;
      }
      stores.set(partition, leader);
      if (!this.#silent.has(leader)) return leader;
      this.#probe(leader);
    }
    if (unled === 0) return 0;
    // One a turn, however many wait for it.
    const store = stores.get(unled) ?? this.#routes.candidate(unled);
    if (store !== 0) stores.set(unled, store);
    if (!this.#silent.has(store)) return store;
    this.#probe(store);
    return 0;
  }

  #probe(store: number): void {
    if (this.#probed.has(store)) return;
    this.#probed.add(store);
    void this.#question(store, NOTHING_ASKED).then(() => this.#probed.delete(store));
  }

  /** Undefined: nobody there, or what it has cannot be read. */
  async #question(store: number, asks: readonly RetainedAsk[]): Promise<RetainedResponse | undefined> {
    try {
      const request: RetainedRequest = { asks };
      const response = await this.#transport.call<RetainedRequest, RetainedResponse>(store, 'retained', request);
      this.#silent.delete(store);
      return response;
    } catch {
      this.#silent.add(store);
      return undefined;
    }
  }

  #askStore(store: number, lookups: RetainedLookup[], stores: StoresOfTurn): void {
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
      void this.#call(store, batch, stores);
    }
  }

  async #call(store: number, lookups: readonly RetainedLookup[], stores: StoresOfTurn): Promise<void> {
    const isAsked = (partition: number): boolean =>
      (stores.get(partition) ?? this.#routes.leaderOf(partition)) === store;
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

  /** It read what only a leader reads, or says that it leads no more. */
  #learn(store: number, { places }: RetainedAsk, page: RetainedPage | undefined): void {
    for (const { partition } of page === undefined ? [] : places) {
      const refusal = page?.elsewhere.find((one) => one.partition === partition);
      if (refusal === undefined) this.#routes.confirmed(partition, store);
      else if (this.#routes.leaderOf(partition) !== store || (refusal.leader !== 0 && refusal.leader !== store)) {
        this.#routes.suspect(partition, store);
        this.#routes.hinted(partition, refusal.leader);
      }
    }
  }

  #answered(lookup: RetainedLookup, ask: RetainedAsk, page: RetainedPage | undefined): void {
    if (lookup.isClosed) return;
    const isElsewhere = page === undefined || page.elsewhere.length > 0;
    if (page !== undefined) lookup.advance(ask, page);
    if (page !== undefined && (page.records.length > 0 || lookup.places.length === 0)) {
      lookup.give(page.records);
    } else if (isElsewhere) this.#pause(lookup);
    else this.#ready.push(lookup);
  }

  #pause(lookup: RetainedLookup): void {
    if (this.#clock.monotonicMs() - lookup.wantsSinceMs > RetainedLookups.DEADLINE_MS) {
      this.#failed.add();
      lookup.giveUp();
      return;
    }
    this.#paused.push(lookup);
    this.#timer ??= setTimeout(() => this.#resume(), RetainedLookups.PAUSE_MS);
  }

  #resume(): void {
    this.#timer = undefined;
    for (const lookup of this.#paused) this.#ready.push(lookup);
    this.#paused = [];
    this.#requestTurn();
  }
}

/** What is asked of the route table, and told to it. */
export type RetainedRoutes = Pick<RouteTable, 'leaderOf' | 'candidate' | 'confirmed' | 'suspect' | 'hinted'>;

const NOTHING_ASKED: readonly RetainedAsk[] = [];

/** By partition: who is asked. */
type StoresOfTurn = Map<number, number>;
