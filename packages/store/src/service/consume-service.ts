import type { ConsumeRequest, ConsumeResponse, DeliverItem, DetachReason } from '@sluice/rpc/contract/consume';
import type { Channel } from '@sluice/rpc/transport';
import type { Partition } from '../partition.ts';
import type { DispatchConsumer, QueueDispatch } from '../queue-dispatch.ts';

/**
 * Serves the consumers of one gateway on one channel. When the channel closes, whatever the reason, everything its
 * consumers held is available to others at once.
 *
 * Assignments of partitions to gateways are numbered by generation. A gateway that broke its channel may have attached
 * by an older one after it attached by a newer one elsewhere; so an attach is dismissed (`fenced`) when the same
 * gateway has shown a newer generation for that queue. 0, for queues without an assignment, is never too old.
 */
export class ConsumeService {
  readonly #partitions: ReadonlyMap<number, Partition>;
  #nextDispatchId = 1;
  /** Newest generation seen, by queue and then by gateway. Only queues that spread over partitions have any. */
  readonly #generations = new Map<number, Map<number, number>>();

  constructor(partitions: ReadonlyMap<number, Partition>) {
    this.#partitions = partitions;
  }

  accept(channel: ConsumeChannel, from: number): void {
    const consumers = new Map<number, ChannelConsumer>();
    channel.onMessage((request) => this.#handle(channel, from, consumers, request));
    channel.onClose(() => {
      for (const consumer of consumers.values()) consumer.leave();
      consumers.clear();
    });
  }

  /** The queue is gone, or may be: what is known of its generations is forgotten. */
  queueRemoved(queueId: number): void {
    this.#generations.delete(queueId);
  }

  #handle(
    channel: ConsumeChannel,
    from: number,
    consumers: Map<number, ChannelConsumer>,
    request: ConsumeRequest,
  ): void {
    switch (request.type) {
      case 'attach': {
        const refused = this.#attach(channel, from, consumers, request);
        if (refused === undefined) return;
        const leader = this.#partitions.get(request.partition)?.leader ?? 0;
        channel.send({ type: 'detached', consumerId: request.consumerId, reason: refused, leader });
        return;
      }
      case 'window': {
        const consumer = consumers.get(request.consumerId);
        consumer?.dispatch?.setWindow(consumer.dispatchId, request.window);
        return;
      }
      case 'detach':
        consumers.get(request.consumerId)?.leave();
        consumers.delete(request.consumerId);
        return;
      case 'settle':
        for (const { consumerId, offset, accepted } of request.items) {
          const consumer = consumers.get(consumerId);
          if (accepted) consumer?.dispatch?.accept(consumer.dispatchId, offset);
          else consumer?.dispatch?.reject(consumer.dispatchId, offset);
        }
        return;
    }
  }

  #attach(
    channel: ConsumeChannel,
    from: number,
    consumers: Map<number, ChannelConsumer>,
    request: Extract<ConsumeRequest, { type: 'attach' }>,
  ): DetachReason | undefined {
    const { consumerId, queueId } = request;
    if (this.#isFenced(queueId, from, request.generation)) return 'fenced';
    // The same id again: the gateway has given the earlier one up.
    consumers.get(consumerId)?.leave();
    consumers.delete(consumerId);
    const consumer: ChannelConsumer = new ChannelConsumer(
      this.#nextDispatchId++,
      consumerId,
      request.clientId,
      channel,
      () => consumers.delete(consumerId),
    );
    const dispatch = this.#partitions.get(request.partition)?.attach(queueId, consumer, request.window);
    if (dispatch === undefined) return 'not-leader';
    consumer.dispatch = dispatch;
    consumers.set(consumerId, consumer);
    return undefined;
  }

  #isFenced(queueId: number, from: number, generation: number): boolean {
    if (generation === 0) return false;
    let generations = this.#generations.get(queueId);
    if (generations === undefined) {
      generations = new Map();
      this.#generations.set(queueId, generations);
    }
    if (generation < (generations.get(from) ?? 0)) return true;
    generations.set(from, generation);
    return false;
  }
}

type ConsumeChannel = Channel<ConsumeResponse, ConsumeRequest>;

class ChannelConsumer implements DispatchConsumer {
  readonly dispatchId: number;
  readonly clientId: string;
  dispatch: QueueDispatch | undefined;
  readonly #consumerId: number;
  readonly #channel: ConsumeChannel;
  readonly #onDismissed: () => void;

  constructor(
    dispatchId: number,
    consumerId: number,
    clientId: string,
    channel: ConsumeChannel,
    onDismissed: () => void,
  ) {
    this.dispatchId = dispatchId;
    this.clientId = clientId;
    this.#consumerId = consumerId;
    this.#channel = channel;
    this.#onDismissed = onDismissed;
  }

  deliver(items: readonly DeliverItem[]): void {
    this.#channel.send({ type: 'deliver', consumerId: this.#consumerId, deliveries: items });
  }

  waiting(waits: boolean): void {
    this.#channel.send({ type: 'waiting', consumerId: this.#consumerId, waiting: waits });
  }

  dismissed(reason: 'queue-removed' | 'not-leader', leader: number): void {
    this.#onDismissed();
    this.#channel.send({ type: 'detached', consumerId: this.#consumerId, reason, leader });
  }

  leave(): void {
    this.dispatch?.detach(this.dispatchId);
  }
}
