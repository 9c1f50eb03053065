import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { SessionEffect } from '@sluice/queue/session/session-reply';
import type { Wills } from '@sluice/queue/session/wills';
import type { DueWillView } from '@sluice/rpc/contract/sessions';
import type { Partition } from '../partition/partition.ts';
import type { SessionRowsReader } from './session-rows-reader.ts';

/**
 * The wills of one partition on its leader: fires those whose delay is over, and has those that are due published by a
 * gateway, which alone knows who may publish what, and where it goes.
 *
 * A gateway with ten thousand clients may die in a moment. What is due then lies in the log and is published group by
 * group: one group is under way, the next one follows when a gateway has said that it is published and that is committed.
 * So memory is bounded by a group, and a topic that everybody watches gets a stream of messages and not a burst.
 *
 * Who publishes is in the log as well. A new leader asks the same gateway again, which publishes nothing twice; another
 * one is asked only when that one has not been reached for a while.
 */
export class PartitionWills {
  readonly #partition: Partition;
  readonly #parts: WillsParts;
  /** By wall time: when the next delay may be over. */
  #ripeAtMs = 0;
  #isFiring = false;
  #isStepping = false;
  #isScheduled = false;
  #asked: { group: number; gateway: number; atMs: number } | undefined;
  /** Since when the gateway of the group under way is not reached; by the monotonic clock. */
  #awaySinceMs: number | undefined;
  #turn = 0;

  /** Of one command. */
  static readonly FIRES_MAX = 256;
  /** A gateway that is asked again answers what it has done already. */
  static readonly ASK_AGAIN_MS = 5_000;
  static readonly AWAY_MS_MAX = 2_000;

  constructor(partition: Partition, rows: SessionRowsReader, parts: Omit<WillsParts, 'rows'>) {
    this.#partition = partition;
    this.#parts = { ...parts, rows };
  }

  get #wills(): Wills {
    return this.#partition.machine.sessions.wills;
  }

  leadershipBegan(): void {
    this.#ripeAtMs = 0;
    this.#asked = undefined;
    this.#awaySinceMs = undefined;
    this.#wake();
  }

  effect(effect: SessionEffect): void {
    if (!this.#partition.leads) return;
    switch (effect.type) {
      case 'will-waiting':
        this.#ripeAtMs = Math.min(this.#ripeAtMs, effect.dueAtMs);
        return;
      case 'will-due':
        this.#parts.counted('fired', 1);
        this.#wake();
        return;
      case 'will-cancelled':
        this.#parts.counted('cancelled', 1);
    }
  }

  /** A gateway has done so. */
  published(group: number): void {
    if (!this.#partition.leads || this.#wills.group?.number !== group) return;
    void this.#partition.execute({ type: 'end-wills', group }).then((reply) => {
      if (reply?.type === 'wills-ended') this.#parts.counted('published', reply.count);
      this.#wake();
    });
  }

  /** A way to it is gone, and with it what it may have been asked for. */
  gatewayLost(gateway: number): void {
    if (this.#asked?.gateway === gateway) this.#asked = undefined;
  }

  /** Called now and then while the partition is led here. */
  tick(): void {
    if (this.#parts.clock.nowMs() >= this.#ripeAtMs) void this.#fireRipe();
    if (this.#wills.dueCount > 0) this.#wake();
  }

  async #fireRipe(): Promise<void> {
    if (this.#isFiring) return;
    this.#isFiring = true;
    this.#ripeAtMs = Number.POSITIVE_INFINITY;
    try {
      for (;;) {
        const { clientIds, nextMs } = this.#wills.ripe(this.#parts.clock.nowMs(), PartitionWills.FIRES_MAX);
        this.#ripeAtMs = Math.min(this.#ripeAtMs, nextMs);
        if (clientIds.length === 0) return;
        const reply = await this.#partition.execute({ type: 'fire-wills', clientIds });
        if (reply === undefined) return;
      }
    } finally {
      this.#isFiring = false;
    }
  }

  /** Many become due in one turn. */
  #wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#step();
    });
  }

  async #step(): Promise<void> {
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      while (this.#partition.leads && (await this.#stepOnce()));
    } catch (cause) {
      this.#parts.logger.error({ err: cause, partition: this.#partition.groupId }, 'wills cannot be read');
    } finally {
      this.#isStepping = false;
    }
  }

  /** True when there is more to do at once. */
  async #stepOnce(): Promise<boolean> {
    const { gateways, clock } = this.#parts;
    const { group } = this.#wills;
    if (group === undefined) return this.#claim(this.#wills.nextGroup());
    const nowMs = clock.monotonicMs();
    if (!gateways.isReached(group.gateway)) {
      this.#awaySinceMs ??= nowMs;
      return nowMs - this.#awaySinceMs >= PartitionWills.AWAY_MS_MAX && this.#claim(group.wills);
    }
    this.#awaySinceMs = undefined;
    const asked = this.#asked;
    const isAsked = asked?.group === group.number && asked.gateway === group.gateway;
    if (isAsked && nowMs - asked.atMs < PartitionWills.ASK_AGAIN_MS) return false;
    // A message that waits for room on the disk would look like one that is published: the next tick asks again.
    if (!(await this.#partition.written())) return false;
    if (this.#wills.group !== group) return true;
    this.#asked = { group: group.number, gateway: group.gateway, atMs: nowMs };
    const wills = await this.#read(group.wills);
    gateways.ask(group.gateway, this.#partition.groupId, group.number, wills);
    return false;
  }

  /** The next group, or the one under way once more; by a gateway that is there. */
  async #claim(numbers: readonly number[]): Promise<boolean> {
    const gateway = this.#parts.gateways.choose(this.#turn++);
    if (gateway === 0 || numbers.length === 0) return false;
    const former = this.#wills.group?.gateway;
    if (former !== undefined) {
      const { groupId: partition } = this.#partition;
      this.#parts.logger.warn({ partition, gateway, former }, 'wills are published by another gateway: theirs is gone');
    }
    this.#awaySinceMs = undefined;
    const reply = await this.#partition.execute({ type: 'claim-wills', gateway, numbers });
    return reply?.type === 'wills-claimed' && reply.group !== undefined;
  }

  async #read(numbers: readonly number[]): Promise<DueWillView[]> {
    const messages = await this.#parts.rows.willMessages(numbers);
    const views: DueWillView[] = [];
    for (const [i, message] of messages.entries()) {
      const due = this.#wills.due(numbers[i] as number);
      // Published and gone while they were read.
      if (message !== undefined && due !== undefined) views.push({ clientId: due.clientId, message });
    }
    return views;
  }
}

/** The gateways that are reached from here. */
export interface WillGateways {
  /** Another one with each number, as far as there are others; 0: there is none. */
  choose(turn: number): number;
  isReached(gateway: number): boolean;
  ask(gateway: number, partition: number, group: number, wills: readonly DueWillView[]): void;
}

export type WillStep = 'fired' | 'cancelled' | 'published';

export interface WillsParts {
  rows: SessionRowsReader;
  clock: Clock;
  logger: Logger;
  gateways: WillGateways;
  counted(step: WillStep, count: number): void;
}
