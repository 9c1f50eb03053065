import type { Clock } from '@sluice/common/clock';
import type {
  ConsumeRequest,
  ConsumeResponse,
  DeliverItem,
  DetachReason,
  SettleMark,
} from '@sluice/rpc/contract/consume';
import type { Channel } from '@sluice/rpc/transport';
import type { DispatchConsumer } from '../dispatch/dispatch-consumer.ts';
import type { QueueDispatch } from '../dispatch/queue-dispatch.ts';
import type { Partition } from '../partition/partition.ts';
import type { SettleReceipt } from '../settle/settle-batcher.ts';
import type { BoundedGateway, DeliveryBound } from './delivery-bound.ts';

/**
 * Serves the consumers of gateways, a channel each. When a channel closes, whatever the reason, everything its consumers
 * held is available to others at once.
 *
 * A leadership that begins is told on all channels, and each gateway answers with what its clients hold. Whom to wait
 * for is known here: who has a channel, and who may live and never had one to this process, which is young then.
 * Whoever had one and has it no more is gone, with what it held.
 *
 * Assignments of partitions to gateways are numbered by generation. A gateway that broke its channel may have attached
 * by an older one after it attached by a newer one elsewhere; so an attach is dismissed (`fenced`) when the same
 * gateway has shown a newer generation for that queue. 0, for queues without an assignment, is never too old. And of two
 * channels of one gateway the older one is a remainder: it claims nothing any more.
 */
export class ConsumeService {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #gateways: () => Iterable<number>;
  readonly #clock: Clock;
  readonly #bound: DeliveryBound;
  readonly #isGone: (queueId: number) => boolean;
  readonly #channels = new Set<GatewayChannel>();
  /**
   * The newest channel of each gateway, also when it is closed. Of gateways that have a channel, or were in `gateways` when
   * one came last: a node that begins without its disk is a new one each time.
   */
  readonly #newest = new Map<number, GatewayChannel>();
  #nextDispatchId = 1;
  #nextChannel = 1;
  /**
   * Newest generation seen, by queue and then by gateway; of the gateways in `#newest`, and of queues that are not gone. Only
   * queues that spread over partitions have any.
   */
  readonly #generations = new Map<number, Map<number, number>>();

  /** `gateways`: that may live, as far as the cluster's image says. `isGone`: it had the queue, and has it no more. */
  constructor(
    partitions: ReadonlyMap<number, Partition>,
    gateways: () => Iterable<number>,
    { clock, bound, isGone }: { clock: Clock; bound: DeliveryBound; isGone: (queueId: number) => boolean },
  ) {
    this.#clock = clock;
    this.#bound = bound;
    this.#isGone = isGone;
    this.#partitions = partitions;
    this.#gateways = gateways;
  }

  accept(channel: ConsumeChannel, from: number): void {
    const gateway: GatewayChannel = {
      from,
      number: this.#nextChannel++,
      channel,
      consumers: new Map(),
      receipts: new Map(),
      bound: this.#bound,
      isHeld: false,
      held: () => {
        for (const consumer of gateway.consumers.values()) consumer.windowMoved(false);
      },
    };
    this.#channels.add(gateway);
    this.#newest.set(from, gateway);
    this.#forgetGone();
    channel.onMessage((request) => this.#handle(gateway, request));
    channel.onClose(() => this.#closed(gateway));
    for (const partition of this.#partitions.values()) if (partition.serves) tellLeading(gateway, partition);
  }

  /** This node leads the partition, and is to be told what workers have of it. */
  serving(partition: Partition): void {
    const asked = new Set<number>();
    for (const gateway of this.#channels) {
      tellLeading(gateway, partition);
      asked.add(gateway.from);
    }
    for (const nodeId of this.#gateways()) if (!this.#newest.has(nodeId)) asked.add(nodeId);
    partition.resumption?.asked(asked);
  }

  /** What is known of their generations is forgotten. Undefined: any may have been removed. */
  queuesRemoved(queueIds: readonly number[] | undefined): void {
    for (const queueId of queueIds ?? [...this.#generations.keys()].filter(this.#isGone)) {
      this.#generations.delete(queueId);
    }
  }

  /** Who has no channel and cannot come back. An older channel that is still open keeps what would fence it. */
  #forgetGone(): void {
    const known = new Set(this.#gateways());
    for (const { from } of this.#channels) known.add(from);
    for (const from of this.#newest.keys()) {
      if (known.has(from)) continue;
      this.#newest.delete(from);
      for (const generations of this.#generations.values()) generations.delete(from);
    }
  }

  #closed(gateway: GatewayChannel): void {
    this.#channels.delete(gateway);
    this.#bound.forget(gateway);
    for (const consumer of gateway.consumers.values()) consumer.leave();
    gateway.consumers.clear();
    if (this.#newest.get(gateway.from) !== gateway) return;
    for (const partition of this.#partitions.values()) partition.resumption?.answered(gateway.from);
  }

  #handle(gateway: GatewayChannel, request: ConsumeRequest): void {
    const { consumers } = gateway;
    switch (request.type) {
      case 'attach': {
        const refused = this.#attach(gateway, request);
        if (refused === undefined) return;
        const leader = this.#partitions.get(request.partition)?.leader ?? 0;
        gateway.channel.send({ type: 'detached', consumerId: request.consumerId, reason: refused, leader });
        return;
      }
      case 'window': {
        const consumer = consumers.get(request.consumerId);
        if (consumer === undefined) return;
        consumer.window = request.window;
        consumer.windowMoved(true);
        return;
      }
      case 'detach':
        consumers.get(request.consumerId)?.leave();
        consumers.delete(request.consumerId);
        return;
      case 'settle': {
        const nowMs = this.#clock.monotonicMs();
        for (const { consumerId, offset, accepted } of request.items) {
          const consumer = consumers.get(consumerId);
          if (accepted) consumer?.dispatch.accept(consumer.dispatchId, offset, nowMs);
          else consumer?.dispatch.reject(consumer.dispatchId, offset);
        }
        this.#confirmLater(gateway, request);
        return;
      }
      case 'settle-late':
        for (const item of request.items) this.#partitions.get(request.partition)?.acceptLate(item);
        this.#confirmLater(gateway, request);
        return;
      case 'limit': {
        const consumer = consumers.get(request.consumerId);
        consumer?.dispatch.setRecordBytesMax(consumer.dispatchId, limitOf(request));
        return;
      }
      case 'too-large': {
        const consumer = consumers.get(request.consumerId);
        consumer?.dispatch.tooLarge(consumer.dispatchId, request.offset);
        return;
      }
      case 'resumed': {
        const partition = this.#partitions.get(request.partition);
        if (partition?.term !== request.term || this.#newest.get(gateway.from) !== gateway) return;
        partition.resumption?.answered(gateway.from);
      }
    }
  }

  /** Only what was said in this leadership: what came before it may have found nobody who leads. */
  #confirmLater({ channel, receipts }: GatewayChannel, { partition: number, term, upTo }: SettleMark): void {
    const partition = this.#partitions.get(number);
    if (partition === undefined || !partition.leads || partition.term !== term || upTo === 0) return;
    const last = receipts.get(number);
    if (last !== undefined && !last.isTaken) {
      last.upTo = upTo;
      return;
    }
    const receipt = new SettledReceipt(channel, number, upTo);
    receipts.set(number, receipt);
    partition.settles.confirm(receipt);
  }

  #attach(gateway: GatewayChannel, request: AttachRequest): DetachReason | undefined {
    const { consumerId, queueId } = request;
    const { from, consumers } = gateway;
    if (this.#isFenced(queueId, from, request.generation)) return 'fenced';
    // The same id again: the gateway has given the earlier one up.
    consumers.get(consumerId)?.leave();
    consumers.delete(consumerId);
    const partition = this.#partitions.get(request.partition);
    // The log knows it before the image does, and what was accepted of it is not heard any more (`acceptLate`).
    if (partition?.leads === true && partition.hasRemoved(queueId)) return 'queue-removed';
    const dispatch = partition?.dispatchFor(queueId);
    if (dispatch === undefined) return 'not-leader';
    const consumer = new ChannelConsumer(this.#nextDispatchId++, request, gateway, dispatch);
    consumers.set(consumerId, consumer);
    const isNewest = this.#newest.get(from) === gateway;
    const lost = dispatch.attach(consumer, gateway.isHeld ? 0 : request.window, isNewest ? request.held : NOTHING);
    consumer.window = request.window - lost.length;
    const offsets = isNewest ? lost : request.held.map(({ offset }) => offset);
    if (offsets.length > 0) gateway.channel.send({ type: 'lost', consumerId, offsets });
    return undefined;
  }

  #isFenced(queueId: number, from: number, generation: number): boolean {
    // A gateway that has not heard yet that the queue is gone leaves nothing behind.
    if (generation === 0 || this.#isGone(queueId)) return false;
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

type AttachRequest = Extract<ConsumeRequest, { type: 'attach' }>;
type ConsumeChannel = Channel<ConsumeResponse, ConsumeRequest>;

/** One channel of a gateway, and what is attached through it. */
interface GatewayChannel extends BoundedGateway {
  /** In the order in which channels came. */
  readonly number: number;
  readonly channel: ConsumeChannel;
  readonly consumers: Map<number, ChannelConsumer>;
  /** By partition, the last one. */
  readonly receipts: Map<number, SettledReceipt>;
  readonly bound: DeliveryBound;
}

const NOTHING: readonly never[] = [];

/** Undefined: it takes records of any size. */
function limitOf({ recordBytesMax = 0 }: { recordBytesMax?: number }): number | undefined {
  return recordBytesMax > 0 ? recordBytesMax : undefined;
}

function tellLeading({ channel }: GatewayChannel, { groupId, term }: Partition): void {
  channel.send({ type: 'leading', partition: groupId, term });
}

/** One for all that a channel settles in a partition until it is proposed. */
class SettledReceipt implements SettleReceipt {
  isTaken = false;
  upTo: number;
  readonly #channel: ConsumeChannel;
  readonly #partition: number;

  constructor(channel: ConsumeChannel, partition: number, upTo: number) {
    this.#channel = channel;
    this.#partition = partition;
    this.upTo = upTo;
  }

  confirmed(): void {
    this.#channel.send({ type: 'settled', partition: this.#partition, upTo: this.upTo });
  }
}

class ChannelConsumer implements DispatchConsumer {
  readonly dispatchId: number;
  readonly clientId: string;
  readonly recordBytesMax: number | undefined;
  readonly dispatch: QueueDispatch;
  /** As its gateway said last. */
  window = 0;
  readonly #consumerId: number;
  readonly #gateway: GatewayChannel;

  constructor(
    dispatchId: number,
    request: Pick<AttachRequest, 'consumerId' | 'clientId' | 'recordBytesMax'>,
    gateway: GatewayChannel,
    dispatch: QueueDispatch,
  ) {
    this.dispatchId = dispatchId;
    this.clientId = request.clientId;
    this.recordBytesMax = limitOf(request);
    this.dispatch = dispatch;
    this.#consumerId = request.consumerId;
    this.#gateway = gateway;
  }

  succeeds(other: DispatchConsumer): boolean {
    if (!(other instanceof ChannelConsumer)) return false;
    return other.#gateway.from === this.#gateway.from && other.#gateway.number < this.#gateway.number;
  }

  deliver(items: readonly DeliverItem[]): void {
    this.#gateway.channel.send({ type: 'deliver', consumerId: this.#consumerId, deliveries: items });
    this.#gateway.bound.sent(this.#gateway);
  }

  /** Its gateway asked for it, or is held or goes on. */
  windowMoved(isAsked: boolean): void {
    this.dispatch.setWindow(this.dispatchId, this.#gateway.isHeld ? 0 : Math.max(0, this.window), isAsked);
  }

  waiting(waits: boolean): void {
    this.#gateway.channel.send({ type: 'waiting', consumerId: this.#consumerId, waiting: waits });
  }

  dismissed(reason: 'queue-removed' | 'not-leader', leader: number): void {
    this.#gateway.consumers.delete(this.#consumerId);
    this.#gateway.channel.send({ type: 'detached', consumerId: this.#consumerId, reason, leader });
  }

  leave(): void {
    this.dispatch.detach(this.dispatchId);
  }
}
