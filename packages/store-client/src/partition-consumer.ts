import type { Topology } from '@sluice/meta/topology';
import type { ConsumeRequest, ConsumeResponse, DeliverItem, SettleItem } from '@sluice/rpc/contract/consume';
import type { Channel, Transport } from '@sluice/rpc/transport';

/**
 * Consuming from partitions: one channel a store for all consumers of this node, settlements of a turn in one message.
 */
export class PartitionConsumer {
  readonly #topology: Topology;
  readonly #transport: Transport;
  readonly #channels = new Map<number, StoreChannel>();
  readonly #consumers = new Map<number, Attached>();
  #nextConsumerId = 1;
  #flushScheduled = false;
  readonly #flush = (): void => this.#flushAll();

  constructor(options: { topology: Topology; transport: Transport }) {
    this.#topology = options.topology;
    this.#transport = options.transport;
  }

  /** Returns the consumer's id. Deliveries come to `sink` until `detach`, or until `sink.dismissed`. */
  attach(request: {
    partition: number;
    queueId: number;
    window: number;
    clientId: string;
    sink: ConsumerSink;
  }): number {
    const consumerId = this.#nextConsumerId++;
    const store = this.#channelTo(this.#topology.leaderOf(request.partition));
    this.#consumers.set(consumerId, { sink: request.sink, store });
    const { partition, queueId, window, clientId } = request;
    store.channel.send({ type: 'attach', consumerId, partition, queueId, window, clientId });
    return consumerId;
  }

  setWindow(consumerId: number, window: number): void {
    this.#consumers.get(consumerId)?.store.channel.send({ type: 'window', consumerId, window });
  }

  /** What it holds becomes available to others. Settlements of this turn go before it. */
  detach(consumerId: number): void {
    const attached = this.#consumers.get(consumerId);
    if (attached === undefined) return;
    this.#consumers.delete(consumerId);
    flushSettled(attached.store);
    attached.store.channel.send({ type: 'detach', consumerId });
  }

  settle(consumerId: number, offset: number, accepted: boolean): void {
    const store = this.#consumers.get(consumerId)?.store;
    if (store === undefined) return;
    store.settled.push({ consumerId, offset, accepted });
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(this.#flush);
  }

  close(): void {
    for (const { channel } of this.#channels.values()) channel.close();
  }

  #flushAll(): void {
    this.#flushScheduled = false;
    for (const store of this.#channels.values()) flushSettled(store);
  }

  #channelTo(nodeId: number): StoreChannel {
    let store = this.#channels.get(nodeId);
    if (store === undefined) {
      store = { channel: this.#transport.open<ConsumeRequest, ConsumeResponse>(nodeId, 'consume'), settled: [] };
      const opened = store;
      opened.channel.onMessage((response) => this.#receive(response));
      opened.channel.onClose(() => this.#lost(nodeId, opened));
      this.#channels.set(nodeId, opened);
    }
    return store;
  }

  #receive(response: ConsumeResponse): void {
    const attached = this.#consumers.get(response.consumerId);
    if (attached === undefined) return;
    if (response.type === 'deliver') {
      attached.sink.delivered(response.deliveries);
      return;
    }
    this.#consumers.delete(response.consumerId);
    attached.sink.dismissed(response.reason);
  }

  #lost(nodeId: number, store: StoreChannel): void {
    this.#channels.delete(nodeId);
    for (const [consumerId, attached] of this.#consumers) {
      if (attached.store !== store) continue;
      this.#consumers.delete(consumerId);
      attached.sink.dismissed('not-leader');
    }
  }
}

export interface ConsumerSink {
  /** One call a turn. */
  delivered(items: readonly DeliverItem[]): void;
  /** The store knows it no more; what it held is with others. */
  dismissed(reason: 'queue-removed' | 'not-leader'): void;
}

interface StoreChannel {
  channel: Channel<ConsumeRequest, ConsumeResponse>;
  settled: SettleItem[];
}

interface Attached {
  sink: ConsumerSink;
  store: StoreChannel;
}

function flushSettled(store: StoreChannel): void {
  if (store.settled.length === 0) return;
  const items = store.settled;
  store.settled = [];
  store.channel.send({ type: 'settle', items });
}
