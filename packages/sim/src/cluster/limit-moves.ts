import type { QueueDefinition, QueueLimits } from '@sluice/meta/queue-definition';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import type { GatewayNode } from './gateway-node.ts';

/**
 * Operators who change the limits of queues that are in use, and what happens beyond them: so that a queue is too long when
 * its limit comes, and is trimmed while its messages expire, are settled and are handed out.
 */
export class LimitMoves {
  readonly #parts: LimitMovesParts;
  #isOver = false;
  changes = 0;

  constructor(parts: LimitMovesParts) {
    this.#parts = parts;
  }

  begin(queues: readonly QueueDefinition[]): void {
    const { world, draw, everyMs } = this.#parts;
    world.after(everyMs * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.begin(queues);
      const gateway = draw.oneOf(this.#parts.gateways);
      const { name } = draw.oneOf(queues);
      const limits = this.#limits();
      if (gateway.state === 'up') world.after(0, gateway.life, () => this.#change(gateway, name, limits));
    });
  }

  end(): void {
    this.#isOver = true;
  }

  #limits(): QueueLimits {
    const { draw, payloadBytes } = this.#parts;
    // One message fits into each.
    return {
      countMax: draw.oneOf([null, 1, 4, 15]),
      bytesMax: draw.oneOf([null, null, 2_000 + 4 * payloadBytes]),
      overflow: draw.oneOf(['refuse', 'drop_oldest', 'drop_oldest']),
    };
  }

  #change(gateway: GatewayNode, name: string, limits: QueueLimits): void {
    const { world } = this.#parts;
    if (this.#isOver || gateway.queues === undefined) return;
    world.trace.add(world.nowMs, gateway.name, `limits ${name} to ${limits.countMax}, ${limits.overflow}`);
    gateway.queues.update(name, { limits }).then(
      (outcome) => {
        // What is not answered in time may be done all the same.
        if (outcome.ok) this.changes++;
        else if (!['TIMEOUT', 'UNAVAILABLE', 'NOT_READY'].includes(outcome.code)) {
          world.fail(new Violation('metadata', `the limits of ${name} are not changed: ${outcome.code}`));
        }
      },
      (cause: unknown) => world.fail(cause),
    );
  }
}

export interface LimitMovesParts {
  world: SimWorld;
  draw: Draw;
  gateways: readonly GatewayNode[];
  everyMs: number;
  payloadBytes: number;
}
