import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import type { StoreAdminRequest, StoreAdminResponse, StoreQueueStatistics } from '@sluice/rpc/contract/store-admin';
import type { Transport } from '@sluice/rpc/transport';

/** Figures of a queue in one of its partitions, and who told them. */
export interface PartitionFigures extends StoreQueueStatistics {
  nodeId: number;
}

/**
 * Asks the stores that lead partitions. What this node knows of leaders may be a moment old: who does not lead names who
 * does, and when nobody knows, the replicas are asked in turn. Bounded: each store once for each question.
 */
export class StoreQuestions {
  readonly #topology: Topology;
  readonly #transport: Transport;

  constructor(options: { topology: Topology; transport: Transport }) {
    this.#topology = options.topology;
    this.#transport = options.transport;
  }

  /** The leader's answer; a store's last refusal when none leads; undefined when none answers. */
  async ask(partition: number, request: StoreAdminRequest): Promise<StoreAdminResponse | undefined> {
    const asked = new Set<number>();
    let hint = this.#topology.leaderOf(partition);
    let refusal: StoreAdminResponse | undefined;
    for (;;) {
      const nodeId = this.#next(partition, hint, asked);
      if (nodeId === undefined) return refusal;
      asked.add(nodeId);
      hint = 0;
      const response = await this.#call(nodeId, request);
      if (response === undefined) continue;
      if (response.type !== 'refused' || response.code !== 'not-leader') return response;
      refusal = response;
      hint = response.leader;
    }
  }

  /** By queue, what the leaders of its partitions tell; those that did not answer are missing. */
  async statistics(definitions: readonly QueueDefinition[]): Promise<ReadonlyMap<number, readonly PartitionFigures[]>> {
    const missing = new Map<number, Set<number>>();
    for (const { queueId, partitions } of definitions) {
      for (const partition of partitions) setOf(missing, partition).add(queueId);
    }
    const found = new Map<number, PartitionFigures[]>();
    const asked = new Map<number, Set<number>>();
    const hints = new Map<number, number>();
    for (const partition of missing.keys()) hints.set(partition, this.#topology.leaderOf(partition));
    // A store is asked once for all its partitions; what nobody told yet is asked of the next.
    while (missing.size > 0) {
      const queuesByNode = new Map<number, Set<number>>();
      const partitionsByNode = new Map<number, number[]>();
      for (const [partition, queueIds] of missing) {
        const before = setOf(asked, partition);
        const nodeId = this.#next(partition, hints.get(partition) ?? 0, before);
        if (nodeId === undefined) {
          missing.delete(partition);
          continue;
        }
        before.add(nodeId);
        hints.delete(partition);
        const queues = setOf(queuesByNode, nodeId);
        for (const queueId of queueIds) queues.add(queueId);
        partitionsByNode.set(nodeId, [...(partitionsByNode.get(nodeId) ?? []), partition]);
      }
      await Promise.all(
        [...queuesByNode].map(async ([nodeId, queueIds]) => {
          const response = await this.#call(nodeId, { type: 'statistics', queueIds: [...queueIds] });
          if (response?.type !== 'statistics') return;
          for (const { partition, leader } of response.elsewhere) hints.set(partition, leader);
          const elsewhere = new Set(response.elsewhere.map(({ partition }) => partition));
          for (const partition of partitionsByNode.get(nodeId) ?? []) {
            // It leads the partition: a queue that it did not name is not there (yet).
            if (!elsewhere.has(partition)) this.#take(response.queues, partition, nodeId, missing, found);
          }
        }),
      );
    }
    return found;
  }

  #take(
    queues: readonly StoreQueueStatistics[],
    partition: number,
    nodeId: number,
    missing: Map<number, Set<number>>,
    found: Map<number, PartitionFigures[]>,
  ): void {
    const wanted = missing.get(partition);
    for (const figures of queues) {
      if (figures.partition !== partition || !wanted?.has(figures.queueId)) continue;
      const of = found.get(figures.queueId);
      if (of === undefined) found.set(figures.queueId, [{ ...figures, nodeId }]);
      else of.push({ ...figures, nodeId });
    }
    missing.delete(partition);
  }

  /** The hint, else a replica that lives, else any; nobody twice. */
  #next(partition: number, hint: number, asked: ReadonlySet<number>): number | undefined {
    if (hint !== 0 && !asked.has(hint)) return hint;
    const replicas = this.#topology.replicasOf(partition).filter((nodeId) => !asked.has(nodeId));
    return replicas.find((nodeId) => this.#topology.isAlive(nodeId)) ?? replicas[0];
  }

  async #call(nodeId: number, request: StoreAdminRequest): Promise<StoreAdminResponse | undefined> {
    try {
      return await this.#transport.call<StoreAdminRequest, StoreAdminResponse>(nodeId, 'store-admin', request);
    } catch {
      // Nobody there: another replica may lead by now.
      return undefined;
    }
  }
}

function setOf(map: Map<number, Set<number>>, key: number): Set<number> {
  let set = map.get(key);
  if (set === undefined) {
    set = new Set();
    map.set(key, set);
  }
  return set;
}
