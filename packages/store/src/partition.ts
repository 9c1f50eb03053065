import { assert } from '@sluice/common/assert';
import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Prng } from '@sluice/common/prng';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import type { GroupListener } from '@sluice/multiraft/group-machine';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { ApplyReply } from '@sluice/queue/machine/apply-reply';
import { encodeCommand } from '@sluice/queue/machine/command-codec';
import { stampCommand } from '@sluice/queue/machine/command-header';
import type { Command } from '@sluice/queue/machine/commands';
import type { Effect } from '@sluice/queue/machine/effects';
import type { QueueMachine } from '@sluice/queue/machine/queue-machine';
import { IndexReader } from './index-reader.ts';
import { type DispatchConsumer, QueueDispatch } from './queue-dispatch.ts';
import type { RecordReader } from './record-reader.ts';
import { RowDropper } from './row-dropper.ts';
import { SettleBatcher } from './settle-batcher.ts';

/**
 * One partition on this node: its machine, and, while this node leads it, the dispatch of its queues. Followers keep
 * the machine only; what dispatch knows (who holds what) is soft and begins anew with each leadership.
 */
export class Partition implements GroupListener<ApplyReply, Effect> {
  readonly groupId: number;
  readonly index: IndexReader;
  readonly settles: SettleBatcher;
  readonly dropper: RowDropper;
  readonly #parts: PartitionParts;
  readonly #dispatches = new Map<number, QueueDispatch>();
  #machine: QueueMachine | undefined;
  #leads = false;
  #isStopped = false;
  readonly #settleBacklog: Uint8Array[] = [];
  #settleTimer: NodeJS.Timeout | undefined;
  /** The backlog reached its bound and is not empty yet. */
  #settlesBehind = false;

  /** How soon something is proposed again that the log did not take. */
  static readonly BUSY_RETRY_MS = 20;
  static readonly WRITTEN_MS_MAX = 1000;
  /** Commands, each of what one turn settled. */
  static readonly SETTLE_BACKLOG_MAX = 256;

  constructor(parts: PartitionParts) {
    this.groupId = parts.groupId;
    this.#parts = parts;
    this.index = new IndexReader(parts.engine, parts.groupId, (key) => parts.host.recentRow(parts.groupId, key));
    this.settles = new SettleBatcher((command) => this.#proposeSettle(command));
    this.dropper = new RowDropper(this, parts.logger);
  }

  get machine(): QueueMachine {
    assert(this.#machine !== undefined, 'a partition has its machine before anything reaches it');
    return this.#machine;
  }

  set machine(machine: QueueMachine) {
    this.#machine = machine;
  }

  get leads(): boolean {
    return this.#leads;
  }

  /** An entry of it cannot be applied: this replica serves nothing more until a restart. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Stamps the command with the leader's time and proposes it; `proposal` hears of its fate. */
  propose(command: Uint8Array, proposal: Proposal): ReturnType<RaftHost['propose']> {
    stampCommand(command, this.#parts.clock.nowMs());
    return this.#parts.host.propose(this.groupId, command, proposal);
  }

  /**
   * For what is rare: definitions and drops. Resolves with the reply once applied; undefined when this node does not
   * lead any more. While the log takes nothing it waits: nobody else would configure the queue, or drop what is due.
   */
  execute(command: Command): Promise<ApplyReply | undefined> {
    const bytes = encodeCommand(command);
    return new Promise((resolve) => {
      const proposal: Proposal = {
        applied: (_index, reply) => resolve(reply),
        dropped: () => resolve(undefined),
      };
      const attempt = (): void => {
        const outcome = this.propose(bytes, proposal);
        if (outcome === 'busy') setTimeout(attempt, Partition.BUSY_RETRY_MS);
        else if (outcome !== 'proposed') resolve(undefined);
      };
      attempt();
    });
  }

  /**
   * Waits until the rows of everything acknowledged by now can be read, so that whoever publishes and then looks sees
   * it. Not longer than a moment: on a full disk the rows wait for space, and a look must not wait with them.
   */
  async written(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Partition.WRITTEN_MS_MAX);
    });
    // A node that failed writes no more rows: what is there is there.
    await Promise.race([this.#parts.host.written().catch(() => {}), patience]);
    clearTimeout(timer);
  }

  applied(index: number, reply: ApplyReply, token: unknown): void {
    (token as Proposal | undefined)?.applied(index, reply);
  }

  dropped(token: unknown, reason: 'not-leader' | 'unavailable'): void {
    (token as Proposal).dropped(reason);
  }

  effects(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'appended':
          this.#dispatches.get(effect.queueId)?.wake();
          break;
        case 'superseded':
          this.#dispatches.get(effect.queueId)?.supersede(effect.offset);
          break;
        case 'dropped':
          this.#dispatches.get(effect.queueId)?.rowsDropped();
          break;
        case 'entry-dead':
          this.#parts.host.noteDeadBytes(effect.bytes);
          this.#parts.records.forget(this.groupId, effect.index);
          break;
        case 'over-limit':
          if (this.#leads) this.dropper.trim(effect.queueId);
          break;
        case 'queue-removed':
          this.#queueRemoved(effect.queueId);
          break;
        case 'entry-live':
          break;
      }
    }
  }

  leadership(leads: boolean): void {
    if (leads === this.#leads) return;
    this.#leads = leads;
    if (!leads) {
      for (const queueId of [...this.#dispatches.keys()]) this.#dismissAll(queueId, 'not-leader');
      return;
    }
    for (const queue of this.machine.queues()) if (queue.isRemoved) this.dropper.sweepRemoved(queue.queueId);
    this.#parts.onLeading(this);
  }

  stopped(): void {
    this.#isStopped = true;
    this.#parts.onStopped(this);
  }

  /** The dispatch of a queue, made when its first consumer comes. Undefined while this node does not lead. */
  dispatchFor(queueId: number): QueueDispatch | undefined {
    if (!this.#leads) return undefined;
    let dispatch = this.#dispatches.get(queueId);
    if (dispatch === undefined) {
      const definition = this.#parts.topology.queue(queueId);
      dispatch = new QueueDispatch({
        queueId,
        groupId: this.groupId,
        head: this.machine.queue(queueId)?.head ?? 0,
        tail: () => this.machine.queue(queueId)?.tail ?? 0,
        strategy: definition?.dispatchStrategy ?? 'random',
        redispatchIntervalMs: definition?.redispatchIntervalMs ?? 100,
        index: this.index,
        records: this.#parts.records,
        settles: this.settles,
        isHeldUp: () => this.#settlesBehind,
        clock: this.#parts.clock,
        prng: this.#parts.prng,
        onTrouble: (cause) => this.#parts.onDispatchFailed(this.groupId, queueId, cause),
        onRecovered: () => this.#parts.onDispatchRecovered(queueId),
      });
      this.#dispatches.set(queueId, dispatch);
    }
    return dispatch;
  }

  existingDispatch(queueId: number): QueueDispatch | undefined {
    return this.#dispatches.get(queueId);
  }

  attach(queueId: number, consumer: DispatchConsumer, window: number): QueueDispatch | undefined {
    const dispatch = this.dispatchFor(queueId);
    dispatch?.attach(consumer, window);
    return dispatch;
  }

  /** A definition changed: dispatch follows at once. */
  redefined(definition: QueueDefinition): void {
    this.#dispatches.get(definition.queueId)?.redefine(definition.dispatchStrategy, definition.redispatchIntervalMs);
  }

  /**
   * A settlement that cannot be proposed now (too much is uncommitted) is kept and tried again, in order: dispatch has
   * forgotten the records, so nobody else would settle them under this leadership. From `SETTLE_BACKLOG_MAX` on
   * nothing more is handed out, so no more can be settled than consumers hold.
   */
  #proposeSettle(command: Uint8Array): void {
    this.#settleBacklog.push(command);
    if (this.#settleTimer === undefined) this.#drainSettles();
    this.#settlesBehind ||= this.#settleBacklog.length >= Partition.SETTLE_BACKLOG_MAX;
  }

  #drainSettles(): void {
    while (this.#settleBacklog.length > 0) {
      const outcome = this.propose(this.#settleBacklog[0] as Uint8Array, SETTLED_SILENTLY);
      if (outcome === 'busy') {
        this.#settleTimer ??= setTimeout(() => {
          this.#settleTimer = undefined;
          this.#drainSettles();
        }, Partition.BUSY_RETRY_MS);
        return;
      }
      // Not the leader any more, or fenced: the records stay unsettled and the next leader delivers them again.
      this.#settleBacklog.shift();
    }
    if (!this.#settlesBehind) return;
    this.#settlesBehind = false;
    for (const dispatch of this.#dispatches.values()) dispatch.wake();
  }

  #queueRemoved(queueId: number): void {
    this.#dismissAll(queueId, 'queue-removed');
    if (this.#leads) this.dropper.sweepRemoved(queueId);
  }

  #dismissAll(queueId: number, reason: 'queue-removed' | 'not-leader'): void {
    const dispatch = this.#dispatches.get(queueId);
    if (dispatch === undefined) return;
    this.#dispatches.delete(queueId);
    dispatch.close();
    for (const consumer of dispatch.consumers()) consumer.dismissed(reason);
  }
}

/** What a proposer gives along and hears back through. One a batch. */
export interface Proposal {
  applied(index: number, reply: ApplyReply): void;
  dropped(reason: 'not-leader' | 'unavailable'): void;
}

export interface PartitionParts {
  groupId: number;
  host: RaftHost;
  engine: ConstructorParameters<typeof IndexReader>[0];
  records: RecordReader;
  topology: Topology;
  clock: Clock;
  prng: Prng;
  logger: Logger;
  onLeading: (partition: Partition) => void;
  onStopped: (partition: Partition) => void;
  /** A record could not be read: the queue stands still rather than skip what was acknowledged, and tries again. */
  onDispatchFailed: (groupId: number, queueId: number, cause: Error) => void;
  onDispatchRecovered: (queueId: number) => void;
}

const SETTLED_SILENTLY: Proposal = { applied: () => {}, dropped: () => {} };
