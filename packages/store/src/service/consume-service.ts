import type { ConsumeRequest, ConsumeResponse, DeliverItem } from '@sluice/rpc/contract/consume';
import type { Channel } from '@sluice/rpc/transport';
import type { Partition } from '../partition.ts';
import type { DispatchConsumer, QueueDispatch } from '../queue-dispatch.ts';

/**
 * Serves the consumers of one gateway on one channel. When the channel closes, whatever the reason, everything its
 * consumers held is available to others at once.
 */
export class ConsumeService {
  readonly #partitions: ReadonlyMap<number, Partition>;
  #nextDispatchId = 1;

  constructor(partitions: ReadonlyMap<number, Partition>) {
    this.#partitions = partitions;
  }

  accept(channel: Channel<ConsumeResponse, ConsumeRequest>): void {
    const consumers = new Map<number, ChannelConsumer>();
    channel.onMessage((request) => this.#handle(channel, consumers, request));
    channel.onClose(() => {
      for (const consumer of consumers.values()) consumer.leave();
      consumers.clear();
    });
  }

  #handle(
    channel: Channel<ConsumeResponse, ConsumeRequest>,
    consumers: Map<number, ChannelConsumer>,
    request: ConsumeRequest,
  ): void {
    switch (request.type) {
      case 'attach': {
        const consumer = new ChannelConsumer(
          this.#nextDispatchId++,
          request.consumerId,
          request.clientId,
          channel,
          () => consumers.delete(request.consumerId),
        );
        const dispatch = this.#partitions.get(request.partition)?.attach(request.queueId, consumer, request.window);
        if (dispatch === undefined) {
          channel.send({ type: 'detached', consumerId: request.consumerId, reason: 'not-leader' });
          return;
        }
        consumer.dispatch = dispatch;
        consumers.set(request.consumerId, consumer);
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
}

class ChannelConsumer implements DispatchConsumer {
  readonly dispatchId: number;
  readonly clientId: string;
  dispatch: QueueDispatch | undefined;
  readonly #consumerId: number;
  readonly #channel: Channel<ConsumeResponse, ConsumeRequest>;
  readonly #onDismissed: () => void;

  constructor(
    dispatchId: number,
    consumerId: number,
    clientId: string,
    channel: Channel<ConsumeResponse, ConsumeRequest>,
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

  dismissed(reason: 'queue-removed' | 'not-leader'): void {
    this.#onDismissed();
    this.#channel.send({ type: 'detached', consumerId: this.#consumerId, reason });
  }

  leave(): void {
    this.dispatch?.detach(this.dispatchId);
  }
}
