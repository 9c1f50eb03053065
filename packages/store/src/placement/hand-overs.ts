import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Transport } from '@sluice/rpc/transport';
import type { Partition } from '../partition/partition.ts';
import { askStore } from './ask-store.ts';

export type HandOverReason = 'preferred' | 'leaves the group' | 'disk' | 'drain';

/**
 * Hands the leadership of partitions to other stores.
 *
 * Raft alone would transfer to anybody who has the log. But a store without space refuses publishes, and one that is about
 * to stop would hand it on. So the heir is asked whether it would lead. Before the transfer nothing new is handed out for
 * a moment, until what was settled is committed; what consumers hold they take with them to the heir (`resumption`).
 *
 * A transfer that came to nothing is not tried with the same heir for a while: proposals wait while it lasts.
 */
export class HandOvers {
  readonly #options: HandOverOptions;
  readonly #running = new Set<number>();
  /** By group and heir: until when it is left alone. */
  readonly #restingUntilMs = new Map<string, number>();

  /** How long the log may take to commit what was settled; what it has not is told to the heir by the gateways. */
  static readonly SETTLE_MS = 250;
  /** Raft gives a transfer up after an election timeout, which is at most two seconds. */
  static readonly TRANSFER_MS = 2500;
  static readonly LOOK_MS = 5;
  static readonly REST_MS = 10_000;
  /** What a node that does not answer may cost. */
  static readonly ASK_MS = 1000;

  constructor(options: HandOverOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#running.size;
  }

  isRunning(groupId: number): boolean {
    return this.#running.has(groupId);
  }

  /** The first that was not tried in vain lately. */
  best(groupId: number, heirs: readonly number[]): number | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    return heirs.find((heir) => (this.#restingUntilMs.get(`${groupId}:${heir}`) ?? 0) <= nowMs);
  }

  /** True when this node does not lead the partition any more. With `mustAgree` false the heir is not asked. */
  async begin(partition: Partition, heir: number, reason: HandOverReason, mustAgree = true): Promise<boolean> {
    const { groupId } = partition;
    if (this.#running.has(groupId)) return false;
    this.#running.add(groupId);
    const { logger } = this.#options;
    let moved = false;
    try {
      if (!mustAgree || (await this.#agrees(groupId, heir))) moved = await this.#transfer(partition, heir);
    } catch (cause) {
      logger.error({ err: cause, partition: groupId, to: heir }, 'leadership could not be handed over');
    } finally {
      this.#running.delete(groupId);
    }
    if (moved) logger.info({ partition: groupId, to: heir, reason }, 'leadership was handed over');
    else this.#rest(groupId, heir);
    return moved;
  }

  async #agrees(partition: number, heir: number): Promise<boolean> {
    const { transport } = this.#options;
    const answer = await askStore(transport, heir, { type: 'would-lead', partition }, HandOvers.ASK_MS);
    return answer?.type === 'would-lead' && answer.would;
  }

  async #transfer(partition: Partition, heir: number): Promise<boolean> {
    const { host, clock } = this.#options;
    const { term } = partition;
    const moved = (): boolean => !partition.leads || partition.term !== term;
    try {
      await partition.pause(HandOvers.SETTLE_MS);
      if (moved()) return true;
      if (!host.transferLeadership(partition.groupId, heir)) return false;
      const deadlineMs = clock.monotonicMs() + HandOvers.TRANSFER_MS;
      while (!moved()) {
        if (clock.monotonicMs() > deadlineMs) return false;
        await new Promise((resolve) => setTimeout(resolve, HandOvers.LOOK_MS));
      }
      return true;
    } finally {
      partition.resume();
    }
  }

  #rest(groupId: number, heir: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [id, untilMs] of this.#restingUntilMs) if (untilMs <= nowMs) this.#restingUntilMs.delete(id);
    this.#restingUntilMs.set(`${groupId}:${heir}`, nowMs + HandOvers.REST_MS);
  }
}

export interface HandOverOptions {
  host: Pick<RaftHost, 'transferLeadership'>;
  transport: Pick<Transport, 'call'>;
  clock: Clock;
  logger: Logger;
}
