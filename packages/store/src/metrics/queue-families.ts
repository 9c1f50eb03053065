import type { Labels } from '@sluice/common/metrics';
import type { QueueFigures } from './queue-figures.ts';

/** One family of the metrics page with its series of each queue. NaN: the queue has no such series. */
export interface QueueFamily {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  /** On the page of all queues too, unless more is asked for. */
  readonly isCoarse: boolean;
  readonly series: readonly (readonly [labels: Labels, read: Read])[];
}

type Read = (queue: QueueFigures) => number;

const NO_LABELS: Labels = {};

/**
 * What the page says of queues and of their consumers. A queue has one group of consumers, so both are named by the queue.
 * The counters are those of the replicated machine: whoever leads next goes on with the same numbers. Deliveries are not
 * replicated; they count for the life of the process that hands them out.
 */
export const QUEUE_FAMILIES: readonly QueueFamily[] = [
  coarse('sluice_queue_depth_messages', 'gauge', 'Messages stored and not settled', (queue) => queue.depth),
  coarse('sluice_queue_depth_bytes', 'gauge', 'Bytes of messages stored and not settled', (queue) => queue.depthBytes),
  family('sluice_queue_ready_messages', 'gauge', 'Messages that no consumer has', (queue) => queue.ready),
  coarse('sluice_queue_inflight_messages', 'gauge', 'Messages delivered and not answered', (queue) => queue.inflight),
  family(
    'sluice_queue_delayed_messages',
    'gauge',
    'Of the ready messages those that were rejected and rest before they are delivered again',
    (queue) => queue.delayed,
  ),
  family(
    'sluice_queue_too_large_messages',
    'gauge',
    'Of the ready messages those that wait for a consumer that takes their size: all who are attached have a smaller Maximum Packet Size',
    (queue) => queue.tooLarge,
  ),
  coarse(
    'sluice_queue_oldest_message_age_seconds',
    'gauge',
    'Age of the oldest unsettled message; 0 when there is none',
    (queue) => queue.ageSeconds,
  ),
  family('sluice_queue_keys', 'gauge', 'Live keys of a last-value queue', (queue) => queue.keys),
  family('sluice_queue_published_total', 'counter', 'Messages committed', (queue) => queue.published),
  family('sluice_queue_published_bytes_total', 'counter', 'Bytes committed', (queue) => queue.publishedBytes),
  {
    name: 'sluice_queue_rejected_total',
    type: 'counter',
    help: 'Publishes that the queue refused, by reason',
    isCoarse: false,
    series: [[{ reason: 'full' }, (queue) => queue.refused]],
  },
  family(
    'sluice_queue_expired_total',
    'counter',
    "Messages that expired, by their own or the queue's period",
    (queue) => queue.expired,
  ),
  family(
    'sluice_queue_overwritten_total',
    'counter',
    'Values replaced by a newer one of their key',
    (queue) => queue.overwritten,
  ),
  family(
    'sluice_queue_dropped_total',
    'counter',
    'Messages given up for newer ones by drop_oldest',
    (queue) => queue.dropped,
  ),
  family('sluice_queue_purged_total', 'counter', 'Messages purged by an operator', (queue) => queue.purged),
  {
    name: 'sluice_queue_limit_ratio',
    type: 'gauge',
    help: 'How far a queue is towards a limit it has, 0 to 1',
    isCoarse: false,
    series: [
      [{ limit: 'messages' }, ({ depth, definition }) => ratio(depth, definition.limits.countMax)],
      [{ limit: 'bytes' }, ({ depthBytes, definition }) => ratio(depthBytes, definition.limits.bytesMax)],
      [{ limit: 'age' }, ({ ageSeconds, definition }) => ratio(ageSeconds * 1000, definition.dataRetentionMs)],
    ],
  },
  family(
    'sluice_queue_loss_horizon_seconds',
    'gauge',
    'Until unsettled messages expire by the period of the queue, or are dropped for newer ones; +Inf for never',
    (queue) => queue.lossHorizonSeconds,
  ),
  family(
    'sluice_queue_objective_seconds',
    'gauge',
    'How old a message may become before its consumers are too slow (lag_objective of the queue, else queues.lagObjective)',
    (queue) => queue.objectiveMs / 1000,
  ),
  coarse(
    'sluice_consumer_lag_messages',
    'gauge',
    'Messages committed and not acknowledged, in flight included',
    (queue) => queue.depth,
  ),
  coarse(
    'sluice_consumer_lag_seconds',
    'gauge',
    'Age of the oldest message not acknowledged; 0 when there is none',
    (queue) => queue.ageSeconds,
  ),
  family(
    'sluice_consumer_drain_seconds',
    'gauge',
    'Until the backlog is gone at the pace of the last minute; +Inf while it does not shrink, no series until it is known',
    (queue) => queue.drainSeconds,
  ),
  coarse(
    'sluice_consumer_status',
    'gauge',
    '0 ok, 1 falling behind, 2 stalled (consumers, and nothing acknowledged), 3 no consumers for what is stored',
    (queue) => queue.status,
  ),
  family('sluice_consumer_members', 'gauge', 'Consumers attached', (queue) => queue.consumers),
  family(
    'sluice_consumer_members_active',
    'gauge',
    'Of these, those that acknowledged a message within the last minute',
    (queue) => queue.activeConsumers,
  ),
  family(
    'sluice_consumer_rebalances_total',
    'counter',
    'Times that a consumer began or ceased to draw from a partition of the queue led by this process',
    (queue) => queue.rebalances,
  ),
  family(
    'sluice_consumer_window_messages',
    'gauge',
    'Messages that the consumers together may hold unanswered',
    (queue) => queue.windowTotal,
  ),
  family(
    'sluice_consumer_oldest_inflight_seconds',
    'gauge',
    'How long a consumer has held the message that is held the longest; 0 when none is',
    (queue) => queue.oldestHeldSeconds,
  ),
  family(
    'sluice_consumer_stuck_messages',
    'gauge',
    'Messages in flight or waiting that were handed out five times or more',
    (queue) => queue.stuck,
  ),
  family(
    'sluice_consumer_last_ack_timestamp_seconds',
    'gauge',
    'When a message was last seen to be acknowledged, since the Unix epoch, to five seconds',
    (queue) => queue.lastAcceptedSeconds,
  ),
  coarse('sluice_consumer_acked_total', 'counter', 'Messages acknowledged', (queue) => queue.accepted),
  family(
    'sluice_consumer_returned_total',
    'counter',
    'Messages rejected, or given back by a consumer that left',
    (queue) => queue.returned,
  ),
  family(
    'sluice_consumer_delivered_total',
    'counter',
    'Deliveries by this process, repeated ones included',
    (queue) => queue.delivered,
  ),
  {
    name: 'sluice_consumer_redelivered_total',
    type: 'counter',
    help: 'Repeated deliveries by this process: rejected, its consumer left, or given back under a former leader',
    isCoarse: false,
    series: [
      [{ reason: 'nack' }, (queue) => queue.redeliveredRejected],
      [{ reason: 'disconnect' }, (queue) => queue.redeliveredDetached],
      [{ reason: 'failover' }, (queue) => queue.redeliveredFailover],
    ],
  },
];

/** Where the time of a message goes. */
export const QUEUE_HISTOGRAMS = [
  {
    name: 'sluice_consumer_wait_seconds',
    help: 'From the commit of a message until its first delivery by this process',
    read: (queue: QueueFigures) => queue.waitSeconds,
  },
  {
    name: 'sluice_consumer_processing_seconds',
    help: 'From the delivery of a message until it was acknowledged; after a change of leader, from when that was told',
    read: (queue: QueueFigures) => queue.processingSeconds,
  },
] as const;

function family(name: string, type: 'gauge' | 'counter', help: string, read: Read): QueueFamily {
  return { name, type, help, isCoarse: false, series: [[NO_LABELS, read]] };
}

function coarse(name: string, type: 'gauge' | 'counter', help: string, read: Read): QueueFamily {
  return { ...family(name, type, help, read), isCoarse: true };
}

function ratio(value: number, max: number | null): number {
  return max === null || max <= 0 ? Number.NaN : value / max;
}
