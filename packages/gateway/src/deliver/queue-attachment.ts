import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { DeliverItem, DetachReason } from '@sluice/rpc/contract/consume';
import type { ConsumerSink, PartitionConsumer } from '@sluice/store-client/partition-consumer';
import type { RouteTable } from '@sluice/store-client/route-table';
import { type WindowPart, WindowSplit } from '@sluice/store-client/window-split';
import type { LeaderWaiter, LeaderWaiting } from './leader-waiting.ts';
import type { QueueAttachment, QueueConsumer, QueueDelivery, QueueReference } from './queue-subscriptions.ts';

/**
 * One client's subscription to one queue: a consumer of the store for each partition it draws from, while the queue
 * exists and the partition's leader is known. Its window is split over them (`window-split`).
 */
export class AttachedQueue implements QueueAttachment {
  readonly reference: QueueReference;
  readonly #consumer: QueueConsumer;
  readonly #host: AttachmentHost;
  readonly #split: WindowSplit;
  readonly #draws: PartitionDraw[] = [];
  #definition: QueueDefinition | undefined;
  /** Of the newest assignment that was followed; 0: none. */
  #generation = 0;
  #window: number;
  #detached = false;
  readonly #changed: WindowPart[] = [];

  constructor(reference: QueueReference, consumer: QueueConsumer, host: AttachmentHost) {
    this.reference = reference;
    this.#consumer = consumer;
    this.#host = host;
    this.#window = consumer.window;
    this.#split = new WindowSplit(0);
  }

  /** Attached to a store, at least in one partition. */
  get bound(): boolean {
    return this.#draws.some(({ nodeId }) => nodeId !== 0);
  }

  get definition(): QueueDefinition | undefined {
    return this.#definition;
  }

  get window(): number {
    return Math.min(this.#window, this.#definition?.localMaxInflight ?? 0);
  }

  /** The queue as it is now, and what of it to draw from; undefined: there is none. */
  bind(definition: QueueDefinition | undefined, partitions: readonly number[], generation: number): void {
    if (this.#detached) return;
    if (definition?.queueId !== this.#definition?.queueId) this.#leaveAll();
    this.#definition = definition;
    const isNewer = generation > this.#generation;
    this.#generation = generation;
    if (definition === undefined) return;
    this.#split.setWindow(this.window);
    for (const draw of [...this.#draws]) if (!partitions.includes(draw.partition)) this.#leave(draw);
    const seeking = this.#draws.filter((draw) => draw.isFenced && isNewer);
    for (const partition of partitions) {
      if (this.#draws.some((draw) => draw.partition === partition)) continue;
      const draw = new PartitionDraw(this, this.#split.add(partition));
      this.#draws.push(draw);
      seeking.push(draw);
    }
    // All before the first attaches: it would get the whole window, to be taken back at once.
    for (const draw of seeking) {
      if (this.#host.routes.leaderOf(draw.partition) !== 0) this.#split.opened(draw.part);
    }
    this.plan();
    for (const draw of seeking) this.#seek(draw);
  }

  accept(delivery: QueueDelivery): void {
    this.#settle(delivery as HeldDelivery, true);
  }

  reject(delivery: QueueDelivery): void {
    this.#settle(delivery as HeldDelivery, false);
  }

  setWindow(window: number): void {
    if (window === this.#window) return;
    this.#window = window;
    this.#split.setWindow(this.window);
    this.plan();
  }

  detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#leaveAll();
    this.#host.detached(this);
  }

  /** Time went by. False when it need not be told again. */
  tick(): boolean {
    this.#split.tick();
    this.plan();
    return !this.#detached && this.#split.wantsTicks;
  }

  /** Tells the stores the windows that are other ones now. */
  plan(): void {
    const changed = this.#changed;
    this.#split.plan(changed);
    for (const part of changed) {
      for (const draw of this.#draws) {
        if (draw.part === part) this.#host.consumers.setWindow(draw.consumerId, part.window);
      }
    }
    changed.length = 0;
    if (this.#split.wantsTicks) this.#host.wantsTicks(this);
  }

  // ---- of one partition

  attachAt(draw: PartitionDraw, nodeId: number): void {
    const definition = this.#definition;
    if (this.#detached || definition === undefined || draw.nodeId !== 0) return;
    this.#split.opened(draw.part);
    this.plan();
    draw.nodeId = nodeId;
    draw.consumerId = this.#host.consumers.attach({
      nodeId,
      partition: draw.partition,
      queueId: definition.queueId,
      window: draw.part.window,
      clientId: this.#consumer.clientId,
      generation: this.#generation,
      sink: draw,
    });
    draw.generation = this.#generation;
    this.#split.attached(draw.part);
  }

  delivered(draw: PartitionDraw, items: readonly DeliverItem[]): void {
    const queueId = this.#definition?.queueId;
    if (this.#detached || queueId === undefined) return;
    this.#split.delivered(draw.part, items.length);
    const { partition, consumerId } = draw;
    this.#consumer.deliver(
      items.map(
        (item): HeldDelivery => ({
          queueId,
          partition,
          offset: item.offset,
          rowBase: item.rowBase,
          deliveryCount: item.deliveryCount,
          record: new EncodedRecord(item.record),
          draw,
          consumerId,
        }),
      ),
    );
  }

  waiting(draw: PartitionDraw, isWaiting: boolean): void {
    this.#split.heard(draw.part, isWaiting);
    this.plan();
  }

  dismissed(draw: PartitionDraw, reason: DetachReason): void {
    const refusedBy = draw.nodeId;
    draw.nodeId = 0;
    draw.consumerId = 0;
    this.#split.closed(draw.part);
    if (this.#detached) return;
    if (reason === 'queue-removed') {
      // The topology says so too, in a moment, and binds again should there be another of its name.
      this.#leaveAll();
      this.#definition = undefined;
      return;
    }
    draw.isFenced = reason === 'fenced' && draw.generation >= this.#generation;
    const leader = this.#host.routes.leaderOf(draw.partition);
    if (!draw.isFenced) {
      if (reason === 'fenced' || (leader !== 0 && leader !== refusedBy)) this.#seek(draw);
      else this.#host.waiting.wait(draw);
    }
    this.plan();
  }

  /** Attaches where the partition is led, or waits until that is known. */
  #seek(draw: PartitionDraw): void {
    draw.isFenced = false;
    const leader = this.#host.routes.leaderOf(draw.partition);
    if (leader === 0) this.#host.waiting.wait(draw);
    else this.attachAt(draw, leader);
  }

  /** An answer to a delivery of an earlier consumer says nothing to the present one. */
  #settle({ draw, consumerId, offset }: HeldDelivery, accepted: boolean): void {
    if (this.#detached) return;
    if (consumerId === draw.consumerId) {
      this.#host.consumers.settle(consumerId, offset, accepted);
      if (this.#split.settled(draw.part)) this.plan();
      return;
    }
    this.#split.orphanSettled();
    this.plan();
  }

  #leaveAll(): void {
    for (const draw of [...this.#draws]) this.#leave(draw);
  }

  #leave(draw: PartitionDraw): void {
    this.#draws.splice(this.#draws.indexOf(draw), 1);
    this.#split.remove(draw.part);
    this.#host.waiting.leave(draw);
    if (draw.nodeId === 0) return;
    this.#host.consumers.detach(draw.consumerId);
    draw.nodeId = 0;
    draw.consumerId = 0;
  }
}

/** What an attachment has of its gateway. */
export interface AttachmentHost {
  readonly consumers: PartitionConsumer;
  readonly routes: RouteTable;
  readonly waiting: LeaderWaiting;
  /** `tick` is called from now on, until it returns false. */
  wantsTicks(attachment: AttachedQueue): void;
  detached(attachment: AttachedQueue): void;
}

/** One partition of an attachment. */
class PartitionDraw implements ConsumerSink, LeaderWaiter {
  readonly #attachment: AttachedQueue;
  readonly part: WindowPart;
  readonly partition: number;
  nodeId = 0;
  consumerId = 0;
  /** What the store was told with the attach. */
  generation = 0;
  /** The store has seen a newer assignment than this gateway: it waits for that. */
  isFenced = false;

  constructor(attachment: AttachedQueue, part: WindowPart) {
    this.#attachment = attachment;
    this.part = part;
    this.partition = part.partition;
  }

  attachAt(nodeId: number): void {
    this.#attachment.attachAt(this, nodeId);
  }
  delivered(items: readonly DeliverItem[]): void {
    this.#attachment.delivered(this, items);
  }
  waiting(isWaiting: boolean): void {
    this.#attachment.waiting(this, isWaiting);
  }
  dismissed(reason: DetachReason): void {
    this.#attachment.dismissed(this, reason);
  }
}

interface HeldDelivery extends QueueDelivery {
  /** Which consumer it came through, and that one's partition. */
  readonly draw: PartitionDraw;
  readonly consumerId: number;
}
