import { annotation, dashboard, graph, heatmap, number, row, table, variable } from './dashboard.mjs';

/** What is chosen on the dashboard. */
const Q = 'job="$job", queue=~"$queue"';
/** Queues shown in one graph: more is a carpet. */
const TOP = 10;

const lagSeconds = `max by (queue) (sluice_consumer_lag_seconds{${Q}})`;
const lagMessages = `sum by (queue) (sluice_consumer_lag_messages{${Q}})`;
const objective = `max by (queue) (sluice_queue_objective_seconds{${Q}})`;
const ackRate = `sum by (queue) (rate(sluice_consumer_acked_total{${Q}}[$__rate_interval]))`;
const publishRate = `sum by (queue) (rate(sluice_queue_published_total{${Q}}[$__rate_interval]))`;
const members = `max by (queue) (sluice_consumer_members{${Q}})`;
const active = `max by (queue) (sluice_consumer_members_active{${Q}})`;
const status = `max by (queue) (sluice_consumer_status{${Q}})`;
/** How many queues have a status; none is 0 and no gap. */
const withStatus = (code) => `count(${status} == ${code}) or vector(0)`;
const time = (family, share) =>
  `histogram_quantile(${share}, sum by (le) (rate(${family}_bucket{${Q}}[$__rate_interval])))`;

export const lag = dashboard({
  uid: 'sluice-lag',
  title: 'Sluice / Lag',
  description: 'Which consumers are behind, by how many seconds, why, and when they will have caught up.',
  variables: [variable('queue', 'Queue', 'label_values(sluice_consumer_lag_seconds{job="$job"}, queue)')],
  annotations: [
    annotation('leader change', 'sum(increase(sluice_raft_leader_changes_total{job="$job"}[1m])) > 0', 'purple'),
    annotation('node started', 'changes(sluice_process_start_time_seconds{job="$job"}[1m]) > 0', 'blue'),
  ],
  rows: [
    row(
      'Is anything behind?',
      number('Behind their objective', `count(${lagSeconds} > ${objective}) or vector(0)`, {
        thresholds: [[1, 'red']],
      }),
      number('Worst lag', `max(sluice_consumer_lag_seconds{${Q}})`, {
        unit: 's',
        thresholds: [
          [60, 'orange'],
          [300, 'red'],
        ],
      }),
      number('Falling behind', withStatus(1), { thresholds: [[1, 'orange']] }),
      number('Stalled', withStatus(2), { thresholds: [[1, 'red']] }),
      number('Without consumers', withStatus(3), { thresholds: [[1, 'orange']] }),
      number(
        'Messages lost within the hour',
        `sum(${lagMessages} and min by (queue) (sluice_queue_loss_horizon_seconds{${Q}}) < 3600) or vector(0)`,
        { thresholds: [[1, 'red']] },
      ),
    ),
    row(
      'Queues, the worst first',
      table(
        'Queues by lag over objective',
        'queue',
        {
          'Lag / objective': {
            expr: `topk(100, ${lagSeconds} / ${objective})`,
            unit: 'percentunit',
            thresholds: [
              [0.5, 'orange'],
              [1, 'red'],
            ],
          },
          'Behind by': { expr: `clamp_min(${lagSeconds} - ${objective}, 0)`, unit: 's', thresholds: [[1, 'red']] },
          Lag: { expr: lagSeconds, unit: 's' },
          Objective: { expr: objective, unit: 's' },
          Messages: { expr: lagMessages },
          'Trend, 15 min': { expr: `sum by (queue) (delta(sluice_consumer_lag_messages{${Q}}[15m]))` },
          Drained: { expr: `max by (queue) (sluice_consumer_drain_seconds{${Q}})`, unit: 's' },
          'Published/s': { expr: publishRate },
          'Acked/s': { expr: ackRate },
          Consumers: { expr: members },
          Active: { expr: active },
          'In flight': { expr: `sum by (queue) (sluice_queue_inflight_messages{${Q}})` },
          Redelivered: {
            expr: `sum by (queue) (rate(sluice_consumer_redelivered_total{${Q}}[$__rate_interval]))
              / (sum by (queue) (rate(sluice_consumer_delivered_total{${Q}}[$__rate_interval])) > 0)`,
            unit: 'percentunit',
          },
          Status: {
            expr: status,
            words: [
              ['ok', 'green'],
              ['falling behind', 'orange'],
              ['stalled', 'red'],
              ['no consumers', 'orange'],
            ],
          },
        },
        {
          links: [
            {
              title: 'This queue',
              url: `/d/sluice-lag?var-queue=\${__value.raw}&var-datasource=$datasource&var-job=$job`,
            },
          ],
        },
      ),
    ),
    row(
      'The gap between these two is the lag',
      graph('Published and acknowledged a second', {
        published: `sum(${publishRate})`,
        acknowledged: `sum(${ackRate})`,
      }),
      graph(
        'Drained in, at the pace of the last minute',
        { '{{queue}}': `topk(${TOP}, max by (queue) (sluice_consumer_drain_seconds{${Q}}) < +Inf)` },
        { unit: 's' },
      ),
    ),
    row(
      'Lag',
      graph(
        `Lag in seconds, top ${TOP}`,
        { '{{queue}}': `topk(${TOP}, ${lagSeconds})`, objective: `min(${objective})` },
        { unit: 's', width: 8 },
      ),
      graph(`Lag in messages, top ${TOP}`, { '{{queue}}': `topk(${TOP}, ${lagMessages})` }, { width: 8 }),
      graph(
        'Consumers',
        { '{{queue}}': `topk(${TOP}, ${members})`, '{{queue}}, active': `topk(${TOP}, ${active})` },
        { width: 8, description: 'Active: acknowledged something within the last minute.' },
      ),
    ),
    row(
      'Where time goes: too few workers, slow workers, or a stuck one',
      heatmap(
        'Waiting: from publish to delivery',
        `sum by (le) (increase(sluice_consumer_wait_seconds_bucket{${Q}}[$__rate_interval]))`,
        { width: 8 },
      ),
      heatmap(
        'Working: from delivery to acknowledgement',
        `sum by (le) (increase(sluice_consumer_processing_seconds_bucket{${Q}}[$__rate_interval]))`,
        { width: 8 },
      ),
      graph(
        'p50, p95 and p99',
        {
          'waiting p50': time('sluice_consumer_wait_seconds', 0.5),
          'waiting p95': time('sluice_consumer_wait_seconds', 0.95),
          'waiting p99': time('sluice_consumer_wait_seconds', 0.99),
          'working p50': time('sluice_consumer_processing_seconds', 0.5),
          'working p95': time('sluice_consumer_processing_seconds', 0.95),
          'working p99': time('sluice_consumer_processing_seconds', 0.99),
        },
        { unit: 's', width: 8, log: true },
      ),
    ),
    row(
      'Skew and saturation',
      graph(
        `In flight of what consumers may hold, top ${TOP}`,
        {
          '{{queue}}': `topk(${TOP}, sum by (queue) (sluice_queue_inflight_messages{${Q}})
            / (sum by (queue) (sluice_consumer_window_messages{${Q}}) > 0))`,
        },
        { unit: 'percentunit', max: 1, description: 'At 100 % every consumer is busy: more of them would help.' },
      ),
      graph(
        `Held the longest by one consumer, top ${TOP}`,
        { '{{queue}}': `topk(${TOP}, max by (queue) (sluice_consumer_oldest_inflight_seconds{${Q}}))` },
        { unit: 's', description: 'Far above the usual time of a job: a stuck worker.' },
      ),
      graph(
        'Consumers idle, of those there are',
        { '{{queue}}': `topk(${TOP}, (${members} - ${active}) / (${members} > 0))` },
        {
          unit: 'percentunit',
          max: 1,
          description: 'Acknowledged nothing within the last minute: too little to do, or jobs that take longer.',
        },
      ),
      graph(
        'Consumers that come and go, a minute',
        {
          '{{queue}}': `topk(${TOP}, 60 * sum by (queue) (rate(sluice_consumer_rebalances_total{${Q}}[$__rate_interval])))`,
        },
        { description: 'By partition of the queue. What a consumer held when it went is delivered again.' },
      ),
    ),
    row(
      'Repeated deliveries',
      graph(
        'Redelivered a second, by reason',
        { '{{reason}}': `sum by (reason) (rate(sluice_consumer_redelivered_total{${Q}}[$__rate_interval]))` },
        { stack: true, width: 8 },
      ),
      graph(
        'Given back a second',
        { '{{queue}}': `topk(${TOP}, sum by (queue) (rate(sluice_consumer_returned_total{${Q}}[$__rate_interval])))` },
        { width: 8 },
      ),
      graph(
        'Handed out five times or more',
        { '{{queue}}': `topk(${TOP}, sum by (queue) (sluice_consumer_stuck_messages{${Q}}))` },
        { width: 8, description: 'Messages nobody seems to be able to process.' },
      ),
    ),
    row(
      'Capacity',
      graph(
        `Consumers needed to keep the objective, top ${TOP}`,
        {
          '{{queue}}': `topk(${TOP}, ceil((${publishRate} + ${lagMessages} / ${objective}) / (${ackRate} / (${members} > 0) > 0)))`,
        },
        {
          description:
            'What is published, and the backlog within the objective, over what one consumer acknowledges a second.',
        },
      ),
      graph(
        `Consumers there are, and as many as the autoscaler was told to have, top ${TOP}`,
        {
          '{{queue}}': `topk(${TOP}, ${members})`,
          '{{queue}}, wanted': `topk(${TOP}, max by (queue) (sluice_scaler_wanted_workers{${Q}}))`,
        },
        {
          description:
            'Wanted and not there for long: the autoscaler is at its most, or new workers do not start. Nothing is wanted where no autoscaler asks.',
        },
      ),
    ),
    row(
      'Time to the limits',
      graph(
        `Until messages are lost, the nearest ${TOP}`,
        { '{{queue}}': `bottomk(${TOP}, min by (queue) (sluice_queue_loss_horizon_seconds{${Q}}))` },
        { unit: 's', log: true },
      ),
      graph(
        `How near to a limit, top ${TOP}`,
        { '{{queue}} {{limit}}': `topk(${TOP}, max by (queue, limit) (sluice_queue_limit_ratio{${Q}}))` },
        { unit: 'percentunit' },
      ),
      graph(
        'Lost or refused a second',
        {
          expired: `sum(rate(sluice_queue_expired_total{${Q}}[$__rate_interval]))`,
          dropped: `sum(rate(sluice_queue_dropped_total{${Q}}[$__rate_interval]))`,
          refused: `sum(rate(sluice_queue_rejected_total{${Q}}[$__rate_interval]))`,
          overwritten: `sum(rate(sluice_queue_overwritten_total{${Q}}[$__rate_interval]))`,
        },
        { width: 24 },
      ),
    ),
  ],
});
