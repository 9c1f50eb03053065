import type { ReplicaTrouble } from '@sluice/meta/cluster-liveness';
import type { PartitionInfo } from '@sluice/meta/partition-info';
import type { NodeLiveness } from './node-liveness.ts';

/**
 * Which copies do not count, of those there shall be: while there are any, one failure more may stop a partition that
 * looks as if it had copies enough. Copies on nodes that are not heard of are not among them, nor those of partitions that
 * nobody leads: these are troubles of their own. A node that stopped or was killed is silent for seconds before it counts as
 * not heard of; its connection is gone at once, and whoever restarts one node after the other must not be told in between
 * that all is well. Nor does it help that a coordinator hears of a node that the leader does not: what is between them may be cut
 * while both hear the others, and the copy gets nothing.
 */
export function replicaTroubles(
  partitions: readonly PartitionInfo[],
  liveness: Pick<NodeLiveness, 'isAlive' | 'isParted' | 'report' | 'leaders'>,
  nowMs: number,
): ReplicaTrouble[] {
  const troubles: ReplicaTrouble[] = [];
  const leaders = new Map(liveness.leaders(nowMs).map(({ partition, nodeId }) => [partition, nodeId]));
  for (const { partition, replicas } of partitions) {
    const leader = leaders.get(partition);
    const group = liveness.report(leader ?? 0)?.leads.find((led) => led.partition === partition);
    for (const nodeId of replicas) {
      if (!liveness.isAlive(nodeId, nowMs)) continue;
      if (liveness.isParted(nodeId)) troubles.push({ partition, nodeId, kind: 'parted' });
      else if (liveness.report(nodeId)?.impaired.includes(partition))
        troubles.push({ partition, nodeId, kind: 'impaired' });
      else if (group?.unheard?.includes(nodeId)) troubles.push({ partition, nodeId, kind: 'unheard' });
      else if (group !== undefined && (!group.voters.includes(nodeId) || group.behind?.includes(nodeId)))
        troubles.push({ partition, nodeId, kind: 'catching-up' });
    }
  }
  return troubles;
}
