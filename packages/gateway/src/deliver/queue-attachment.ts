import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { DeliverItem, DetachReason } from '@sluice/rpc/contract/consume';
import type { ConsumerSink, PartitionConsumer } from '@sluice/store-client/consume/partition-consumer';
import { type WindowPart, WindowSplit } from '@sluice/store-client/consume/window-split';
import type { RouteTable } from '@sluice/store-client/route/route-table';
import { HeldDeliveries, type HeldDelivery } from './held-deliveries.ts';
import type { LeaderWaiter, LeaderWaiting } from './leader-waiting.ts';
import type { QueueAttachment, QueueConsumer, QueueDelivery, QueueReference } from './queue-subscriptions.ts';

/**
 * One client's subscription to one queue: a consumer of the store for each partition it draws from, while the queue
 * exists and the partition's leader is known. Its window is split over them (`window-split`).
 *
 * Consumers come and go with leaders, jobs do not: what the client holds of a partition stays noted here (`held`), and
 * each new consumer claims it. A partition that is assigned away is drained first: it is left when nothing of it is held.
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
  #recordBytesMax: number;
  #detached = false;
  readonly #changed: WindowPart[] = [];

  constructor(reference: QueueReference, consumer: QueueConsumer, host: AttachmentHost) {
    this.reference = reference;
    this.#consumer = consumer;
    this.#host = host;
    this.#window = consumer.window;
    this.#recordBytesMax = consumer.recordBytesMax;
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
    for (const draw of [...this.#draws]) {
      draw.part.isRetiring = !partitions.includes(draw.partition);
      this.#leaveIfRetired(draw);
    }
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
    this.#settle(delivery as DrawnDelivery, true);
  }

  reject(delivery: QueueDelivery): void {
    this.#settle(delivery as DrawnDelivery, false);
  }

  /** A store that was told no limit would hand it out here again: there it stays, until the connection ends. */
  tooLarge(delivery: QueueDelivery): void {
    const drawn = delivery as DrawnDelivery;
    const { draw } = drawn;
    if (this.#detached || !drawn.isHeld || draw.recordBytesMax === 0) return;
    draw.held.remove(drawn);
    this.#host.consumers.tooLarge(draw.consumerId, drawn);
    const isFreed = this.#split.settled(draw.part);
    this.#leaveIfRetired(draw);
    if (isFreed) this.plan();
  }

  setRecordBytesMax(recordBytesMax: number): void {
    this.#recordBytesMax = recordBytesMax;
    this.tellSize();
  }

  /** Stores that were told another one, or none since some node did not know of it, hear of it. */
  tellSize(): void {
    const recordBytesMax = this.#toldBytesMax;
    for (const draw of this.#draws) {
      if (draw.nodeId === 0 || draw.recordBytesMax === recordBytesMax) continue;
      draw.recordBytesMax = recordBytesMax;
      this.#host.consumers.setRecordBytesMax(draw.consumerId, recordBytesMax);
    }
  }

  get #toldBytesMax(): number {
    return this.#host.tellsSizes ? this.#recordBytesMax : 0;
  }

  setWindow(window: number): void {
    if (window === this.#window) return;
    this.#window = window;
    this.#split.setWindow(this.window);
    this.plan();
  }

  mayConsume(topicFilter: string): boolean {
    return this.#consumer.mayConsume(topicFilter);
  }

  lookAgain(): void {
    if (!this.#detached) this.#host.changed(this);
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
    draw.recordBytesMax = this.#toldBytesMax;
    draw.consumerId = this.#host.consumers.attach({
      nodeId,
      partition: draw.partition,
      queueId: definition.queueId,
      window: draw.part.window,
      clientId: this.#consumer.clientId,
      generation: this.#generation,
      held: draw.held.claims(),
      recordBytesMax: draw.recordBytesMax,
      sink: draw,
    });
    draw.generation = this.#generation;
    this.#split.attached(draw.part);
  }

  delivered(draw: PartitionDraw, items: readonly DeliverItem[]): void {
    const queueId = this.#definition?.queueId;
    if (this.#detached || queueId === undefined) return;
    this.#split.delivered(draw.part, items.length);
    const { partition } = draw;
    const deliveries = new Array<DrawnDelivery>(items.length);
    for (let i = 0; i < items.length; i++) {
      const item = items[i] as DeliverItem;
      const delivery: DrawnDelivery = {
        queueId,
        partition,
        offset: item.offset,
        rowBase: item.rowBase,
        deliveryCount: item.deliveryCount,
        record: new EncodedRecord(item.record),
        draw,
        isHeld: false,
        previous: undefined,
        next: undefined,
      };
      draw.held.add(delivery);
      deliveries[i] = delivery;
    }
    this.#consumer.deliver(deliveries);
  }

  waiting(draw: PartitionDraw, isWaiting: boolean): void {
    this.#split.heard(draw.part, isWaiting);
    this.plan();
  }

  /** They take places of the window until the client answers; what it accepts is told all the same. */
  lost(draw: PartitionDraw, offsets: readonly number[]): void {
    for (let left = draw.held.removeAll(offsets); left > 0; left--) this.#split.lost(draw.part);
    this.#leaveIfRetired(draw);
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
    if (draw.part.isRetiring && draw.part.held === 0) this.#leave(draw);
    else if (!draw.isFenced) {
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

  #settle(delivery: DrawnDelivery, accepted: boolean): void {
    if (this.#detached) return;
    const { draw } = delivery;
    if (delivery.isHeld) {
      draw.held.remove(delivery);
      this.#host.consumers.settle(draw.consumerId, delivery, accepted);
      const isFreed = this.#split.settled(draw.part);
      this.#leaveIfRetired(draw);
      if (isFreed) this.plan();
      return;
    }
    // It is with others, or back in its queue: a job that is done all the same, unless the queue is another one by now.
    if (delivery.queueId === this.#definition?.queueId) this.#host.consumers.settle(0, delivery, accepted);
    this.#split.orphanSettled();
    this.plan();
  }

  #leaveIfRetired(draw: PartitionDraw): void {
    if (draw.part.isRetiring && draw.part.held === 0) this.#leave(draw);
  }

  #leaveAll(): void {
    for (const draw of [...this.#draws]) this.#leave(draw);
  }

  #leave(draw: PartitionDraw): void {
    this.#draws.splice(this.#draws.indexOf(draw), 1);
    draw.held.release();
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
  /** Every store knows of limits of consumers. */
  readonly tellsSizes: boolean;
  /** `tick` is called from now on, until it returns false. */
  wantsTicks(attachment: AttachedQueue): void;
  /** What its client may consume is another thing now. */
  changed(attachment: AttachedQueue): void;
  detached(attachment: AttachedQueue): void;
}

/** One partition of an attachment. */
class PartitionDraw implements ConsumerSink, LeaderWaiter {
  readonly #attachment: AttachedQueue;
  readonly part: WindowPart;
  readonly partition: number;
  /** Delivered by this partition's consumers, the former ones too, and not answered. */
  readonly held = new HeldDeliveries<DrawnDelivery>();
  nodeId = 0;
  consumerId = 0;
  /** What the store was told with the attach. */
  generation = 0;
  /** What the store was told last; 0: no limit. */
  recordBytesMax = 0;
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
  lost(offsets: readonly number[]): void {
    this.#attachment.lost(this, offsets);
  }
  dismissed(reason: DetachReason): void {
    this.#attachment.dismissed(this, reason);
  }
}

interface DrawnDelivery extends HeldDelivery {
  readonly draw: PartitionDraw;
}
