import type { Clock } from '@sluice/common/clock';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import { DispatchCounts } from '../metrics/dispatch-counts.ts';
import { IntakeBalance } from './intake-balance.ts';
import { QueueDispatch } from './queue-dispatch.ts';
import type { QueueDispatchOptions } from './queue-dispatch-options.ts';

/**
 * The queues of one partition that are dispatched from here, on its leader.
 *
 * A dispatch for every queue, from the moment this node leads, would be simple, and for a partition of a hundred thousand
 * queues most of it for nobody. So it begins with the first consumer of its queue, and ends with the leadership or the
 * queue: what it knows is soft. Its consumers are told which it was, and who leads. What was counted stays as long as the
 * process, since a counter that began anew with each leadership would show rates that never were.
 */
export class PartitionDispatches {
  /** Who publishes to these queues hears when its records are committed, by how they are consumed. */
  readonly balance = new IntakeBalance();
  readonly #parts: DispatchesParts;
  /** By the turn's clock, which all queues of a turn share. */
  readonly #isHeldUp = (): boolean => this.#parts.isHeldUp(this.#parts.turn);
  readonly #dispatches = new Map<number, QueueDispatch>();
  /** Of the queues that were dispatched from here in the life of this process. */
  readonly #counts = new Map<number, DispatchCounts>();

  constructor(parts: DispatchesParts) {
    this.#parts = parts;
  }

  get(queueId: number): QueueDispatch | undefined {
    return this.#dispatches.get(queueId);
  }

  /** While this node leads. `queue` as the machine has it. */
  begin(queueId: number, queue: QueueState | undefined): QueueDispatch {
    const definition = this.#parts.topology.queue(queueId);
    const { groupId, index, records, settles, turn, mayBeHeld, clock, prng, events } = this.#parts;
    const dispatch = new QueueDispatch({
      queueId,
      groupId,
      head: queue?.head ?? 0,
      tail: queue?.tail ?? 0,
      strategy: definition?.dispatchStrategy ?? 'random',
      redispatchIntervalMs: definition?.redispatchIntervalMs ?? 100,
      tellsWaiting: isSpread(definition),
      index,
      records,
      settles,
      turn,
      isHeldUp: this.#isHeldUp,
      mayBeHeld,
      clock,
      prng,
      counts: this.#countsFor(queueId),
      onTrouble: (cause) => events.dispatchFailed(groupId, queueId, cause),
      onRecovered: () => events.dispatchRecovered(groupId, queueId),
      onTooLarge: (count) => events.recordsTooLarge(groupId, queueId, count),
    });
    this.#dispatches.set(queueId, dispatch);
    return dispatch;
  }

  /** What was delivered of a queue from here; undefined when nothing ever was. */
  counts(queueId: number): DispatchCounts | undefined {
    return this.#counts.get(queueId);
  }

  /** Had a consumer in this leadership. */
  queueIds(): Iterable<number> {
    return this.#dispatches.keys();
  }

  /** One of them is about to hand something out. */
  get isAnyPumping(): boolean {
    for (const dispatch of this.#dispatches.values()) if (dispatch.isPumping) return true;
    return false;
  }

  appended(queueId: number, tail: number): void {
    const dispatch = this.#dispatches.get(queueId);
    if (dispatch === undefined) return;
    dispatch.appended(tail);
    this.balance.look(dispatch);
  }

  /** A definition changed: dispatch follows at once. */
  redefined(definition: QueueDefinition): void {
    const { dispatchStrategy, redispatchIntervalMs } = definition;
    this.#dispatches.get(definition.queueId)?.redefine(dispatchStrategy, redispatchIntervalMs, isSpread(definition));
  }

  wakeAll(): void {
    for (const dispatch of this.#dispatches.values()) dispatch.wake();
  }

  queueRemoved(queueId: number, leader: number): void {
    this.#dismiss(queueId, 'queue-removed', leader);
    this.#counts.delete(queueId);
  }

  leadershipEnded(leader: number): void {
    for (const queueId of [...this.#dispatches.keys()]) this.#dismiss(queueId, 'not-leader', leader);
  }

  #countsFor(queueId: number): DispatchCounts {
    const counts = this.#counts.get(queueId) ?? new DispatchCounts();
    this.#counts.set(queueId, counts);
    return counts;
  }

  #dismiss(queueId: number, reason: 'queue-removed' | 'not-leader', leader: number): void {
    const dispatch = this.#dispatches.get(queueId);
    if (dispatch === undefined) return;
    this.#dispatches.delete(queueId);
    this.balance.forget(queueId);
    dispatch.close();
    for (const consumer of dispatch.consumers()) consumer.dismissed(reason, leader);
  }
}

/** Over more than one partition: only then has a gateway credit to move between them. */
function isSpread(definition: QueueDefinition | undefined): boolean {
  return definition !== undefined && definition.partitions.length > 1;
}

/** What all of them share. */
interface DispatchesParts
  extends Pick<
    QueueDispatchOptions,
    'groupId' | 'index' | 'records' | 'settles' | 'turn' | 'mayBeHeld' | 'clock' | 'prng'
  > {
  topology: Topology;
  /** As `QueueDispatchOptions.isHeldUp`, by the time of `clock`. */
  isHeldUp: (clock: Pick<Clock, 'nowMs'>) => boolean;
  events: DispatchEvents;
}

export interface DispatchEvents {
  /** A record could not be read: the queue stands still rather than skip what was acknowledged, and tries again. */
  dispatchFailed(groupId: number, queueId: number, cause: Error): void;
  dispatchRecovered(groupId: number, queueId: number): void;
  /** Now and then, while so many records of a queue wait that are too large for each of its consumers. */
  recordsTooLarge(groupId: number, queueId: number, count: number): void;
}
