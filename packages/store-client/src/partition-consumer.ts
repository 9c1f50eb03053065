import type {
  ConsumeRequest,
  ConsumeResponse,
  DeliverItem,
  DetachReason,
  SettleItem,
} from '@sluice/rpc/contract/consume';
import type { Channel, Transport } from '@sluice/rpc/transport';
import type { RouteTable } from './route-table.ts';

/**
 * Consuming from partitions: one channel a store for all consumers of this node, settlements of a turn in one message.
 *
 * A consumer belongs to one store for as long as it lives. When that store refuses it, is lost, or another one is known
 * to lead its partition, it is dismissed, and whoever attached it attaches a new one where the partition is led. What
 * was settled on a channel that is lost is dropped: the next leader knows nothing of who held what, those messages come
 * again.
 */
export class PartitionConsumer {
  readonly #routes: RouteTable;
  readonly #transport: Transport;
  readonly #channels = new Map<number, StoreChannel>();
  readonly #consumers = new Map<number, Attached>();
  #nextConsumerId = 1;
  #flushScheduled = false;
  #isClosed = false;
  readonly #flush = (): void => this.#flushAll();

  constructor(options: { routes: RouteTable; transport: Transport }) {
    this.#routes = options.routes;
    this.#transport = options.transport;
    // Before anybody who attaches on this news: the former consumers are gone by then.
    this.#routes.onLeader((partition, nodeId) => this.#leaderKnown(partition, nodeId));
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
    sink: ConsumerSink;
  }): number {
    const { partition, queueId, window, clientId, generation } = request;
    const consumerId = this.#nextConsumerId++;
    const store = this.#channelTo(request.nodeId);
    const attached: Attached = { consumerId, partition, sink: request.sink, store };
    this.#consumers.set(consumerId, attached);
    let ofPartition = store.partitions.get(partition);
    if (ofPartition === undefined) {
      ofPartition = new Set();
      store.partitions.set(partition, ofPartition);
    }
    ofPartition.add(attached);
    store.channel.send({ type: 'attach', consumerId, partition, queueId, window, clientId, generation });
    return consumerId;
  }

  /** Answered by `sink.waiting`. */
  setWindow(consumerId: number, window: number): void {
    this.#consumers.get(consumerId)?.store.channel.send({ type: 'window', consumerId, window });
  }

  /** What it holds becomes available to others. Settlements of this turn go before it. */
  detach(consumerId: number): void {
    const attached = this.#consumers.get(consumerId);
    if (attached !== undefined) this.#detach(attached);
  }

  settle(consumerId: number, offset: number, accepted: boolean): void {
    const store = this.#consumers.get(consumerId)?.store;
    if (store === undefined) return;
    store.settled.push({ consumerId, offset, accepted });
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(this.#flush);
  }

  /** What the consumers held is available to others at once. Nobody hears of anything any more. */
  close(): void {
    this.#flushAll();
    this.#isClosed = true;
    this.#consumers.clear();
    for (const { channel } of this.#channels.values()) channel.close();
  }

  #flushAll(): void {
    this.#flushScheduled = false;
    for (const store of this.#channels.values()) flushSettled(store);
  }

  #channelTo(nodeId: number): StoreChannel {
    let store = this.#channels.get(nodeId);
    if (store === undefined) {
      const channel = this.#transport.open<ConsumeRequest, ConsumeResponse>(nodeId, 'consume');
      const opened: StoreChannel = { nodeId, channel, settled: [], partitions: new Map() };
      channel.onMessage((response) => this.#received(opened, response));
      channel.onClose(() => this.#lost(opened));
      this.#channels.set(nodeId, opened);
      store = opened;
    }
    return store;
  }

  #received(store: StoreChannel, response: ConsumeResponse): void {
    const attached = this.#consumers.get(response.consumerId);
    if (attached === undefined || attached.store !== store) return;
    switch (response.type) {
      case 'deliver':
        // Only a leader has something to deliver.
        this.#routes.confirmed(attached.partition, store.nodeId);
        attached.sink.delivered(response.deliveries);
        return;
      case 'waiting':
        attached.sink.waiting(response.waiting);
        return;
      case 'detached':
        this.#forget(attached);
        // One that leads and says so refused for another reason: it does not know the queue yet.
        if (response.reason === 'not-leader' && response.leader !== store.nodeId) {
          this.#routes.suspect(attached.partition, store.nodeId);
          this.#routes.hinted(attached.partition, response.leader);
        }
        attached.sink.dismissed(response.reason);
    }
  }

  #lost(store: StoreChannel): void {
    if (this.#channels.get(store.nodeId) === store) this.#channels.delete(store.nodeId);
    if (this.#isClosed) return;
    const gone: Attached[] = [];
    for (const [partition, ofPartition] of store.partitions) {
      this.#routes.suspect(partition, store.nodeId);
      for (const attached of ofPartition) gone.push(attached);
    }
    // First all of them, so that none of those who attach again meets what is left of the others.
    for (const { consumerId } of gone) this.#consumers.delete(consumerId);
    store.partitions.clear();
    for (const { sink } of gone) sink.dismissed('not-leader');
  }

  /** A paused store never says that it does not lead any more. */
  #leaderKnown(partition: number, nodeId: number): void {
    for (const store of this.#channels.values()) {
      if (store.nodeId === nodeId) continue;
      const ofPartition = store.partitions.get(partition);
      if (ofPartition === undefined) continue;
      for (const attached of [...ofPartition]) {
        this.#detach(attached);
        attached.sink.dismissed('not-leader');
      }
    }
  }

  #detach(attached: Attached): void {
    this.#forget(attached);
    flushSettled(attached.store);
    attached.store.channel.send({ type: 'detach', consumerId: attached.consumerId });
  }

  #forget(attached: Attached): void {
    const { consumerId, partition, store } = attached;
    this.#consumers.delete(consumerId);
    const ofPartition = store.partitions.get(partition);
    ofPartition?.delete(attached);
    if (ofPartition?.size === 0) store.partitions.delete(partition);
  }
}

export interface ConsumerSink {
  /** One call a turn. */
  delivered(items: readonly DeliverItem[]): void;
  /** Whether work waits for want of its credit. Also the answer to `setWindow`: the store acts on that window. */
  waiting(isWaiting: boolean): void;
  /** The store knows it no more; what it held is with others. */
  dismissed(reason: DetachReason): void;
}

interface StoreChannel {
  readonly nodeId: number;
  readonly channel: Channel<ConsumeRequest, ConsumeResponse>;
  settled: SettleItem[];
  readonly partitions: Map<number, Set<Attached>>;
}

interface Attached {
  readonly consumerId: number;
  readonly partition: number;
  readonly sink: ConsumerSink;
  readonly store: StoreChannel;
}

function flushSettled(store: StoreChannel): void {
  if (store.settled.length === 0) return;
  const items = store.settled;
  store.settled = [];
  store.channel.send({ type: 'settle', items });
}
