import type { Clock } from '@sluice/common/clock';
import type { Topology } from '@sluice/meta/topology';
import type {
  ConsumeRequest,
  ConsumeResponse,
  DeliverItem,
  DetachReason,
  HeldItem,
  LateItem,
  SettleItem,
} from '@sluice/rpc/contract/consume';
import type { Transport } from '@sluice/rpc/transport';
import type { RouteTable } from '../route/route-table.ts';
import { type StoreLink, StoreLinks } from '../route/store-links.ts';
import { UnconfirmedSettles } from './unconfirmed-settles.ts';

/**
 * Consuming from partitions: one channel to every store for all consumers of this node, settlements of a turn in one
 * message a partition.
 *
 * A consumer belongs to one store for as long as it lives. When that store refuses it, is lost, or another one is known
 * to lead its partition, it is dismissed, and whoever attached it attaches a new one where the partition is led, with
 * what its client still holds.
 *
 * The leader alone knows who holds what, so a new one has to be told before it hands anything out. It asks (`leading`)
 * on all channels, and is told here: everybody who waits for that partition attaches, what was accepted and not
 * confirmed goes after them, and `resumed` says that this was all.
 */
export class PartitionConsumer {
  readonly #routes: RouteTable;
  readonly #topology: Pick<Topology, 'nodes'>;
  readonly #links: StoreLinks<ConsumeRequest, ConsumeResponse>;
  readonly #places = new Map<number, Place>();
  readonly #consumers = new Map<number, Attached>();
  /** Places with something to say this turn. */
  #dirty: Place[] = [];
  #nextConsumerId = 1;
  #isClosed = false;
  readonly #flush = (): void => this.#flushAll();

  constructor(options: {
    topology: Pick<Topology, 'nodes'>;
    routes: RouteTable;
    transport: Transport;
    clock: Clock;
  }) {
    this.#routes = options.routes;
    this.#topology = options.topology;
    this.#links = new StoreLinks({
      service: 'consume',
      transport: options.transport,
      clock: options.clock,
      received: (link, response) => this.#received(link, response),
      lost: (link) => this.#lost(link),
    });
    // Before anybody who attaches on this news: the former consumers are gone by then.
    this.#routes.onLeader((partition, nodeId) => this.#leaderKnown(partition, nodeId));
  }

  /** The image of the cluster changed: channels are open to all its stores, so that a new leader can ask. */
  topologyChanged(): void {
    this.#links.keep(this.#topology.nodes());
  }

  /** Returns the consumer's id. Deliveries come to `sink` until `detach`, or until `sink.dismissed`. */
  attach(request: {
    nodeId: number;
    partition: number;
    queueId: number;
    window: number;
    clientId: string;
    /** Of the assignment that is followed; 0: none. */
    generation: number;
    /** What its client holds of an earlier consumer. */
    held: readonly HeldItem[];
    /** The largest record that its client may take; 0: any, or its store does not know of it. */
    recordBytesMax?: number;
    sink: ConsumerSink;
  }): number {
    const { partition, queueId, window, clientId, generation, held, recordBytesMax = 0 } = request;
    const consumerId = this.#nextConsumerId++;
    const link = this.#links.to(request.nodeId);
    const place = this.#place(partition);
    if (place.link !== link) this.#turnTo(place, link);
    const attached: Attached = { consumerId, place, sink: request.sink, link };
    this.#consumers.set(consumerId, attached);
    place.attached.add(attached);
    const limit = recordBytesMax > 0 ? { recordBytesMax } : {};
    link.channel.send({ type: 'attach', consumerId, partition, queueId, window, clientId, generation, held, ...limit });
    return consumerId;
  }

  /** Answered by `sink.waiting`. */
  setWindow(consumerId: number, window: number): void {
    this.#consumers.get(consumerId)?.link.channel.send({ type: 'window', consumerId, window });
  }

  /** Of what is handed out from now on; 0: any. */
  setRecordBytesMax(consumerId: number, recordBytesMax: number): void {
    this.#consumers.get(consumerId)?.link.channel.send({ type: 'limit', consumerId, recordBytesMax });
  }

  /** Its client does not take this record: it goes to others. Of a consumer that is gone nothing is held. */
  tooLarge(consumerId: number, { offset }: SettledRecord): void {
    this.#consumers.get(consumerId)?.link.channel.send({ type: 'too-large', consumerId, offset });
  }

  /** What it holds becomes available to others. Settlements of this turn go before it. */
  detach(consumerId: number): void {
    const attached = this.#consumers.get(consumerId);
    if (attached !== undefined) this.#detach(attached);
  }

  /**
   * A record was accepted or given back. Of a consumer that is gone (0: of none) only what is accepted is told: what is
   * not held is available as it is.
   */
  settle(consumerId: number, { partition, queueId, rowBase, offset }: SettledRecord, accepted: boolean): void {
    const attached = this.#consumers.get(consumerId);
    const place = attached?.place ?? this.#place(partition);
    if (accepted) place.unconfirmed.push(queueId, rowBase, offset);
    const { link } = place;
    if (attached !== undefined && attached.link === link) place.settled.push({ consumerId, offset, accepted });
    else if (accepted && link !== undefined) place.late.push({ queueId, rowBase, offset });
    else return;
    if (place.isDirty) return;
    place.isDirty = true;
    if (this.#dirty.push(place) === 1) setImmediate(this.#flush);
  }

  /** Accepted and not confirmed, in all partitions. */
  get unconfirmed(): number {
    let unconfirmed = 0;
    for (const place of this.#places.values()) unconfirmed += place.unconfirmed.size;
    return unconfirmed;
  }

  /** What the consumers held is available to others at once. Nobody hears of anything any more. */
  close(): void {
    this.#flushAll();
    this.#isClosed = true;
    this.#consumers.clear();
    this.#places.clear();
    this.#links.close();
  }

  #flushAll(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const place of dirty) flush(place);
  }

  #place(partition: number): Place {
    let place = this.#places.get(partition);
    if (place === undefined) {
      place = {
        partition,
        attached: new Set(),
        link: undefined,
        terms: new Map(),
        settled: [],
        late: [],
        isDirty: false,
        unconfirmed: new UnconfirmedSettles(),
      };
      this.#places.set(partition, place);
    }
    return place;
  }

  #received(link: ConsumeLink, response: ConsumeResponse): void {
    if (this.#isClosed) return;
    switch (response.type) {
      case 'leading':
        this.#leading(link, response.partition, response.term);
        return;
      case 'settled':
        this.#place(response.partition).unconfirmed.confirm(response.upTo);
        return;
    }
    const attached = this.#consumers.get(response.consumerId);
    if (attached === undefined || attached.link !== link) return;
    const { place, sink } = attached;
    switch (response.type) {
      case 'deliver':
        // Only a leader has something to deliver.
        this.#routes.confirmed(place.partition, link.nodeId);
        sink.delivered(response.deliveries);
        return;
      case 'waiting':
        sink.waiting(response.waiting);
        return;
      case 'lost':
        sink.lost(response.offsets);
        return;
      case 'detached':
        this.#forget(attached);
        // One that leads and says so refused for another reason: it does not know the queue yet.
        if (response.reason === 'not-leader' && response.leader !== link.nodeId) {
          this.#routes.suspect(place.partition, link.nodeId);
          this.#routes.hinted(place.partition, response.leader);
        }
        sink.dismissed(response.reason);
    }
  }

  /** A store begins to lead and wants to know who holds what. */
  #leading(link: ConsumeLink, partition: number, term: number): void {
    // Whoever waits for this leader attaches within this call.
    this.#routes.announced(partition, link.nodeId, term);
    if (this.#routes.leaderOf(partition) !== link.nodeId) return;
    const place = this.#place(partition);
    place.terms.set(link, term);
    this.#turnTo(place, link);
    link.channel.send({ type: 'resumed', partition, term });
  }

  /** From now on settlements go there: under a leadership that is known, first all that no earlier one has confirmed. */
  #turnTo(place: Place, link: ConsumeLink): void {
    flush(place);
    place.link = link;
    if (!place.terms.has(link) || place.unconfirmed.size === 0) return;
    link.channel.send({ type: 'settle-late', ...markOf(place), items: place.unconfirmed.items() });
  }

  #lost(link: ConsumeLink): void {
    if (this.#isClosed) return;
    const gone: Attached[] = [];
    for (const place of this.#places.values()) {
      place.terms.delete(link);
      const before = gone.length;
      for (const attached of place.attached) if (attached.link === link) gone.push(attached);
      if (gone.length > before) this.#routes.suspect(place.partition, link.nodeId);
      if (place.link !== link) continue;
      // What was to be said in this turn is in the ring, as far as it matters.
      place.link = undefined;
      place.settled = [];
      place.late = [];
    }
    // First all of them, so that none of those who attach again meets what is left of the others.
    for (const attached of gone) this.#forget(attached);
    for (const { sink } of gone) sink.dismissed('not-leader');
  }

  /** A paused store never says that it does not lead any more. */
  #leaderKnown(partition: number, nodeId: number): void {
    const place = this.#places.get(partition);
    if (place === undefined) return;
    for (const attached of [...place.attached]) {
      if (attached.link.nodeId === nodeId) continue;
      this.#detach(attached);
      attached.sink.dismissed('not-leader');
    }
  }

  #detach(attached: Attached): void {
    this.#forget(attached);
    if (attached.place.link === attached.link) flush(attached.place);
    attached.link.channel.send({ type: 'detach', consumerId: attached.consumerId });
  }

  #forget(attached: Attached): void {
    this.#consumers.delete(attached.consumerId);
    attached.place.attached.delete(attached);
  }
}

export interface ConsumerSink {
  /** One call a turn. */
  delivered(items: readonly DeliverItem[]): void;
  /** Whether work waits for want of its credit. Also the answer to `setWindow`: the store acts on that window. */
  waiting(isWaiting: boolean): void;
  /** Of what it said it holds, this is with others or settled. */
  lost(offsets: readonly number[]): void;
  /** The store knows it no more. What its client holds may be said with the next `attach`. */
  dismissed(reason: DetachReason): void;
}

/** What is known of a delivery when it is settled. */
export interface SettledRecord {
  readonly partition: number;
  readonly queueId: number;
  readonly rowBase: number;
  readonly offset: number;
}

type ConsumeLink = StoreLink<ConsumeRequest, ConsumeResponse>;

/** One partition, as far as this node consumes from it. */
interface Place {
  readonly partition: number;
  readonly attached: Set<Attached>;
  /** Where settlements go: to the store that was attached to last, or that said last that it leads. */
  link: ConsumeLink | undefined;
  /** Of the leaderships that were announced on these channels. */
  readonly terms: Map<ConsumeLink, number>;
  settled: SettleItem[];
  late: LateItem[];
  isDirty: boolean;
  readonly unconfirmed: UnconfirmedSettles;
}

interface Attached {
  readonly consumerId: number;
  readonly place: Place;
  readonly sink: ConsumerSink;
  readonly link: ConsumeLink;
}

function flush(place: Place): void {
  const { link, settled, late } = place;
  place.isDirty = false;
  if (link === undefined || (settled.length === 0 && late.length === 0)) return;
  place.settled = [];
  place.late = [];
  const mark = markOf(place);
  // Two messages that speak for one number: only the second may be confirmed.
  if (late.length > 0) {
    link.channel.send({ type: 'settle-late', ...mark, upTo: settled.length > 0 ? 0 : mark.upTo, items: late });
  }
  if (settled.length > 0) link.channel.send({ type: 'settle', ...mark, items: settled });
}

function markOf({ partition, link, terms, unconfirmed }: Place): { partition: number; term: number; upTo: number } {
  return { partition, term: (link && terms.get(link)) ?? 0, upTo: unconfirmed.last };
}
