import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import type { Outcome, QueueSpec } from '@sluice/rpc/contract/queue-management';
import { MetadataCheck, type Operation } from '../check/metadata-check.ts';
import type { QueueCheck } from '../check/queue-check.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import type { ClusterKnobs } from './cluster-knobs.ts';
import type { GatewayNode } from './gateway-node.ts';

/**
 * Queues that are made, changed and removed while everything goes on, by operators at any gateway, also two at once, also
 * what cannot be (a name that is taken, a queue that is gone). Names are few, so that the same name comes again and must
 * be a new queue.
 */
export class QueueMoves {
  /** Above every patience on the way: of who asks, and of who waits for all to act on it. */
  static readonly ANSWER_MS_MAX = 60_000;

  readonly #world: SimWorld;
  readonly #draw: Draw;
  readonly #knobs: ClusterKnobs;
  readonly #check: QueueCheck;
  readonly #gateways: readonly GatewayNode[];
  readonly metadata = new MetadataCheck();
  readonly names: readonly string[];
  /** Somebody asked for their removal. */
  readonly doomed = new Set<number>();
  readonly #pending = new Set<Operation>();
  #over = false;
  readonly counts = { done: 0, refused: 0, unknown: 0 };

  constructor(options: {
    world: SimWorld;
    draw: Draw;
    knobs: ClusterKnobs;
    check: QueueCheck;
    gateways: readonly GatewayNode[];
  }) {
    this.#world = options.world;
    this.#draw = options.draw;
    this.#knobs = options.knobs;
    this.#check = options.check;
    this.#gateways = options.gateways;
    this.names = Array.from({ length: options.knobs.movingQueues }, (_, i) => `moving${i}`);
  }

  begin(): void {
    if (this.names.length > 0) this.#next();
  }

  end(): void {
    this.#over = true;
  }

  /** Everything that was asked for is answered, or nobody is there any more to hear it. */
  async answered(): Promise<void> {
    const world = this.#world;
    if (await world.runUntil(world.nowMs + QueueMoves.ANSWER_MS_MAX, 500, () => this.#pending.size === 0)) return;
    const open = [...this.#pending].map(({ kind, name, tag }) => `${kind} ${name} (${tag})`);
    throw new Violation('liveness', `nobody answers ${open.join(', ')}`);
  }

  #next(): void {
    const { queueMoveEveryMs } = this.#knobs;
    this.#world.after(queueMoveEveryMs * (0.5 + this.#draw.between(0, 100) / 100), this.#world.outside, () => {
      if (this.#over) return;
      this.#next();
      const name = this.#draw.oneOf(this.names);
      const gateway = this.#draw.oneOf(this.#gateways);
      if (gateway.state !== 'up' || this.metadata.countOf(name) >= MetadataCheck.OPERATIONS_MAX) return;
      const isBusy = [...this.#pending].some((operation) => operation.name === name);
      if (isBusy && !this.#draw.onceIn(4)) return;
      this.#world.after(0, gateway.life, () => this.#move(gateway, name));
    });
  }

  #move(gateway: GatewayNode, name: string): void {
    // A gateway that was stopped comes to it when it goes on, which may be after the end.
    if (this.#over) return;
    const { queues, topology } = gateway;
    if (queues === undefined || topology === undefined) return;
    const known = topology.queueByName(name);
    const isOdd = this.#draw.onceIn(6);
    if ((known === undefined) !== isOdd) {
      this.#follow(gateway, this.metadata.asked(name, 'create'), (tag) => queues.create(this.#spec(name, tag)));
    } else if (this.#draw.onceIn(2)) {
      this.#follow(gateway, this.metadata.asked(name, 'update'), (tag) =>
        queues.update(name, {
          consumerMaxInactiveMs: tag,
          localMaxInflight: this.#draw.oneOf([1, 2, 10]),
          dispatchStrategy: this.#draw.oneOf(['random', 'round_robin', 'least_inflight']),
        }),
      );
    } else {
      if (known !== undefined) this.#doom(known.queueId);
      this.#follow(
        gateway,
        this.metadata.asked(name, 'remove'),
        async () => {
          const outcome = await queues.remove(name);
          return outcome.ok ? { ok: true, value: undefined } : outcome;
        },
        () => this.#removed(known?.queueId),
      );
    }
  }

  /** Every node that could be heard acts on it; with faults, others may not know it yet. */
  #removed(queueId: number | undefined): void {
    if (queueId !== undefined && this.#knobs.faults.length === 0) this.#check.gone(queueId, this.#world.nowMs);
  }

  #doom(queueId: number): void {
    this.doomed.add(queueId);
    this.#check.doomed(queueId);
  }

  #follow(
    gateway: GatewayNode,
    operation: Operation,
    ask: (tag: number) => Promise<Outcome<QueueDefinition | undefined>>,
    removed: () => void = () => {},
  ): void {
    const { name, kind, tag } = operation;
    this.#pending.add(operation);
    this.#world.trace.add(this.#world.nowMs, gateway.name, `${kind} ${name} (${tag})`);
    gateway.life.onEnd(() => this.#pending.delete(operation));
    ask(tag).then(
      (outcome) => {
        this.#pending.delete(operation);
        this.#world.trace.add(
          this.#world.nowMs,
          gateway.name,
          `${kind} ${name} (${tag}): ${outcome.ok ? 'done' : outcome.code}`,
        );
        try {
          this.#answered(operation, outcome);
          if (outcome.ok) removed();
        } catch (cause) {
          this.#world.fail(cause);
        }
      },
      (cause: unknown) => this.#world.fail(cause),
    );
  }

  #answered(operation: Operation, outcome: Outcome<QueueDefinition | undefined>): void {
    const { metadata } = this;
    if (outcome.ok) {
      this.counts.done++;
      const { value } = outcome;
      metadata.done(operation, value === undefined ? undefined : { ...value, tag: value.consumerMaxInactiveMs });
    } else if (outcome.code === 'TIMEOUT') {
      // Done, and some node was not heard to act on it.
      this.counts.done++;
      metadata.done(operation, undefined);
    } else if (outcome.code === 'UNAVAILABLE') {
      this.counts.unknown++;
    } else {
      this.counts.refused++;
      metadata.refused(operation, outcome.code === 'ALREADY_EXISTS' ? 'exists' : 'other');
      const isExpected = ['ALREADY_EXISTS', 'NOT_FOUND', 'NOT_READY'].includes(outcome.code);
      if (!isExpected) throw new Violation('metadata', `${operation.kind} ${operation.name}: ${outcome.code}`);
    }
  }

  #spec(name: string, tag: number): QueueSpec {
    const isLastValue = this.#draw.onceIn(4);
    return {
      ...QUEUE_SETTING_DEFAULTS,
      keyExpression: isLastValue ? 'message.from' : null,
      dispatchStrategy: this.#draw.oneOf(['random', 'round_robin', 'least_inflight']),
      consumerMaxInactiveMs: tag,
      name,
      topicFilter: `t/${name}`,
      isLastValue,
      partitionCount: this.#draw.onceIn(3) ? this.#knobs.partitions : 1,
    };
  }

  /** Against the metadata as it is in the end: whatever was removed is gone. */
  atTheEnd(queues: Iterable<QueueDefinition>): void {
    const found = new Map<string, number>();
    for (const { name, consumerMaxInactiveMs } of queues) {
      if (this.names.includes(name)) found.set(name, consumerMaxInactiveMs);
    }
    this.metadata.atTheEnd(found);
  }
}
