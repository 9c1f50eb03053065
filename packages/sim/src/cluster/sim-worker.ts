import type {
  QueueAttachment,
  QueueConsumer,
  QueueDelivery,
  QueueReference,
} from '@sluice/gateway/deliver/queue-subscriptions';
import type { QueueCheck } from '../check/queue-check.ts';
import type { Draw } from '../draw.ts';
import type { GatewayNode } from './gateway-node.ts';

/**
 * A client of one gateway that consumes one queue, whether that exists or not: it takes up to its window, thinks a while,
 * and accepts or gives back. It ends with its gateway.
 */
export class SimWorker implements QueueConsumer {
  readonly clientId: string;
  readonly recordBytesMax = 0;
  readonly gateway: GatewayNode;
  readonly queue: string;
  readonly #life: string;
  readonly #check: QueueCheck;
  readonly #draw: Draw;
  readonly #knobs: WorkerKnobs;
  readonly #holds: (held: number, worker: SimWorker) => void;
  #attachment: QueueAttachment | undefined;
  readonly #held = new Set<QueueDelivery>();

  constructor(options: {
    clientId: string;
    gateway: GatewayNode;
    queue: string;
    check: QueueCheck;
    draw: Draw;
    knobs: WorkerKnobs;
    /** Told what it holds with each delivery. */
    holds: (held: number, worker: SimWorker) => void;
  }) {
    this.clientId = options.clientId;
    this.gateway = options.gateway;
    this.queue = options.queue;
    this.#life = this.gateway.life.name;
    this.#check = options.check;
    this.#draw = options.draw;
    this.#knobs = options.knobs;
    this.#holds = options.holds;
    const reference: QueueReference = { by: 'name', name: this.queue, filter: undefined };
    this.gateway.world.after(0, this.gateway.life, () => {
      this.#attachment = this.gateway.attachments?.attach(reference, this);
    });
  }

  get window(): number {
    return this.#knobs.window;
  }

  /** Its gateway still is the process that it came to. */
  get isThere(): boolean {
    return this.gateway.state !== 'down' && this.gateway.life.name === this.#life;
  }

  /** What it holds is for others, also what no store leads to hear of just then. */
  leave(): void {
    for (const delivery of this.#held) this.#check.refusedBy(delivery);
    this.#attachment?.detach();
    this.#attachment = undefined;
  }

  mayConsume(): boolean {
    return true;
  }

  deliver(deliveries: readonly QueueDelivery[]): void {
    for (const delivery of deliveries) this.#held.add(delivery);
    this.#holds(this.#held.size, this);
    for (const delivery of deliveries) {
      setTimeout(
        () => {
          this.#held.delete(delivery);
          if (this.#draw.onceIn(this.#knobs.returnOneIn)) {
            this.#check.refusedBy(delivery);
            this.#attachment?.reject(delivery);
          } else {
            this.#check.acceptedBy(delivery);
            this.#attachment?.accept(delivery);
          }
        },
        this.#draw.between(0, this.#knobs.thinkMsMax),
      );
    }
  }
}

export interface WorkerKnobs {
  window: number;
  thinkMsMax: number;
  returnOneIn: number;
}
