import type { Metrics } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Partition } from '../partition/partition.ts';
import { behindOf } from '../store-report.ts';

/**
 * Whether what is led here would survive the next failure: told by the leader, who alone knows how far the others are. A
 * copy counts when it votes, its node is alive and heard by the leader, and it misses little.
 */
export function collectReplicaMetrics(
  metrics: Metrics,
  {
    host,
    partitions,
    topology,
  }: {
    host: Pick<RaftHost, 'status' | 'hasLost'>;
    partitions: ReadonlyMap<number, Partition>;
    topology: Topology;
  },
): void {
  metrics.collect(
    'sluice_raft_under_replicated_groups',
    'Partitions led here of which fewer copies vote, live, are heard and up to date than are placed',
    'gauge',
    () => {
      let count = 0;
      for (const partition of partitions.values()) {
        if (partition.leads && wholeCopies(partition, host, topology) < topology.replicasOf(partition.groupId).length)
          count++;
      }
      return [[{}, count]];
    },
  );
}

function wholeCopies({ groupId }: Partition, host: Pick<RaftHost, 'status' | 'hasLost'>, topology: Topology): number {
  const status = host.status(groupId);
  if (status === undefined) return 0;
  const behind = behindOf(status);
  const { voters } = status.committedMembership;
  const isReached = (node: number) => node === status.peerId || (topology.isAlive(node) && !host.hasLost(node));
  return voters.filter((node) => isReached(node) && !behind.includes(node)).length;
}
