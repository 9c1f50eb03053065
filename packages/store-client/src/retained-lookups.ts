import type { Clock } from '@sluice/common/clock';
import type { Counter, Gauge, Metrics } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type { RetainedAsk, RetainedPage, RetainedRequest, RetainedResponse } from '@sluice/rpc/contract/retained';
import type { Transport } from '@sluice/rpc/transport';
import { type RetainedListener, RetainedLookup } from './retained-lookup.ts';
import type { RouteTable } from './route-table.ts';

/**
 * A node's way to the retained messages. Lookups that want a page in the same turn and of the same store go there as one
 * question: clients that come back all at once cost a question a store and turn, not one each. A store is asked
 * `CALLS_MAX` questions at once, so that many lookups wait here, where they cost nothing, and not there.
 *
 * A partition without a known leader is asked for again after a pause, and so is one whose store did not answer: who
 * waits is a subscriber that has its SUBACK. After `DEADLINE_MS` without a page the lookup ends with what it has.
 */
export class RetainedLookups {
  readonly #topology: Topology;
  readonly #routes: Pick<RouteTable, 'leaderOf'>;
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
  #turnRequested = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  static readonly CALLS_MAX = 4;
  static readonly ASKS_MAX = 64;
  static readonly PAUSE_MS = 50;
  static readonly DEADLINE_MS = 15_000;

  constructor(options: {
    topology: Topology;
    routes: Pick<RouteTable, 'leaderOf'>;
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
    for (const lookup of ready) {
      if (lookup.isClosed) continue;
      const store = this.#storeFor(lookup);
      if (store === 0) {
        this.#pause(lookup);
        continue;
      }
      const others = byStore.get(store);
      if (others === undefined) byStore.set(store, [lookup]);
      else others.push(lookup);
    }
    for (const [store, lookups] of byStore) this.#askStore(store, lookups);
  }

  /** Who leads the first partition that is left and whose leader is known. */
  #storeFor(lookup: RetainedLookup): number {
    lookup.begin(this.#topology.partitionCount);
    for (const { partition } of lookup.places) {
      const leader = this.#routes.leaderOf(partition);
      if (leader !== 0) return leader;
    }
    return 0;
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
    const asks: RetainedAsk[] = lookups.map((lookup) => ({
      filter: lookup.filter,
      places: lookup.places.filter(({ partition }) => this.#routes.leaderOf(partition) === store),
    }));
    let pages: readonly (RetainedPage | undefined)[] = [];
    try {
      const request: RetainedRequest = { asks };
      ({ pages } = await this.#transport.call<RetainedRequest, RetainedResponse>(store, 'retained', request));
    } catch {
      // Nobody there, or what it has cannot be read: all are asked for again.
    }
    this.#calls.set(store, (this.#calls.get(store) as number) - 1);
    if (this.#closed) return;
    for (let i = 0; i < lookups.length; i++) {
      this.#answered(lookups[i] as RetainedLookup, asks[i] as RetainedAsk, pages[i]);
    }
    if (this.#ready.length > 0) this.#requestTurn();
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
