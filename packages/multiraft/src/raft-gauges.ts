import type { Labels, Metrics } from '@sluice/common/metrics';
import type { DiskTrouble } from '@sluice/rpc/contract/topology-feed';
import type { Replica } from './replica/replica.ts';

/** What an operator sees of the groups of a node, read when the metrics are. */
export class RaftGauges {
  readonly #replicas: ReadonlyMap<number, Replica>;

  constructor(metrics: Metrics, replicas: ReadonlyMap<number, Replica>, trouble: () => DiskTrouble | undefined) {
    this.#replicas = replicas;
    const gauge = (name: string, help: string, read: () => number): void =>
      metrics.collect(name, help, 'gauge', () => [[{}, read()]]);
    metrics.collect('sluice_raft_groups', 'Raft groups on this node by role', 'gauge', () => groupsByRole(replicas));
    gauge('sluice_raft_quiesced_groups', 'Raft groups that sleep because nothing happens', () =>
      count(replicas, ({ raft }) => raft.quiesced),
    );
    gauge('sluice_raft_leaderless_groups', 'Raft groups on this node of which no leader is known here', () =>
      count(replicas, ({ raft, impaired }) => raft.leader === 0 && impaired === undefined),
    );
    gauge('sluice_raft_impaired_groups', 'Replicas that cannot be trusted and wait to be exchanged', () =>
      count(replicas, ({ impaired }) => impaired !== undefined),
    );
    gauge('sluice_raft_stopped_groups', 'Groups that met an entry they cannot apply, and serve nothing here', () =>
      count(replicas, ({ stopped }) => stopped !== undefined),
    );
    gauge('sluice_raft_fenced', '1 when a failed write stopped this node', () => (trouble() === 'disk-failed' ? 1 : 0));
    gauge('sluice_storage_hanging', '1 while a write has been under way for seconds, without an end', () =>
      trouble() === 'disk-hangs' ? 1 : 0,
    );
    gauge('sluice_raft_max_follower_lag_entries', 'Most entries that a voter misses of a group led here', () =>
      max(replicas, followerLag),
    );
    gauge('sluice_raft_max_apply_gap_entries', 'Most entries of a group that are committed and not applied here', () =>
      max(replicas, ({ committedIndex, appliedIndex }) => committedIndex - appliedIndex),
    );
  }

  /** Registers a series a group, for the page that lists them. */
  describe(metrics: Metrics): void {
    const family = (name: string, help: string, read: (replica: Replica) => number): void =>
      metrics.collect(`sluice_raft_group_${name}`, help, 'gauge', () => ofEach(this.#replicas, read));
    family('term', 'The term the replica is in', ({ raft }) => raft.term);
    family('leader', 'The node that leads as far as this one knows; 0 while it does not', ({ raft }) => raft.leader);
    family('is_leader', '1 on the node that leads', ({ leads }) => (leads ? 1 : 0));
    family('commit_index', 'Entries known here to be committed', ({ raft }) => raft.commit);
    family('applied_index', 'Entries applied here', ({ appliedIndex }) => appliedIndex);
    family('last_index', 'Entries in the log here', ({ raft }) => raft.lastIndex);
    family('voters', 'Members that vote', ({ membership }) => membership.voters.length);
    family('learners', 'Members that do not vote yet', ({ membership }) => membership.learners.length);
    family('follower_lag_entries', 'At the leader: most entries that a voter misses', followerLag);
  }
}

function* ofEach(
  replicas: ReadonlyMap<number, Replica>,
  read: (replica: Replica) => number,
): Iterable<[Labels, number]> {
  for (const replica of replicas.values()) yield [{ group: String(replica.groupId) }, read(replica)];
}

function followerLag({ raft, leads }: Replica): number {
  if (!leads) return 0;
  const { progress, lastIndex, membership } = raft.status();
  let lag = 0;
  for (const { peer, match } of progress) if (membership.voters.includes(peer)) lag = Math.max(lag, lastIndex - match);
  return lag;
}

function count(replicas: ReadonlyMap<number, Replica>, which: (replica: Replica) => boolean): number {
  let found = 0;
  for (const replica of replicas.values()) if (which(replica)) found++;
  return found;
}

function max(replicas: ReadonlyMap<number, Replica>, of: (replica: Replica) => number): number {
  let most = 0;
  for (const replica of replicas.values()) most = Math.max(most, of(replica));
  return most;
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
