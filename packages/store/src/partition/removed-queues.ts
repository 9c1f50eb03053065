/**
 * The queues whose removal was applied here last. Their ids are never given out again, and once their rows are gone nothing
 * else knows them by name: a leader whose image of the cluster is behind would make one anew, begin its offsets at 0 again, and
 * hand out under them what somebody has accepted of the former ones. Since removals name an epoch (feature level 3) the
 * partition's rows keep a leader from that, also one that has them by a snapshot; this says which queues it was, to consumers
 * that come for one.
 *
 * Bound: `QUEUES_MAX`, the oldest is forgotten: no image is behind by so many removals for longer than a moment.
 */
export class RemovedQueues {
  readonly #queueIds = new Set<number>();

  static readonly QUEUES_MAX = 4_096;

  add(queueId: number): void {
    this.#queueIds.add(queueId);
    if (this.#queueIds.size <= RemovedQueues.QUEUES_MAX) return;
    const [oldest] = this.#queueIds;
    this.#queueIds.delete(oldest as number);
  }

  has(queueId: number): boolean {
    return this.#queueIds.has(queueId);
  }
}
