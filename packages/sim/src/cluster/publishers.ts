import { partitionForKey, partitionForPublisher } from '@sluice/gateway/publish/partition-choice';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { type QueueCheck, textOf } from '../check/queue-check.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import { type ClusterKnobs, LARGER_BYTES } from './cluster-knobs.ts';
import type { GatewayNode } from './gateway-node.ts';

/** Clients that publish numbered messages into every queue that their gateway knows. */
export class Publishers {
  readonly #world: SimWorld;
  readonly #draw: Draw;
  readonly #knobs: ClusterKnobs;
  readonly #check: QueueCheck;
  readonly #gateways: readonly GatewayNode[];
  /** Its removal was asked for: it may be refused. */
  readonly #isDoomed: (queueId: number) => boolean;
  /**
   * Some store's image lacks it. A leader that the coordinators cannot reach asks publishers to wait for a new queue, and refuses
   * in the end rather than hold the partition's other queues up.
   */
  readonly #isUnheardOf: (queueId: number) => boolean;
  readonly #sequences = new Map<string, number>();
  /** By queue: when one of its records was last sent while some store's image lacked it. */
  readonly #unheardMs = new Map<number, number>();
  #nextMessage: number;
  #isOver = false;

  static readonly EXPIRES_MS_MAX = 3_000;
  /** From the first attempt of a record to the last answer there may be to it. */
  static readonly ANSWER_MS_MAX = 15_000;

  constructor(options: {
    world: SimWorld;
    draw: Draw;
    knobs: ClusterKnobs;
    check: QueueCheck;
    gateways: readonly GatewayNode[];
    isDoomed: (queueId: number) => boolean;
    isUnheardOf: (queueId: number) => boolean;
    /** The number of the first message; undefined: 1. */
    messagesFrom?: number;
  }) {
    this.#world = options.world;
    this.#draw = options.draw;
    this.#knobs = options.knobs;
    this.#check = options.check;
    this.#gateways = options.gateways;
    this.#isDoomed = options.isDoomed;
    this.#isUnheardOf = options.isUnheardOf;
    this.#nextMessage = options.messagesFrom ?? 1;
  }

  begin(): void {
    for (let publisher = 1; publisher <= this.#knobs.publishers; publisher++) this.#next(publisher);
  }

  end(): void {
    this.#isOver = true;
  }

  #next(publisher: number): void {
    const { publishEveryMs, batch } = this.#knobs;
    const world = this.#world;
    world.after(publishEveryMs * (0.5 + this.#draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.#next(publisher);
      // One connection: a publisher is at one gateway until that is gone, and then at the next.
      const up = this.#gateways.filter((each) => each.state === 'up' && !each.life.paused);
      const gateway = up[publisher % Math.max(1, up.length)];
      if (gateway === undefined) return;
      world.after(0, gateway.life, () => {
        for (const queue of gateway.topology?.list() ?? []) {
          for (let i = 0; i < batch; i++) this.#publish(gateway, `p${publisher}`, queue);
        }
      });
    });
  }

  #payloadBytes(id: number): number {
    const { payloadBytes, largerEvery } = this.#knobs;
    return largerEvery !== undefined && id % largerEvery === 0 ? payloadBytes + LARGER_BYTES : payloadBytes;
  }

  #publish(gateway: GatewayNode, publisher: string, queue: QueueDefinition): void {
    const { producer } = gateway;
    if (producer === undefined || producer.congested) return;
    const { queueId } = queue;
    // A publisher that moved to another gateway is another one: what it left behind is answered to nobody.
    const from = `${publisher}@${gateway.life.name}`;
    const key = queue.isLastValue ? this.#keyIn(queue) : undefined;
    // Values of one publisher are its own: a key is the publisher's.
    const fullKey = key === undefined ? undefined : Buffer.from(`${from}/${key}`);
    const partition = fullKey === undefined ? partitionForPublisher(queue, publisher) : partitionForKey(queue, fullKey);
    const line = `${from}:${queueId}:${key ?? ''}`;
    const sequence = (this.#sequences.get(line) ?? 0) + 1;
    this.#sequences.set(line, sequence);
    const expiresInMs = this.#expiresInMs(key);
    const message = {
      id: this.#nextMessage++,
      queueId,
      partition,
      publisher: from,
      sequence,
      key,
      expiresAtMs: expiresInMs === 0 ? undefined : Math.floor(this.#world.nowMs) + expiresInMs,
    };
    this.#check.published(message);
    if (this.#isUnheardOf(queueId)) this.#unheardMs.set(queueId, this.#world.nowMs);
    producer.add(
      partition,
      {
        targets: [{ queueId, key: fullKey }],
        topic: queue.topicFilter,
        payload: Buffer.from(`${textOf(message)} ${'.'.repeat(this.#payloadBytes(message.id))}`),
        qos: 1,
        retain: false,
        publisher: from,
        publishedAtMs: gateway.time.nowMs(),
        expiresAtMs: expiresInMs === 0 ? 0 : gateway.time.nowMs() + expiresInMs,
        properties: undefined,
      },
      {
        recordStored: () => {
          this.#world.trace.count(message.id);
          this.#check.acknowledged(message.id);
        },
        recordFailed: (failure) => {
          // Nobody knows: also a refusal may follow an attempt that was stored and not answered.
          if (failure !== 'unavailable' && this.#knobs.faults.length === 0) this.#check.refused(message.id);
          const isNews = this.#world.nowMs - (this.#unheardMs.get(queueId) ?? -Infinity) < Publishers.ANSWER_MS_MAX;
          const isFull = failure === 'queue-full' && this.#check.isLimited(queueId);
          const isExcused = this.#isDoomed(queueId) || isFull || (failure === 'queue-unknown' && isNews);
          if (failure.startsWith('queue-') && !isExcused) {
            this.#world.fail(new Violation('queues known', `${message.id} for queue ${queue.name}: ${failure}`));
          }
        },
      },
    );
  }

  /** A queue with another expression has other keys, whatever lies under those of before. */
  #keyIn({ keyExpression }: QueueDefinition): string {
    return `${keyExpression === 'message.from' ? 'k' : 'other'}${this.#draw.between(1, this.#knobs.keys)}`;
  }

  /** 0: never. What stands for an older value must not go before it was seen, so values do not expire. */
  #expiresInMs(key: string | undefined): number {
    const { expiringOneIn } = this.#knobs;
    if (expiringOneIn === 0 || key !== undefined || !this.#draw.onceIn(expiringOneIn)) return 0;
    return (this.#knobs.expiresMsMin ?? 0) + this.#draw.between(1, Publishers.EXPIRES_MS_MAX);
  }
}
