import { dashboard, graph, heatmap, number, row, table } from './dashboard.mjs';

const J = 'job="$job"';
const rate = (name, by = 'instance') => `sum by (${by}) (rate(${name}{${J}}[$__rate_interval]))`;
const p99 = (name) => `histogram_quantile(0.99, sum by (instance, le) (rate(${name}_bucket{${J}}[$__rate_interval])))`;

export const cluster = dashboard({
  uid: 'sluice-cluster',
  title: 'Sluice / Cluster and Raft',
  description: 'Who leads, whether all copies are whole, and how long a commit takes.',
  rows: [
    row(
      'Is it whole?',
      number('Nodes that answer', `count(sluice_build_info{${J}})`),
      number('Without a leader', `max(sluice_raft_leaderless_groups{${J}})`, { thresholds: [[1, 'red']] }),
      number('With too few copies', `sum(sluice_raft_under_replicated_groups{${J}})`, { thresholds: [[1, 'orange']] }),
      number('Copies not trusted', `sum(sluice_raft_impaired_groups{${J}})`, { thresholds: [[1, 'red']] }),
      number('Nodes fenced', `sum(sluice_raft_fenced{${J}})`, { thresholds: [[1, 'red']] }),
      number('Versions', `count(count by (version) (sluice_build_info{${J}}))`, { thresholds: [[2, 'orange']] }),
    ),
    row(
      'Nodes',
      table(
        'Nodes',
        'instance',
        {
          Leads: { expr: `sum by (instance) (sluice_raft_groups{${J}, role="leader"})` },
          Follows: { expr: `sum by (instance) (sluice_raft_groups{${J}, role="follower"})` },
          'Up for': { expr: `time() - max by (instance) (sluice_process_start_time_seconds{${J}})`, unit: 's' },
          Memory: { expr: `max by (instance) (sluice_process_resident_memory_bytes{${J}})`, unit: 'bytes' },
          'Event loop p99': {
            expr: `max by (instance) (sluice_process_event_loop_lag_seconds{${J}, stat="p99"})`,
            unit: 's',
          },
        },
        { height: 7 },
      ),
    ),
    row(
      'Leaders',
      graph(
        'Leaders by node',
        { '{{instance}}': `sum by (instance) (sluice_raft_groups{${J}, role="leader"})` },
        { stack: true, width: 8 },
      ),
      graph(
        'Elections and changes of leader a minute',
        {
          elections: `60 * sum(rate(sluice_raft_elections_total{${J}}[$__rate_interval]))`,
          changes: `60 * sum(rate(sluice_raft_leader_changes_total{${J}}[$__rate_interval]))`,
        },
        { width: 8 },
      ),
      graph('Groups asleep', { '{{instance}}': `sum by (instance) (sluice_raft_quiesced_groups{${J}})` }, { width: 8 }),
    ),
    row(
      'Commit',
      heatmap(
        'From proposal to applied',
        `sum by (le) (increase(sluice_raft_commit_seconds_bucket{${J}}[$__rate_interval]))`,
        { width: 8 },
      ),
      heatmap(
        'Syncs of the entry log',
        `sum by (le) (increase(sluice_storage_fsync_seconds_bucket{${J}}[$__rate_interval]))`,
        { width: 8 },
      ),
      graph(
        'p99',
        {
          'commit {{instance}}': p99('sluice_raft_commit_seconds'),
          'persist {{instance}}': p99('sluice_raft_persist_seconds'),
          'apply {{instance}}': p99('sluice_raft_apply_seconds'),
        },
        { unit: 's', width: 8 },
      ),
    ),
    row(
      'Replication',
      graph(
        'Entries a turn writes (mean)',
        {
          '{{instance}}': `${rate('sluice_raft_append_batch_entries_sum')} / (${rate('sluice_raft_append_batch_entries_count')} > 0)`,
        },
        { width: 8 },
      ),
      graph('Turns a second', { '{{instance}}': rate('sluice_raft_turns_total') }, { width: 8 }),
      graph(
        'Most entries a voter misses',
        { '{{instance}}': `max by (instance) (sluice_raft_max_follower_lag_entries{${J}})` },
        { width: 8 },
      ),
      graph(
        'Most entries committed and not applied',
        { '{{instance}}': `max by (instance) (sluice_raft_max_apply_gap_entries{${J}})` },
        { width: 8 },
      ),
      graph(
        'Snapshots a minute',
        {
          'sent {{outcome}}': `60 * ${rate('sluice_raft_snapshots_sent_total', 'outcome')}`,
          'received {{outcome}}': `60 * ${rate('sluice_raft_snapshots_received_total', 'outcome')}`,
        },
        { width: 8 },
      ),
      graph('Entries to peers', { '{{instance}}': rate('sluice_raft_append_bytes_total') }, { unit: 'Bps', width: 8 }),
      graph(
        'Until a peer has an append on its disk (p99)',
        {
          'peer {{peer}}': `histogram_quantile(0.99, sum by (peer, le) (rate(sluice_raft_round_trip_seconds_bucket{${J}}[$__rate_interval])))`,
        },
        { unit: 's', width: 8, description: 'One far above the others: its disk, or the way to it.' },
      ),
    ),
  ],
});
