import type { Logger } from '@sluice/common/logger';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import type { Partition } from './partition.ts';

/**
 * Brings the queues of the partitions led here in line with the topology: configures new and changed ones, removes what
 * is not defined any more. Limits must be in the partition's own log, because every replica decides by them; so the
 * image of the cluster becomes commands, and an epoch is reached when those are applied.
 */
export class QueueConfigurator {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #topology: Topology;
  readonly #logger: Logger;
  #running: Promise<void> | undefined;
  #again = false;
  /** The image that every partition led here follows; -1 when that is not known. */
  #epoch = -1;
  /** Leadership moved since the pass began: it may have gone by a partition that leads now. */
  #moved = false;

  /** Proposals under way at once: a first start with many queues must not fill the log's buffer. */
  static readonly CONCURRENCY = 256;

  constructor(options: { partitions: ReadonlyMap<number, Partition>; topology: Topology; logger: Logger }) {
    this.#partitions = options.partitions;
    this.#topology = options.topology;
    this.#logger = options.logger;
  }

  /** Resolves when the partitions led here know the queues of the newest image. */
  settle(): Promise<void> {
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Leadership moved: everything is looked at again. */
  leadershipMoved(): Promise<void> {
    this.#epoch = -1;
    this.#moved = true;
    return this.settle();
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      if (this.#topology.epoch === 0 || this.#topology.epoch === this.#epoch) continue;
      const epoch = this.#topology.epoch;
      this.#moved = false;
      try {
        await this.#configureAll();
        await this.#removeUndefined();
        if (!this.#moved) this.#epoch = epoch;
      } catch (cause) {
        this.#logger.error({ err: cause }, 'queues could not be configured');
      }
    }
  }

  async #configureAll(): Promise<void> {
    let waiting: Promise<unknown>[] = [];
    for (const definition of this.#topology.list()) {
      for (const number of definition.partitions) {
        const partition = this.#partitions.get(number);
        if (partition === undefined || !partition.leads) continue;
        partition.redefined(definition);
        const known = partition.machine.queue(definition.queueId);
        if (known !== undefined && known.version >= definition.version) continue;
        waiting.push(partition.execute({ type: 'configure-queue', config: configOf(definition) }));
        if (waiting.length >= QueueConfigurator.CONCURRENCY) {
          await Promise.all(waiting);
          waiting = [];
        }
      }
    }
    await Promise.all(waiting);
  }

  async #removeUndefined(): Promise<void> {
    for (const partition of this.#partitions.values()) {
      if (!partition.leads) continue;
      const gone = [...partition.machine.queues()].filter(
        (queue) => !queue.isRemoved && this.#topology.queue(queue.queueId) === undefined,
      );
      for (const { queueId } of gone) await partition.execute({ type: 'remove-queue', queueId });
    }
  }
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
