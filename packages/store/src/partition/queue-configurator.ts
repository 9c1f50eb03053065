import type { Logger } from '@sluice/common/logger';
import { allows } from '@sluice/meta/feature-levels';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import { isInternalQueue, RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { Partition } from './partition.ts';

/**
 * Brings the queues of the partitions led here in line with the topology: configures new and changed ones, removes what
 * is not defined any more. Limits must be in the partition's own log, because every replica decides by them; so the
 * image of the cluster becomes commands, and an epoch is reached when those are applied.
 *
 * With a hundred thousand queues, looking at all of them for each that changes would take longer than the change. So all
 * are looked at once a leadership, in slices, and from then on only what changed.
 *
 * A new leader may know less than its log: an image that is behind has queues which the former leader has removed, and
 * lacks queues which it has configured.
 * Taking the latter for removed would delete what others rely on; so only a queue whose version the image has reached can be
 * missing from it. And the former must not be made again: nothing may be left of them, and whoever has this partition by a
 * snapshot has applied no removal. So a removal names the epoch of the image that lacks the queue, the log keeps the
 * highest, and who knows an older image makes no queue by it. Nothing is amiss for that: a removal is proposed when all other
 * queues of its image are in the log, so what an older image has and the log has not was removed.
 */
export class QueueConfigurator {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #topology: Topology;
  readonly #retained: RetainedLimits;
  readonly #logger: Logger;
  #running: Promise<void> | undefined;
  #again = false;
  /** Changes up to this epoch are configured, except for `#unknown`. */
  #epoch = 0;
  /** Partitions of whose queues nothing is known, because their leadership is new; by the number of that leadership. */
  readonly #unknown = new Map<Partition, number>();
  #queueIdMax = 0;
  #leaderships = 0;

  /** Proposals under way at once: a first start with many queues must not fill the log's buffer. */
  static readonly CONCURRENCY = 256;
  /** Queues looked at before others have their turn. */
  static readonly SLICE_QUEUES = 2048;

  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    topology: Topology;
    /** Over all partitions. */
    retained: RetainedLimits;
    logger: Logger;
  }) {
    this.#partitions = options.partitions;
    this.#retained = options.retained;
    this.#topology = options.topology;
    this.#logger = options.logger;
  }

  /**
   * Resolves when the partitions led here know the queues of the newest image. A partition whose leadership ends
   * meanwhile is its next leader's, who takes no publish before it has done the same.
   */
  settle(): Promise<void> {
    this.#again = true;
    // A turn later: leadership may move while the first commands are proposed, and must find a pass running.
    this.#running ??= Promise.resolve().then(() => this.#run());
    return this.#running;
  }

  /** Leadership over this partition began: all its queues are looked at. */
  leadershipMoved(partition: Partition): Promise<void> {
    if (partition.leads) this.#unknown.set(partition, ++this.#leaderships);
    else this.#unknown.delete(partition);
    return this.settle();
  }

  /** The newest queue that partitions led here were told of. Ids only grow: whatever is older and unknown was removed. */
  get queueIdMax(): number {
    return this.#queueIdMax;
  }

  /** Something is left to do: it failed, or nobody said that the image moved. */
  get isBehind(): boolean {
    return this.#running === undefined && (this.#unknown.size > 0 || this.#epoch !== this.#topology.epoch);
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      try {
        await this.#pass();
      } catch (cause) {
        this.#logger.error({ err: cause }, 'queues could not be configured; it is tried again');
      }
    }
    // Here, and not when the promise settles: who asks in between must not be told of this pass.
    this.#running = undefined;
  }

  async #pass(): Promise<void> {
    const { epoch } = this.#topology;
    const newest = this.#newestQueue();
    if (epoch !== this.#epoch) {
      const changed = this.#topology.queuesChangedSince(this.#epoch);
      if (changed === undefined) {
        for (const partition of this.#partitions.values()) {
          if (partition.leads) this.#unknown.set(partition, ++this.#leaderships);
        }
      } else await this.#configureChanged(changed, epoch);
      this.#epoch = epoch;
    }
    if (this.#unknown.size > 0) await this.#configureAll(new Map(this.#unknown));
    this.#queueIdMax = newest;
  }

  /** Of the queues in the image, and of those that were in it since the last pass. */
  #newestQueue(): number {
    let newest = Math.max(this.#queueIdMax, this.#topology.newestQueueId);
    for (const queueId of this.#topology.queuesChangedSince(this.#epoch) ?? []) newest = Math.max(newest, queueId);
    return newest;
  }

  async #configureChanged(queueIds: readonly number[], epoch: number): Promise<void> {
    const proposals = new Proposals();
    const changed = new Set(queueIds);
    // Now: one that goes later is none of this epoch's.
    const gone = [...changed].filter((queueId) => this.#topology.queue(queueId) === undefined);
    for (const queueId of changed) {
      const definition = this.#topology.queue(queueId);
      if (definition === undefined) continue;
      for (const number of definition.partitions) this.#configure(this.#partitions.get(number), definition, proposals);
      if (proposals.count >= QueueConfigurator.CONCURRENCY) await proposals.settled();
    }
    await proposals.settled();
    for (const queueId of gone) {
      for (const partition of this.#partitions.values()) {
        // Of a leadership that is new not all queues are configured: they are looked at next.
        if (!this.#unknown.has(partition)) this.#removeGone(partition, queueId, epoch, proposals);
      }
      if (proposals.count >= QueueConfigurator.CONCURRENCY) await proposals.settled();
    }
    await proposals.settled();
  }

  async #configureAll(partitions: ReadonlyMap<Partition, number>): Promise<void> {
    const { epoch } = this.#topology;
    const proposals = new Proposals();
    // Without an image there is nothing to compare with: what the log knows is served.
    if (epoch > 0) {
      let looked = 0;
      for (const { queueId, partitions: places } of this.#topology.list()) {
        for (const number of places) {
          const partition = this.#partitions.get(number);
          if (partition === undefined || !partitions.has(partition)) continue;
          // It may be another by now, or gone.
          const definition = this.#topology.queue(queueId);
          if (definition !== undefined) this.#configure(partition, definition, proposals);
        }
        if (proposals.count >= QueueConfigurator.CONCURRENCY) await proposals.settled();
        if (++looked % QueueConfigurator.SLICE_QUEUES === 0) await yieldTurn();
      }
      for (const partition of partitions.keys()) this.#configureInternal(partition, proposals);
    }
    // Each as soon as it can: one that has no majority keeps no other from its publishers and workers.
    await Promise.all(
      [...partitions].map(async ([partition, leadership]) => {
        // Led anew since this pass began: it may have gone by what the new leadership lacks.
        const isLed = (): boolean => this.#unknown.get(partition) === leadership;
        await proposals.settledOf(partition);
        if (epoch > 0) await this.#removeAllGone(partition, epoch, isLed);
        if (!isLed()) return;
        this.#unknown.delete(partition);
        partition.configured();
      }),
    );
  }

  #configure(partition: Partition | undefined, definition: QueueDefinition, proposals: Proposals): void {
    // The log knows of a removal that this image does not.
    if (partition === undefined || !partition.leads || partition.removedQueues.has(definition.queueId)) return;
    const known = partition.queues.queue(definition.queueId);
    if (known === undefined && this.#topology.epoch < partition.queues.removalEpoch) return;
    partition.dispatches.redefined(definition);
    if (known !== undefined && known.version >= definition.version) return;
    proposals.add(partition, partition.execute({ type: 'configure-queue', config: configOf(definition) }));
  }

  /** Topics spread over partitions by their hash, so each has its share of the limits. */
  #configureInternal(partition: Partition, proposals: Proposals): void {
    if (!partition.leads) return;
    const known = partition.queues.queue(RETAINED_QUEUE_ID);
    const partitionCount = Math.max(1, this.#topology.partitionCount);
    const countMax = Math.ceil(this.#retained.countMax / partitionCount);
    const bytesMax = Math.ceil(this.#retained.bytesMax / partitionCount);
    if (known?.countMax === countMax && known.bytesMax === bytesMax) return;
    const version = (known?.version ?? 0) + 1;
    const config = { queueId: RETAINED_QUEUE_ID, version, name: '$retained', isLastValue: true, erasesEmpty: true };
    proposals.add(
      partition,
      partition.execute({ type: 'configure-queue', config: { ...config, countMax, bytesMax, overflow: 'refuse' } }),
    );
  }

  /** What the image of `epoch` lacks of the partition's queues; of that epoch all that it has are configured there. */
  async #removeAllGone(partition: Partition, epoch: number, isLed: () => boolean): Promise<void> {
    const proposals = new Proposals();
    const later = new ChangesSince(this.#topology, epoch);
    let looked = 0;
    for (const { queueId } of partition.queues.queues()) {
      if (!isLed()) return;
      // What went after that epoch is the next pass's.
      if (this.#topology.queue(queueId) === undefined && !later.mayHave(queueId))
        this.#removeGone(partition, queueId, epoch, proposals);
      if (proposals.count >= QueueConfigurator.CONCURRENCY) await proposals.settled();
      if (++looked % QueueConfigurator.SLICE_QUEUES === 0) await yieldTurn();
    }
    await proposals.settled();
  }

  /** The image of `epoch` lacks it, unless that has not heard of it yet. */
  #removeGone(partition: Partition, queueId: number, epoch: number, proposals: Proposals): void {
    if (!partition.leads || isInternalQueue(queueId)) return;
    const known = partition.queues.queue(queueId);
    if (known === undefined || known.isRemoved || known.version > epoch) return;
    const isNamed = allows(this.#topology.featureLevel, 'removal-names-epoch');
    proposals.add(partition, partition.execute({ type: 'remove-queue', queueId, ...(isNamed ? { epoch } : {}) }));
  }
}

/** Which queues an image may have changed behind an epoch, while it moves. */
class ChangesSince {
  readonly #topology: Topology;
  readonly #epoch: number;
  #upTo: number;
  /** Undefined: any. */
  #queueIds: ReadonlySet<number> | undefined = new Set();

  constructor(topology: Topology, epoch: number) {
    this.#topology = topology;
    this.#epoch = epoch;
    this.#upTo = epoch;
  }

  mayHave(queueId: number): boolean {
    if (this.#topology.epoch !== this.#upTo) {
      this.#upTo = this.#topology.epoch;
      const changed = this.#topology.queuesChangedSince(this.#epoch);
      this.#queueIds = changed && new Set(changed);
    }
    return this.#queueIds?.has(queueId) ?? true;
  }
}

/** Commands under way. */
class Proposals {
  readonly #waiting = new Map<Partition, Promise<unknown>[]>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(partition: Partition, outcome: Promise<unknown>): void {
    this.#count++;
    const waiting = this.#waiting.get(partition);
    if (waiting === undefined) this.#waiting.set(partition, [outcome]);
    else waiting.push(outcome);
  }

  /** Those of one partition. */
  async settledOf(partition: Partition): Promise<void> {
    await Promise.all(this.#waiting.get(partition) ?? []);
  }

  async settled(): Promise<void> {
    const waiting = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    this.#count = 0;
    await Promise.all(waiting);
  }
}

function yieldTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function configOf(definition: QueueDefinition) {
  return {
    queueId: definition.queueId,
    version: definition.version,
    name: definition.name,
    isLastValue: definition.isLastValue,
    countMax: definition.limits.countMax,
    bytesMax: definition.limits.bytesMax,
    overflow: definition.limits.overflow,
  };
}

export interface RetainedLimits {
  countMax: number;
  bytesMax: number;
}
