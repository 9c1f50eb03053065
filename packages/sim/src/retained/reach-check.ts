import { RetainedLookups } from '@sluice/store-client/retained/retained-lookups';
import type { Fleet } from '../cluster/fleet.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';

/** Since when each gateway could ask each partition, as it is seen from outside: what code of theirs believes says nothing. */
export class ReachCheck {
  readonly #fleet: Fleet;
  /** By gateway and partition: times in which it could not. */
  readonly #lost = new Map<string, { fromMs: number; untilMs: number }[]>();

  /** One store that does not answer costs the time of a question; the others have answered by then. */
  static readonly WAIT_MS_MAX = 7_000;
  /** Questions that are under way when it begins, or answered late, are lost as well. */
  static readonly LOST_MS_MIN = RetainedLookups.DEADLINE_MS / 2;

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
        if (!isReached) this.#isLost(keyOf(gateway, partition), world.nowMs);
      }
    }
  }

  #isLost(key: string, nowMs: number): void {
    const spells = this.#lost.get(key) ?? [];
    if (spells.length === 0) this.#lost.set(key, spells);
    const last = spells.at(-1);
    if (last !== undefined && nowMs - last.untilMs < 2 * SAMPLE_MS) last.untilMs = nowMs;
    else spells.push({ fromMs: nowMs, untilMs: nowMs });
  }

  /** All the time since then. */
  isReached(gateway: GatewayNode, partition: number, sinceMs: number): boolean {
    const last = this.#lost.get(keyOf(gateway, partition))?.at(-1);
    return last === undefined || last.untilMs < sinceMs;
  }

  /** Stores are asked one after the other: each that is lost when it is asked costs the time of a question once more. */
  waitMsMax(gateway: GatewayNode, nowMs: number): number {
    const { knobs, network } = this.#fleet;
    let lost = 0;
    for (let partition = 1; partition <= knobs.partitions; partition++) {
      if (!this.isReached(gateway, partition, nowMs - RetainedLookups.DEADLINE_MS)) lost++;
    }
    return ReachCheck.WAIT_MS_MAX + Math.max(0, lost - 1) * network.knobs.callTimeoutMs;
  }

  /** For as long, since then, that who read may have been given up. */
  isLostFor(gateway: GatewayNode, partition: number, sinceMs: number): boolean {
    let lostMs = 0;
    for (const { fromMs, untilMs } of this.#lost.get(keyOf(gateway, partition)) ?? []) {
      lostMs += Math.max(0, untilMs - Math.max(fromMs, sinceMs));
    }
    return lostMs >= ReachCheck.LOST_MS_MIN;
  }
}

const SAMPLE_MS = 100;

function keyOf({ nodeId }: GatewayNode, partition: number): string {
  return `${nodeId} ${partition}`;
}
