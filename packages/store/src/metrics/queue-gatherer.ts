import type { Clock } from '@sluice/common/clock';
import type { Topology } from '@sluice/meta/topology';
import { isInternalQueue, RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { Partition } from '../partition/partition.ts';
import { OldestRecords, type QueuePart } from './oldest-records.ts';
import { QueueFigures } from './queue-figures.ts';
import type { QueuePace } from './queue-pace.ts';
import { QueuePaces } from './queue-paces.ts';

/** Gathers the figures of queues led here, each over its partitions, in slices: nothing else waits for a page. */
export class QueueGatherer {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #topology: Topology;
  readonly #clock: Clock;
  readonly #objectiveMs: number;
  readonly #oldest = new OldestRecords();
  readonly #paces: QueuePaces;

  /** Before others have their turn. */
  static readonly SLICE_QUEUES = 512;

  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    topology: Topology;
    clock: Clock;
    /** How old a message may become before its consumers are too slow, in queues without an objective of their own. */
    objectiveMs: number;
  }) {
    this.#partitions = options.partitions;
    this.#topology = options.topology;
    this.#clock = options.clock;
    this.#objectiveMs = options.objectiveMs;
    this.#paces = new QueuePaces(options.partitions, options.clock);
  }

  start(): void {
    this.#paces.start();
  }

  stop(): void {
    this.#paces.stop();
  }

  paceOf(queue: Readonly<QueueState>): QueuePace | undefined {
    return this.#paces.of(queue);
  }

  /**
   * At most `room` queues, the oldest backlog first. Those that hold records or have consumers come before those that do
   * nothing, so that a scrape costs what is going on and not what there is; of too many, those with the oldest backlog and
   * the deepest are taken before anything else of them is looked at.
   */
  async busy(room: number): Promise<QueueFigures[]> {
    const parts = await this.#lookAt(this.#busyQueueIds(room));
    return await this.#figures(await this.#worstFirst(parts, room));
  }

  /** All queues whose names match, busy or not, by name. */
  async named(matches: (name: string) => boolean): Promise<QueueFigures[]> {
    const ids = new Map<number, string>();
    let looked = 0;
    for (const { queues } of this.#led()) {
      for (const { queueId } of queues.queues()) {
        if (++looked % QueueGatherer.SLICE_QUEUES === 0) await nextTurn();
        const name = this.#topology.queue(queueId)?.name;
        if (name !== undefined && !isInternalQueue(queueId) && matches(name)) ids.set(queueId, name);
      }
    }
    const sorted = [...ids].sort(([, one], [, other]) => (one < other ? -1 : 1));
    return await this.#figures(await this.#lookAt(sorted.map(([queueId]) => queueId)));
  }

  /** Queues of users led here; one in several partitions counts for each. */
  get queueCount(): number {
    let count = 0;
    for (const { queues, machine } of this.#led()) {
      const retained = queues.queue(RETAINED_QUEUE_ID) === undefined ? 0 : 1;
      count += queues.queueCount - machine.sessions.streamCount - retained;
    }
    return count;
  }

  /** The parts of each queue, with the age of their backlogs known. */
  async #lookAt(queueIds: Iterable<number>): Promise<QueuePart[][]> {
    const parts: QueuePart[][] = [];
    let looked = 0;
    for (const queueId of queueIds) {
      if (++looked % QueueGatherer.SLICE_QUEUES === 0) await nextTurn();
      parts.push(this.#partsOf(queueId));
    }
    await this.#oldest.look(parts.flat());
    return parts;
  }

  /**
   * By age, and of those that do not fit in half the room the deepest: a short queue that nobody serves is worse than a long
   * one that moves.
   */
  async #worstFirst(parts: readonly QueuePart[][], room: number): Promise<QueuePart[][]> {
    const ranked = parts.map((ofQueue) => ({ ofQueue, sinceMs: this.#oldestOf(ofQueue), depth: depthOf(ofQueue) }));
    await nextTurn();
    ranked.sort((one, other) => one.sinceMs - other.sinceMs);
    await nextTurn();
    if (ranked.length <= room) return ranked.map(({ ofQueue }) => ofQueue);
    const oldest = ranked.slice(0, room / 2);
    const deepest = ranked.slice(room / 2).sort((one, other) => other.depth - one.depth);
    return [...oldest, ...deepest.slice(0, room - oldest.length)].map(({ ofQueue }) => ofQueue);
  }

  /** When its backlog began; Infinity when there is none. */
  #oldestOf(parts: readonly QueuePart[]): number {
    let sinceMs = Number.POSITIVE_INFINITY;
    for (const { queue } of parts) sinceMs = Math.min(sinceMs, this.#oldest.appendedAtMs(queue) || sinceMs);
    return sinceMs;
  }

  async #figures(parts: readonly QueuePart[][]): Promise<QueueFigures[]> {
    const all: QueueFigures[] = [];
    for (const [i, ofQueue] of parts.entries()) {
      if (i % QueueGatherer.SLICE_QUEUES === 0) await nextTurn();
      const figures = this.#figuresOf(ofQueue);
      if (figures !== undefined) all.push(figures);
    }
    return all;
  }

  #partsOf(queueId: number): QueuePart[] {
    const parts: QueuePart[] = [];
    for (const number of this.#topology.queue(queueId)?.partitions ?? []) {
      const partition = this.#partitions.get(number);
      const queue = partition?.leads === true ? partition.queues.queue(queueId) : undefined;
      if (partition !== undefined && queue !== undefined && !queue.isRemoved) parts.push({ partition, queue });
    }
    return parts;
  }

  /** Of those parts that are still led here: a leader that moved during the look says it itself. */
  #figuresOf(parts: readonly QueuePart[]): QueueFigures | undefined {
    let figures: QueueFigures | undefined;
    for (const part of parts) {
      const definition = this.#topology.queue(part.queue.queueId);
      if (!part.partition.leads || definition === undefined) continue;
      figures ??= new QueueFigures(definition, this.#objectiveMs, this.#clock);
      figures.add(part, this.#oldest.appendedAtMs(part.queue), this.#paces.of(part.queue));
    }
    return figures;
  }

  #busyQueueIds(room: number): ReadonlySet<number> {
    const ids = new Set<number>();
    const led = this.#led();
    for (const partition of led) {
      for (const queueId of partition.busyQueueIds()) if (!isInternalQueue(queueId)) ids.add(queueId);
    }
    for (const { queues } of led) {
      for (const { queueId } of queues.queues()) {
        if (ids.size >= room) return ids;
        if (!isInternalQueue(queueId)) ids.add(queueId);
      }
    }
    return ids;
  }

  #led(): Partition[] {
    return [...this.#partitions.values()].filter(({ leads }) => leads);
  }
}

function depthOf(parts: readonly QueuePart[]): number {
  let depth = 0;
  for (const { queue } of parts) depth += queue.depth;
  return depth;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
