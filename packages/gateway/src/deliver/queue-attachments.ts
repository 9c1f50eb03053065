import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { DeliverItem } from '@sluice/rpc/contract/consume';
import type { ConsumerSink, PartitionConsumer } from '@sluice/store-client/partition-consumer';
import type {
  QueueAttachment,
  QueueConsumer,
  QueueDelivery,
  QueueReference,
  QueueSubscriptions,
} from './queue-subscriptions.ts';

/**
 * Binds the queue subscriptions of this gateway's clients to queues, as queues come and go.
 *
 * A client may subscribe to a queue that does not exist, or not any more: its subscription stands and waits. Polling
 * for the queue would make the first message late and cost by the subscriber; here the topology says when a queue
 * appears, is redefined, or goes, and only what that touches is looked at.
 */
export class QueueAttachments implements QueueSubscriptions {
  readonly #topology: Topology;
  readonly #consumers: PartitionConsumer;
  readonly #wanted: (name: string, topicFilter: string) => void;
  readonly #attachments = new Set<Attachment>();
  #retryTimer: NodeJS.Timeout | undefined;

  /**
   * How soon a store is asked again that did not lead. At once would be a loop: in one process question and refusal
   * follow each other without the event loop ever turning.
   */
  static readonly RETRY_MS = 100;

  /** `wanted` is told of a subscription that names a queue, and its filter, which do not exist. */
  constructor(options: {
    topology: Topology;
    consumers: PartitionConsumer;
    wanted: (name: string, topicFilter: string) => void;
  }) {
    this.#topology = options.topology;
    this.#consumers = options.consumers;
    this.#wanted = options.wanted;
  }

  attach(reference: QueueReference, consumer: QueueConsumer): QueueAttachment {
    const attachment = new Attachment(reference, consumer, this.#consumers, this);
    this.#attachments.add(attachment);
    const definition = this.#resolve(reference);
    attachment.bind(definition);
    if (definition === undefined) this.#want(reference);
    return attachment;
  }

  #want(reference: QueueReference): void {
    if (reference.filter === undefined) return;
    const name = reference.by === 'name' ? reference.name : `/${reference.filter}`;
    // A queue of that name with another filter: the subscription waits until that one is gone.
    if (this.#topology.queueByName(name) === undefined) this.#wanted(name, reference.filter);
  }

  /** The image of the cluster changed. */
  topologyChanged(): void {
    for (const attachment of this.#attachments) attachment.bind(this.#resolve(attachment.reference));
  }

  /** A store does not lead the partition (any more): looked at again in a moment, all such attachments together. */
  refused(): void {
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined;
      this.topologyChanged();
    }, QueueAttachments.RETRY_MS);
  }

  detached(attachment: Attachment): void {
    this.#attachments.delete(attachment);
  }

  /** Queue subscriptions, and how many of them wait for their queue. */
  counts(): { attached: number; waiting: number } {
    let waiting = 0;
    for (const attachment of this.#attachments) if (!attachment.bound) waiting++;
    return { attached: this.#attachments.size - waiting, waiting };
  }

  #resolve(reference: QueueReference): QueueDefinition | undefined {
    if (reference.by === 'filter') return this.#topology.queueByFilter(reference.filter);
    const definition = this.#topology.queueByName(reference.name);
    if (definition === undefined) return undefined;
    return reference.filter === undefined || reference.filter === definition.topicFilter ? definition : undefined;
  }
}

/** One client's subscription to one queue; a consumer of the store while the queue exists. */
class Attachment implements QueueAttachment, ConsumerSink {
  readonly reference: QueueReference;
  readonly #consumer: QueueConsumer;
  readonly #consumers: PartitionConsumer;
  readonly #attachments: QueueAttachments;
  #window: number;
  #definition: QueueDefinition | undefined;
  #consumerId = 0;
  #detached = false;

  constructor(
    reference: QueueReference,
    consumer: QueueConsumer,
    consumers: PartitionConsumer,
    attachments: QueueAttachments,
  ) {
    this.reference = reference;
    this.#consumer = consumer;
    this.#consumers = consumers;
    this.#attachments = attachments;
    this.#window = consumer.window;
  }

  get bound(): boolean {
    return this.#consumerId !== 0;
  }

  bind(definition: QueueDefinition | undefined): void {
    if (this.#detached) return;
    const earlier = this.#definition;
    this.#definition = definition;
    if (earlier !== undefined && this.#consumerId !== 0 && earlier.queueId === definition?.queueId) {
      if (earlier.localMaxInflight !== definition.localMaxInflight) this.#sendWindow();
      return;
    }
    this.#release();
    const partition = definition?.partitions[0];
    if (definition === undefined || partition === undefined) return;
    this.#consumerId = this.#consumers.attach({
      partition,
      queueId: definition.queueId,
      window: this.#effectiveWindow(),
      clientId: this.#consumer.clientId,
      sink: this,
    });
  }

  delivered(items: readonly DeliverItem[]): void {
    const definition = this.#definition;
    const partition = definition?.partitions[0];
    if (this.#detached || definition === undefined || partition === undefined) return;
    const consumerId = this.#consumerId;
    this.#consumer.deliver(
      items.map(
        (item): HeldDelivery => ({
          queueId: definition.queueId,
          partition,
          offset: item.offset,
          rowBase: item.rowBase,
          deliveryCount: item.deliveryCount,
          record: new EncodedRecord(item.record),
          consumerId,
        }),
      ),
    );
  }

  dismissed(reason: 'queue-removed' | 'not-leader'): void {
    this.#consumerId = 0;
    this.#definition = undefined;
    // The queue still exists and has another leader, now or soon. A removed one is bound again by the topology.
    if (reason === 'not-leader' && !this.#detached) this.#attachments.refused();
  }

  accept(delivery: QueueDelivery): void {
    this.#settle(delivery, true);
  }

  reject(delivery: QueueDelivery): void {
    this.#settle(delivery, false);
  }

  setWindow(window: number): void {
    if (window === this.#window) return;
    this.#window = window;
    this.#sendWindow();
  }

  detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#release();
    this.#attachments.detached(this);
  }

  /** An answer to a delivery of an earlier binding says nothing to the present one. */
  #settle(delivery: QueueDelivery, accepted: boolean): void {
    const { consumerId } = delivery as HeldDelivery;
    if (consumerId === this.#consumerId) this.#consumers.settle(consumerId, delivery.offset, accepted);
  }

  #effectiveWindow(): number {
    return Math.min(this.#window, this.#definition?.localMaxInflight ?? 0);
  }

  #sendWindow(): void {
    if (this.#consumerId !== 0) this.#consumers.setWindow(this.#consumerId, this.#effectiveWindow());
  }

  #release(): void {
    if (this.#consumerId === 0) return;
    this.#consumers.detach(this.#consumerId);
    this.#consumerId = 0;
  }
}

interface HeldDelivery extends QueueDelivery {
  /** Which binding of the attachment it came through. */
  readonly consumerId: number;
}
