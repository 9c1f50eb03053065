import type { Fleet } from '../cluster/fleet.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';

/** Since when each gateway could ask each partition, as it is seen from outside: what code of theirs believes says nothing. */
export class ReachCheck {
  readonly #fleet: Fleet;
  /** By gateway and partition: when it could not, last. */
  readonly #lostMs = new Map<string, number>();

  /** One store that does not answer costs the time of a question; the others have answered by then. */
  static readonly WAIT_MS_MAX = 7_000;
  /** What was lost longer ago is asked for again. */
  static readonly FOUND_AFTER_MS = 15_000;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  sample(): void {
    const { world, knobs, gateways, network } = this.#fleet;
    for (let partition = 1; partition <= knobs.partitions; partition++) {
      const leader = this.#fleet.leaderOf(partition);
      const isLed = leader?.state === 'up' && !leader.life.paused;
      for (const gateway of gateways) {
        const { nodeId, state, life } = gateway;
        const isReached =
          isLed &&
          state === 'up' &&
          !life.paused &&
          !network.isCut(nodeId, leader.nodeId) &&
          !network.isCut(leader.nodeId, nodeId);
        if (!isReached) this.#lostMs.set(keyOf(gateway, partition), world.nowMs);
      }
    }
  }

  /** All the time since then. */
  isReached(gateway: GatewayNode, partition: number, sinceMs: number): boolean {
    const lostMs = this.#lostMs.get(keyOf(gateway, partition));
    return lostMs === undefined || lostMs < sinceMs;
  }

  /** Stores are asked one after the other: each that is lost when it is asked costs the time of a question once more. */
  waitMsMax(gateway: GatewayNode, nowMs: number): number {
    const { knobs, network } = this.#fleet;
    let lost = 0;
    for (let partition = 1; partition <= knobs.partitions; partition++) {
      if (!this.isReached(gateway, partition, nowMs - ReachCheck.FOUND_AFTER_MS)) lost++;
    }
    return ReachCheck.WAIT_MS_MAX + Math.max(0, lost - 1) * network.knobs.callTimeoutMs;
  }
}

function keyOf({ nodeId }: GatewayNode, partition: number): string {
  return `${nodeId} ${partition}`;
}
