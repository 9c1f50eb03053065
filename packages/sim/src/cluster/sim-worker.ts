import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { DeliverItem } from '@sluice/rpc/contract/consume';
import type { Delivery, QueueCheck } from '../check/queue-check.ts';
import type { Draw } from '../draw.ts';
import type { GatewayNode } from './gateway-node.ts';

/**
 * A consumer of one partition of one queue on one gateway: attached wherever that is led, takes up to its window, thinks
 * a while, and accepts or gives back. It ends with its gateway.
 */
export class SimWorker {
  readonly #gateway: GatewayNode;
  readonly #queue: QueueDefinition;
  readonly #partition: number;
  readonly #check: QueueCheck;
  readonly #draw: Draw;
  readonly #knobs: WorkerKnobs;
  #attachment = 0;
  #consumerId = 0;
  #left = false;
  /** Delivered and not answered, by offset. */
  readonly #held = new Map<number, Delivery>();

  static readonly AGAIN_MS = 100;

  constructor(options: {
    gateway: GatewayNode;
    queue: QueueDefinition;
    partition: number;
    check: QueueCheck;
    draw: Draw;
    knobs: WorkerKnobs;
  }) {
    this.#gateway = options.gateway;
    this.#queue = options.queue;
    this.#partition = options.partition;
    this.#check = options.check;
    this.#draw = options.draw;
    this.#knobs = options.knobs;
    const { life } = this.#gateway;
    life.onEnd(() => this.#over());
    this.#gateway.world.after(0, life, () => this.#attach());
  }

  /** Detaches for good: what it holds is for others. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#over();
    if (this.#consumerId !== 0) this.#gateway.consumers?.detach(this.#consumerId);
  }

  #attach(): void {
    const { routes, consumers, network } = this.#gateway;
    if (this.#left || routes === undefined || consumers === undefined) return;
    const nodeId = routes.leaderOf(this.#partition) || routes.candidate(this.#partition);
    if (nodeId === 0) {
      this.#again();
      return;
    }
    const attachment = this.#check.attach();
    this.#attachment = attachment;
    this.#consumerId = consumers.attach({
      nodeId,
      partition: this.#partition,
      queueId: this.#queue.queueId,
      window: this.#knobs.window,
      clientId: `${this.#gateway.life.name}-${attachment}`,
      generation: 0,
      sink: {
        delivered: (items) => {
          const store = network.arriving.sender?.name ?? '';
          for (const item of items) this.#delivered(attachment, store, network.arriving.sentAtMs, item);
        },
        waiting: () => {},
        dismissed: () => {
          if (this.#attachment !== attachment) return;
          this.#over();
          this.#again();
        },
      },
    });
  }

  #again(): void {
    setTimeout(() => this.#attach(), SimWorker.AGAIN_MS);
  }

  /** The attachment is gone: what it held may come again, to anybody. */
  #over(): void {
    for (const delivery of this.#held.values()) this.#check.settled(delivery, false);
    this.#held.clear();
    this.#check.detached(this.#attachment);
    this.#attachment = 0;
  }

  #delivered(attachment: number, store: string, sentAtMs: number, item: DeliverItem): void {
    const { world } = this.#gateway;
    const payload = Buffer.from(new EncodedRecord(item.record).payload).toString();
    const text = payload.slice(0, payload.indexOf(' '));
    const delivery: Delivery = {
      id: Number.parseInt(text, 10),
      queueId: this.#queue.queueId,
      partition: this.#partition,
      offset: item.offset,
      attachment,
      store,
      deliveryCount: item.deliveryCount,
      sentAtMs,
      text,
    };
    world.trace.count(delivery.id);
    try {
      this.#check.delivered(delivery);
      this.#held.set(item.offset, delivery);
      this.#check.within(this.#held.size, this.#knobs.window, `attachment ${attachment}`);
    } catch (cause) {
      world.fail(cause);
      return;
    }
    const thinkMs = this.#draw.between(0, this.#knobs.thinkMsMax);
    const consumerId = this.#consumerId;
    setTimeout(() => {
      if (this.#left || this.#attachment !== attachment) return;
      const isAccepted = !this.#draw.onceIn(this.#knobs.returnOneIn);
      this.#held.delete(item.offset);
      this.#check.settled(delivery, isAccepted);
      this.#gateway.consumers?.settle(consumerId, item.offset, isAccepted);
    }, thinkMs);
  }
}

export interface WorkerKnobs {
  window: number;
  thinkMsMax: number;
  returnOneIn: number;
}
