import type { Metrics } from '@sluice/common/metrics';
import type { Replica } from './replica.ts';

/** What an operator sees of the groups of a node, read when the metrics are. */
export function collectGauges(metrics: Metrics, replicas: ReadonlyMap<number, Replica>, fenced: () => boolean): void {
  metrics.collect('sluice_raft_groups', 'Raft groups on this node by role', 'gauge', () => groupsByRole(replicas));
  metrics.collect('sluice_raft_quiesced_groups', 'Raft groups that sleep because nothing happens', 'gauge', () => [
    [{}, count(replicas, ({ raft }) => raft.quiesced)],
  ]);
  metrics.collect(
    'sluice_raft_impaired_groups',
    'Replicas that cannot be trusted and wait to be exchanged',
    'gauge',
    () => [[{}, count(replicas, ({ impaired }) => impaired !== undefined)]],
  );
  metrics.collect('sluice_raft_fenced', '1 when a failed write stopped this node', 'gauge', () => [
    [{}, fenced() ? 1 : 0],
  ]);
}

function count(replicas: ReadonlyMap<number, Replica>, which: (replica: Replica) => boolean): number {
  let found = 0;
  for (const replica of replicas.values()) if (which(replica)) found++;
  return found;
}

function* groupsByRole(replicas: ReadonlyMap<number, Replica>): Iterable<[Record<string, string>, number]> {
  const byRole = new Map<string, number>([
    ['leader', 0],
    ['follower', 0],
    ['candidate', 0],
  ]);
  for (const { raft } of replicas.values()) byRole.set(raft.role, (byRole.get(raft.role) ?? 0) + 1);
  for (const [role, number] of byRole) yield [{ role }, number];
}
