import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { DeliverItem } from '@sluice/rpc/contract/consume';
import { PartitionConsumer, type SettledRecord } from '@sluice/store-client/consume/partition-consumer';
import type { Delivery, QueueCheck } from '../check/queue-check.ts';
import type { SimMachine } from '../sim-machine.ts';
import type { Life } from '../sim-world.ts';

type AttachRequest = Parameters<PartitionConsumer['attach']>[0];

/**
 * A gateway's consumers, between its attachments and the stores: what one store hands to one consumer is where promises
 * are kept or broken, and the checker sees it here, whatever the gateway makes of it.
 */
export class WatchedConsumers extends PartitionConsumer {
  readonly #gateway: SimMachine;
  readonly #check: QueueCheck;
  readonly #watched = new Map<number, Watched>();

  constructor(
    options: ConstructorParameters<typeof PartitionConsumer>[0],
    watch: { gateway: SimMachine; life: Life; check: QueueCheck },
  ) {
    super(options);
    this.#gateway = watch.gateway;
    this.#check = watch.check;
    watch.life.onEnd(() => {
      for (const watched of this.#watched.values()) this.#over(watched);
    });
  }

  override attach(request: AttachRequest): number {
    const { sink, nodeId, queueId, partition } = request;
    const { network, life } = this.#gateway;
    const attachment = this.#check.attach(() => network.areJoined(life, nodeId, 'consume'));
    const watched: Watched = { attachment, queueId, partition, held: new Map() };
    const consumerId = super.attach({
      ...request,
      sink: {
        delivered: (items) => {
          for (const item of items) this.#delivered(watched, item);
          sink.delivered(items);
        },
        waiting: (isWaiting) => sink.waiting(isWaiting),
        lost: (offsets) => sink.lost(offsets),
        dismissed: (reason) => {
          this.#watched.delete(consumerId);
          for (const delivery of watched.held.values()) this.#check.orphaned(delivery);
          this.#check.detached(watched.attachment);
          sink.dismissed(reason);
        },
      },
    });
    this.#watched.set(consumerId, watched);
    return consumerId;
  }

  override detach(consumerId: number): void {
    super.detach(consumerId);
    const watched = this.#watched.get(consumerId);
    this.#watched.delete(consumerId);
    if (watched !== undefined) this.#over(watched);
  }

  override settle(consumerId: number, record: SettledRecord, accepted: boolean): void {
    super.settle(consumerId, record, accepted);
    const watched = this.#watched.get(consumerId);
    const delivery = watched?.held.get(record.offset);
    if (delivery === undefined) return;
    watched?.held.delete(record.offset);
    this.#check.settled(delivery, accepted);
  }

  override tooLarge(consumerId: number, record: SettledRecord): void {
    super.tooLarge(consumerId, record);
    const watched = this.#watched.get(consumerId);
    const delivery = watched?.held.get(record.offset);
    watched?.held.delete(record.offset);
    if (delivery === undefined) this.#check.refusedBy(record);
    else this.#check.unsent(delivery);
  }

  /** The consumer is gone with its client: what it held may come again, to anybody. */
  #over({ attachment, held }: Watched): void {
    for (const delivery of held.values()) this.#check.settled(delivery, false);
    held.clear();
    this.#check.detached(attachment);
  }

  #delivered({ attachment, queueId, partition, held }: Watched, item: DeliverItem): void {
    const { world, network } = this.#gateway;
    const payload = Buffer.from(new EncodedRecord(item.record).payload).toString();
    const text = payload.slice(0, payload.indexOf(' '));
    const delivery: Delivery = {
      id: Number.parseInt(text, 10),
      queueId,
      partition,
      offset: item.offset,
      attachment,
      store: network.arriving.sender?.name ?? '',
      deliveryCount: item.deliveryCount,
      sentAtMs: network.arriving.sentAtMs,
      text,
    };
    world.trace.count(delivery.id);
    held.set(item.offset, delivery);
    try {
      this.#check.delivered(delivery);
    } catch (cause) {
      world.fail(cause);
    }
  }
}

interface Watched {
  readonly attachment: number;
  readonly queueId: number;
  readonly partition: number;
  /** Delivered and not answered, by offset. */
  readonly held: Map<number, Delivery>;
}
