import { type AlertCase, burst, HOUR, NODE, QUEUE, rising, steady } from './alert-case.ts';
import { DELIVERED_LATE_CASES } from './delivered-late-cases.ts';
import { NO_MAJORITY_CASES } from './no-majority-cases.ts';

const DAY_S = 86_400;

/** A gauge that is 0, then `ill` from minute 10 on for 50 minutes, then 0. */
const ill = (value: number): string => `${steady(0, 10)} ${steady(value, 50)} ${steady(0, 90)}`;

/** p99 of a histogram: everything in a fast bucket, then in a slow one, then in the fast one. */
function slowFrom10To60(name: string, fast: string, slow: string): Record<string, string> {
  const fastCount = `${rising(0, 100, 10)} ${steady(900, 50)} ${rising(1_000, 100, 90)}`;
  const all = rising(0, 100, 150);
  return {
    [`${name}_bucket{${NODE},le="${fast}"}`]: fastCount,
    [`${name}_bucket{${NODE},le="${slow}"}`]: all,
    [`${name}_bucket{${NODE},le="+Inf"}`]: all,
  };
}

export const ALERT_CASES: readonly AlertCase[] = [
  {
    alert: 'SluiceConsumerLagTooOld',
    series: {
      [`sluice_consumer_lag_seconds{${QUEUE}}`]: `${steady(200, 10)} ${steady(400, 50)} ${steady(5, 40)}`,
      [`sluice_queue_objective_seconds{${QUEUE}}`]: steady(300, 100),
      // Objectives are of queues: an hour is fine for this one.
      'sluice_consumer_lag_seconds{job="sluice",instance="n1",queue="reports"}': steady(3_000, 100),
      'sluice_queue_objective_seconds{job="sluice",instance="n1",queue="reports"}': steady(3_600, 100),
    },
    silentAt: [9, 12, 62],
    firesAt: [20, 55],
  },
  ...DELIVERED_LATE_CASES,
  {
    alert: 'SluiceConsumerLagGrowing',
    series: {
      [`sluice_consumer_drain_seconds{${QUEUE}}`]: `${steady(10, 10)} ${steady('+Inf', 60)} ${steady(60, 30)}`,
      [`sluice_consumer_lag_messages{${QUEUE}}`]: `${steady(100, 10)} ${rising(2_000, 100, 60)} ${rising(7_000, -200, 30)}`,
      // Grows as well, by few messages.
      'sluice_consumer_drain_seconds{job="sluice",instance="n1",queue="few"}': steady('+Inf', 100),
      'sluice_consumer_lag_messages{job="sluice",instance="n1",queue="few"}': rising(0, 1, 100),
    },
    silentAt: [9, 20, 75],
    firesAt: [40, 65],
  },
  {
    alert: 'SluiceConsumerStalled',
    series: { [`sluice_consumer_status{${QUEUE}}`]: `${steady(1, 10)} ${steady(2, 50)} ${steady(0, 40)}` },
    silentAt: [9, 12, 61],
    firesAt: [20, 55],
  },
  {
    alert: 'SluiceNoConsumers',
    series: {
      [`sluice_consumer_status{${QUEUE}}`]: `${steady(0, 10)} ${steady(3, 50)} ${steady(0, 40)}`,
      [`sluice_queue_published_total{${QUEUE}}`]: rising(0, 10, 100),
      // Nobody consumes it, and nobody publishes to it.
      'sluice_consumer_status{job="sluice",instance="n1",queue="archive"}': steady(3, 100),
      'sluice_queue_published_total{job="sluice",instance="n1",queue="archive"}': steady(500, 100),
      // A device that is there for one minute in four: the newest command waits for it.
      'sluice_consumer_status{job="sluice",instance="n1",queue="device"}': Array(25).fill('3 0 3 3').join(' '),
      'sluice_queue_published_total{job="sluice",instance="n1",queue="device"}': rising(0, 10, 100),
    },
    silentAt: [9, 15, 61],
    firesAt: [25, 55],
  },
  {
    alert: 'SluiceBacklogWillExpire',
    series: {
      [`sluice_queue_loss_horizon_seconds{${QUEUE}}`]: `${steady('+Inf', 10)} ${steady(1_800, 50)} ${steady(90_000, 40)}`,
      [`sluice_consumer_lag_messages{${QUEUE}}`]: steady(5, 100),
      'sluice_queue_loss_horizon_seconds{job="sluice",instance="n1",queue="empty"}': steady(60, 100),
      'sluice_consumer_lag_messages{job="sluice",instance="n1",queue="empty"}': steady(0, 100),
    },
    silentAt: [9, 12, 61],
    firesAt: [20, 55],
  },
  {
    alert: 'SluiceQueueNearLimit',
    series: {
      [`sluice_queue_limit_ratio{${QUEUE},limit="messages"}`]: `${steady(0.5, 10)} ${steady(0.85, 50)} ${steady(0.2, 40)}`,
      // Old messages are told of by their loss.
      [`sluice_queue_limit_ratio{${QUEUE},limit="age"}`]: steady(0.9, 100),
    },
    silentAt: [9, 12, 61],
    firesAt: [20, 55],
  },
  {
    alert: 'SluiceQueueAtLimit',
    series: {
      [`sluice_queue_limit_ratio{${QUEUE},limit="bytes"}`]: `${steady(0.9, 10)} ${steady(1, 50)} ${steady(0.2, 40)}`,
    },
    silentAt: [9, 10, 61],
    firesAt: [13, 55],
  },
  {
    alert: 'SluiceRedeliveryStorm',
    series: {
      [`sluice_consumer_redelivered_total{${QUEUE},reason="nack"}`]: burst(10, 30, 50, 40),
      [`sluice_consumer_delivered_total{${QUEUE}}`]: rising(0, 100, 100),
    },
    silentAt: [9, 15, 66],
    firesAt: [30, 55],
  },
  {
    alert: 'SluiceStuckMessages',
    series: { [`sluice_consumer_stuck_messages{${QUEUE}}`]: ill(2) },
    silentAt: [9, 20, 61],
    firesAt: [30, 55],
  },
  {
    alert: 'SluiceMessagesDropped',
    series: { [`sluice_queue_dropped_total{${QUEUE}}`]: burst(10, 5, 20, 40) },
    silentAt: [9, 45],
    firesAt: [15, 29],
  },
  {
    alert: 'SluiceDown',
    series: {
      [`up{${NODE}}`]: `${steady(1, 10)} ${steady(0, 50)} ${steady(1, 40)}`,
      [`sluice_build_info{${NODE},version="1"}`]: `${steady(1, 10)} ${steady('stale', 1)} ${steady('_', 49)} ${steady(1, 40)}`,
      // Somebody else's.
      'up{job="printer",instance="p"}': steady(0, 100),
    },
    silentAt: [9, 10, 61],
    firesAt: [13, 55],
  },
  ...NO_MAJORITY_CASES,
  {
    alert: 'SluiceGroupWithoutLeader',
    series: { [`sluice_raft_leaderless_groups{${NODE}}`]: ill(3) },
    silentAt: [9, 10, 61],
    firesAt: [12, 55],
  },
  {
    alert: 'SluiceUnderReplicated',
    series: { [`sluice_raft_under_replicated_groups{${NODE}}`]: ill(3) },
    silentAt: [9, 15, 61],
    firesAt: [25, 55],
  },
  {
    alert: 'SluiceUnderReplicatedLong',
    series: { [`sluice_raft_under_replicated_groups{${NODE}}`]: `${steady(0, 10)} ${steady(3, 90)} ${steady(0, 20)}` },
    silentAt: [9, 60, 101],
    firesAt: [75, 95],
  },
  {
    alert: 'SluiceReplicaImpaired',
    series: {
      [`sluice_raft_impaired_groups{${NODE}}`]: ill(1),
      [`sluice_raft_stopped_groups{${NODE}}`]: steady(0, 150),
    },
    silentAt: [9, 12, 61],
    firesAt: [20, 55],
  },
  {
    alert: 'SluiceLeaderChurn',
    series: {
      [`sluice_raft_elections_total{${NODE}}`]: burst(10, 10, 50, 40),
      [`sluice_raft_groups{${NODE},role="leader"}`]: steady(16, 100),
    },
    silentAt: [9, 20, 75],
    firesAt: [35, 55],
  },
  {
    alert: 'SluiceCommitSlow',
    series: slowFrom10To60('sluice_raft_commit_seconds', '0.01', '0.5'),
    silentAt: [9, 15, 70],
    firesAt: [30, 58],
  },
  {
    alert: 'SluiceFsyncSlow',
    series: slowFrom10To60('sluice_storage_fsync_seconds', '0.005', '0.25'),
    silentAt: [9, 15, 70],
    firesAt: [30, 58],
  },
  {
    alert: 'SluiceStorageFailed',
    series: {
      [`sluice_raft_fenced{${NODE}}`]: ill(1),
      [`sluice_storage_fsync_errors_total{${NODE}}`]: burst(10, 1, 1, 139),
    },
    silentAt: [9, 61],
    firesAt: [12, 55],
  },
  {
    alert: 'SluiceCorruptionFound',
    series: {
      // It is not there until something was found.
      [`sluice_storage_corruptions_total{${NODE},file="entry_log"}`]: `${steady('_', 10)} ${steady(1, 90)}`,
    },
    silentAt: [9, 25],
    firesAt: [11, 18],
  },
  {
    alert: 'SluiceVolumeMissing',
    series: {
      'sluice_raft_fenced{job="sluice",instance="n1",namespace="mq",pod="store-0"}': steady(0, 100),
      'kube_pod_info{namespace="mq",pod="store-0"}': steady(1, 100),
      'kube_pod_spec_volumes_persistentvolumeclaims_info{namespace="mq",pod="store-0",persistentvolumeclaim="data"}': `${steady(1, 10)} stale ${steady('_', 48)} ${steady(1, 40)}`,
      // Nobody tells of its volumes; and a node outside of Kubernetes.
      'sluice_raft_fenced{job="sluice",instance="n2",namespace="mq",pod="store-1"}': steady(0, 100),
      'sluice_raft_fenced{job="sluice",instance="n3"}': steady(0, 100),
    },
    silentAt: [9, 18, 61],
    firesAt: [25, 57],
  },
  {
    alert: 'SluiceDiskPredictedFull',
    series: {
      [`sluice_storage_disk_bytes{${NODE},kind="free"}`]: `${steady(500, 2 * HOUR)} ${rising(350, -0.2, 6 * HOUR)} ${steady(600, HOUR)}`,
      [`sluice_storage_disk_bytes{${NODE},kind="total"}`]: steady(1_000, 9 * HOUR),
    },
    silentAt: [HOUR, 2 * HOUR + 20, 8 * HOUR + 40],
    firesAt: [7 * HOUR],
  },
  {
    alert: 'SluiceDiskLow',
    series: {
      [`sluice_storage_disk_bytes{${NODE},kind="free"}`]: `${steady(200, 10)} ${steady(90, 50)} ${steady(200, 40)}`,
      [`sluice_storage_disk_bytes{${NODE},kind="total"}`]: steady(1_000, 100),
    },
    silentAt: [9, 12, 61],
    firesAt: [20, 55],
  },
  {
    alert: 'SluiceDiskHangs',
    series: { [`sluice_storage_hanging{${NODE}}`]: ill(1) },
    silentAt: [9, 61],
    firesAt: [12, 55],
  },
  {
    alert: 'SluiceDiskRefusing',
    series: { [`sluice_storage_low{${NODE}}`]: ill(1) },
    silentAt: [9, 10, 61],
    firesAt: [13, 55],
  },
  {
    alert: 'SluiceConnectionsNearLimit',
    series: {
      [`sluice_gateway_connections{${NODE},protocol="5",transport="tcp"}`]: `${steady(100, 10)} ${steady(900, 50)} ${steady(100, 40)}`,
      [`sluice_gateway_connections_limit{${NODE}}`]: steady(1_000, 100),
    },
    silentAt: [9, 15, 61],
    firesAt: [25, 55],
  },
  {
    alert: 'SluiceConnectionChurn',
    series: {
      [`sluice_gateway_connections{${NODE},protocol="5",transport="tcp"}`]: steady(100, 100),
      [`sluice_gateway_connects_total{${NODE},result="success"}`]: burst(10, 1_200, 50, 40),
      // Two clients that come and go are no storm.
      'sluice_gateway_connections{job="sluice",instance="n2",protocol="5",transport="tcp"}': steady(2, 100),
      'sluice_gateway_connects_total{job="sluice",instance="n2",result="success"}': rising(0, 60, 100),
    },
    silentAt: [9, 15, 70],
    firesAt: [30, 55],
  },
  ...(['auth', 'protocol_errors'] as const).map((name): AlertCase => {
    const label = name === 'auth' ? 'method="password",result="refused"' : 'kind="malformed_packet"';
    return {
      alert: name === 'auth' ? 'SluiceAuthFailures' : 'SluiceProtocolErrors',
      series: {
        [`up{${NODE}}`]: steady(1, 5 * HOUR),
        [`sluice_gateway_${name}_total{${NODE},${label}}`]: `${rising(0, 1, 2 * HOUR)} ${rising(2 * HOUR, 60, 50)} ${steady(2 * HOUR + 3_000, 2 * HOUR)}`,
      },
      silentAt: [HOUR, 2 * HOUR + 5, 4 * HOUR],
      firesAt: [2 * HOUR + 40],
    };
  }),
  {
    alert: 'SluiceCertificateExpiring',
    series: {
      // Too near to its end from half an hour on, then replaced. Time begins at 0.
      [`sluice_rpc_certificate_not_after_seconds{${NODE}}`]: `${steady(21 * DAY_S + 1_800, 90)} ${steady(90 * DAY_S, HOUR)}`,
      // No certificate here.
      [`sluice_gateway_certificate_not_after_seconds{${NODE}}`]: steady(0, 150),
    },
    silentAt: [20, 100],
    firesAt: [40, 80],
  },
  {
    alert: 'SluiceCertificateExpiringSoon',
    series: {
      [`sluice_gateway_certificate_not_after_seconds{${NODE},listener="mqtts"}`]: `${steady(3 * DAY_S + 1_800, 90)} ${steady(90 * DAY_S, HOUR)}`,
    },
    silentAt: [20, 100],
    firesAt: [40, 80],
  },
  {
    alert: 'SluiceFilesRefused',
    series: {
      [`sluice_api_key_file_refused{${NODE}}`]: `${steady(0, 10)} ${steady(1, 20)} ${steady(0, 120)}`,
      [`sluice_gateway_access_files_refused{${NODE}}`]: `${steady(0, 50)} ${steady(1, 20)} ${steady(0, 80)}`,
      // Its three files are replaced one after the other, at the scrape of one minute; then one of them for good.
      [`sluice_rpc_certificate_refused{${NODE}}`]: `${steady(0, 85)} 1 ${steady(0, 4)} ${steady(1, 20)} ${steady(0, 40)}`,
    },
    silentAt: [9, 11, 35, 51, 75, 86, 88, 111],
    firesAt: [13, 29, 53, 69, 93, 109],
  },
  {
    alert: 'SluiceEventLoopSlow',
    series: {
      [`sluice_process_event_loop_lag_seconds{${NODE},stat="p99"}`]: ill(0.3),
      // One hiccup an hour is none.
      [`sluice_process_event_loop_lag_seconds{${NODE},stat="max"}`]: steady(2, 150),
    },
    silentAt: [9, 12, 61],
    firesAt: [20, 55],
  },
  {
    alert: 'SluiceOpenFilesNearLimit',
    series: { [`sluice_process_open_fds{${NODE}}`]: ill(900), [`sluice_process_max_fds{${NODE}}`]: steady(1_000, 150) },
    silentAt: [9, 12, 61],
    firesAt: [20, 55],
  },
  {
    alert: 'SluiceClockWrong',
    series: {
      // Behind is as wrong as ahead, and a few seconds are not.
      [`sluice_node_clock_ahead_seconds{${NODE}}`]: ill(-3_600),
      'sluice_node_clock_ahead_seconds{job="sluice",instance="n2"}': steady(4, 150),
    },
    silentAt: [9, 62],
    firesAt: [12, 55],
  },
  {
    alert: 'SluiceTimeAhead',
    series: { [`sluice_store_time_ahead_seconds{${NODE}}`]: ill(86_400) },
    silentAt: [9, 62],
    firesAt: [12, 55],
  },
  {
    alert: 'SluiceVersionSkew',
    series: {
      'sluice_build_info{job="sluice",instance="n1",version="1"}': steady(1, 200),
      'sluice_build_info{job="sluice",instance="n2",version="1"}': `${steady(1, 10)} ${steady('stale', 1)} ${steady('_', 119)} ${steady(1, 70)}`,
      'sluice_build_info{job="sluice",instance="n2",version="2"}': `${steady('_', 10)} ${steady(1, 120)} ${steady('stale', 1)}`,
    },
    silentAt: [9, 40, 140],
    firesAt: [80, 125],
  },
  {
    alert: 'SluiceRestartLoop',
    series: {
      [`sluice_process_start_time_seconds{${NODE}}`]: `${steady(1, 10)} ${rising(2, 60, 20)} ${steady(1_200, 100)}`,
    },
    silentAt: [9, 80],
    firesAt: [20, 30],
  },
  {
    alert: 'SluiceMetricsTruncated',
    series: { [`sluice_metrics_dropped_series{${NODE},family="sluice_queue_depth_messages"}`]: ill(40) },
    silentAt: [9, 20, 61],
    firesAt: [30, 55],
  },
];
