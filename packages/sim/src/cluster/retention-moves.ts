import type { QueueDefinition, QueueLimits } from '@sluice/meta/queue-definition';
import { PEEK_LIMIT_MAX, type RefusalCode } from '@sluice/rpc/contract/queue-management';
import type { ChangedSettings, RetentionCheck } from '../check/retention-check.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import type { GatewayNode } from './gateway-node.ts';
import { QueueMoves } from './queue-moves.ts';

/**
 * Operators who purge queues that are in use, change what may be changed of them, and look at their figures and at what
 * they hold, at any gateway, also several at once. Queues that are made and removed meanwhile are purged and changed too.
 */
export class RetentionMoves {
  readonly #parts: RetentionMovesParts;
  /** Those that are there from beginning to end. */
  readonly #lasting = new Map<string, QueueDefinition>();
  /** What was asked for and is not answered, at gateways that are still there to hear it. */
  readonly #pending = new Set<object>();
  #isOver = false;
  purges = 0;
  changes = 0;

  constructor(parts: RetentionMovesParts) {
    this.#parts = parts;
  }

  begin(queues: readonly QueueDefinition[]): void {
    for (const queue of queues) {
      this.#lasting.set(queue.name, queue);
      this.#parts.check.lasts(queue);
    }
    this.#next();
  }

  end(): void {
    this.#isOver = true;
  }

  /** Everything that was asked for is answered, or nobody is there any more to hear it. */
  async answered(): Promise<void> {
    const { world } = this.#parts;
    if (await world.runUntil(world.nowMs + QueueMoves.ANSWER_MS_MAX, 500, () => this.#pending.size === 0)) return;
    throw new Violation('liveness', `nobody answers ${this.#pending.size} operators`);
  }

  #next(): void {
    const { world, draw, everyMs, gateways } = this.#parts;
    world.after(everyMs * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.#next();
      const gateway = draw.oneOf(gateways);
      const name = draw.oneOf([...this.#lasting.keys(), ...this.#parts.moving]);
      const act = draw.oneOf([this.#purge, this.#change, this.#change, this.#look, this.#peek]);
      if (gateway.state !== 'up') return;
      world.after(0, gateway.life, () => {
        // A gateway that was stopped comes to it when it goes on, which may be after the end.
        if (this.#isOver) return;
        const pending = {};
        this.#pending.add(pending);
        const over = (): void => void this.#pending.delete(pending);
        gateway.life.onEnd(over);
        act
          .call(this, gateway, name)
          .catch((cause: unknown) => world.fail(cause))
          .finally(over);
      });
    });
  }

  async #purge({ queues, topology, name: at }: GatewayNode, name: string): Promise<void> {
    const { world, check } = this.#parts;
    const queueId = topology?.queueByName(name)?.queueId;
    if (queues === undefined || queueId === undefined) return;
    const purge = check.purgeAsked(queueId);
    const outcome = await queues.purge(name);
    const said = outcome.ok ? `${outcome.value} are gone` : outcome.code;
    world.trace.add(world.nowMs, at, `purge of ${name}: ${said}`);
    if (!outcome.ok) {
      this.#refused(name, 'a purge', outcome.code);
      return;
    }
    this.purges++;
    check.purged(purge, outcome.value);
  }

  async #change({ queues, name: at }: GatewayNode, name: string): Promise<void> {
    const { world, check } = this.#parts;
    if (queues === undefined) return;
    const { settings, keyExpression } = this.#settings(name);
    world.trace.add(world.nowMs, at, `${name} shall have ${JSON.stringify(settings)} ${keyExpression ?? ''}`);
    const change = check.settings.asked(name, settings, world.nowMs);
    const outcome = await queues.update(name, keyExpression === undefined ? settings : { ...settings, keyExpression });
    if (outcome.ok) {
      this.changes++;
      check.changed(change, outcome.value.version);
      for (const [key, value] of Object.entries(settings)) {
        const is = JSON.stringify(outcome.value[key as keyof ChangedSettings]);
        if (is === JSON.stringify(value)) continue;
        throw new Violation('metadata', `${key} of ${name} was to be ${JSON.stringify(value)}, and is ${is}`);
      }
    } else if (outcome.code === 'NOT_FOUND' || outcome.code === 'NOT_READY') {
      check.settings.refused(name, change);
      this.#refused(name, 'a change', outcome.code);
    } else this.#refused(name, 'a change', outcome.code);
  }

  async #look({ queues }: GatewayNode, name: string): Promise<void> {
    const { world, check } = this.#parts;
    const queue = this.#lasting.get(name);
    if (queues === undefined || queue === undefined) return;
    const askedAtMs = world.nowMs;
    const outcome = await queues.statistics([name]);
    const told = outcome.ok ? outcome.value.get(name) : undefined;
    if (told !== undefined) check.told(queue.queueId, name, told, askedAtMs);
  }

  async #peek({ queues, topology }: GatewayNode, name: string): Promise<void> {
    const { world, draw, check } = this.#parts;
    const queue = topology?.queueByName(name);
    if (queues === undefined || queue === undefined) return;
    const askedAtMs = world.nowMs;
    const partition = draw.oneOf(queue.partitions);
    const request = { limit: PEEK_LIMIT_MAX, fromOffset: null, partition, payloadBytesMax: 64 };
    const outcome = await queues.peek(name, request);
    if (outcome.ok) check.peeked(queue.queueId, outcome.value, askedAtMs);
    else this.#refused(name, 'a look at what it holds', outcome.code);
  }

  /** For want of a leader, or of an answer; never because a queue that is there were not. */
  #refused(name: string, what: string, code: RefusalCode): void {
    if (!this.#lasting.has(name) || REFUSALS.includes(code)) return;
    this.#parts.world.fail(new Violation('metadata', `${name} is refused ${what}: ${code}`));
  }

  /** One or two of them; an expression where a queue has one. */
  #settings(name: string): { settings: Partial<ChangedSettings>; keyExpression?: string } {
    const { draw } = this.#parts;
    const all: ChangedSettings = {
      dataRetentionMs: draw.oneOf([700, 2_000, 6_000, 7 * 86_400_000]),
      limits: this.#limits(),
      localMaxInflight: draw.oneOf([1, 2, 10]),
      dispatchStrategy: draw.oneOf(['random', 'round_robin', 'least_inflight']),
    };
    const keys = draw.shuffled(Object.keys(all) as (keyof ChangedSettings)[]).slice(0, draw.between(1, 2));
    const settings: Partial<ChangedSettings> = Object.fromEntries(keys.map((key) => [key, all[key]]));
    const hasExpression = this.#lasting.get(name)?.isLastValue === true && draw.onceIn(2);
    if (!hasExpression) return { settings };
    return { settings, keyExpression: draw.oneOf(['message.from', 'message.topic']) };
  }

  #limits(): QueueLimits {
    const { draw, payloadBytes } = this.#parts;
    // One message fits into each.
    return {
      countMax: draw.oneOf([null, null, 3, 15]),
      bytesMax: draw.oneOf([null, null, 2_000 + 4 * payloadBytes]),
      overflow: draw.oneOf(['refuse', 'drop_oldest']),
    };
  }
}

export interface RetentionMovesParts {
  world: SimWorld;
  draw: Draw;
  gateways: readonly GatewayNode[];
  check: RetentionCheck;
  /** Names of queues that are made and removed. */
  moving: readonly string[];
  everyMs: number;
  payloadBytes: number;
}

const REFUSALS: readonly RefusalCode[] = ['NOT_READY', 'TIMEOUT', 'UNAVAILABLE'];
