import { humanizeDuration } from '@sluice/common/human-duration';
import { humanizeSize } from '@sluice/common/human-size';
import { formatPairs, formatTable, groupDigits, printable } from '../text-table.ts';
import type { MessageAnswer, MessagePageAnswer, QueueAnswer, StatisticsAnswer } from './queue-answers.ts';

const UNKNOWN = '?';

/** The list of queues: what an operator looks for first is at the left and right edges. */
export function listText(queues: readonly QueueAnswer[], statistics: readonly StatisticsAnswer[]): string {
  if (queues.length === 0)
    return 'No queues. Create one: sluice queues create orders --topic-filter orders/# --regular\n';
  const byName = new Map(statistics.map((row) => [row.name, row.statistics]));
  const rows = queues.map((queue) => {
    const figures = byName.get(queue.name) ?? null;
    const kind = queue.is_lastvalue ? 'last-value' : 'regular';
    if (figures === null) return [queue.name, queue.topic_filter, kind, ...Array<string>(6).fill(UNKNOWN)];
    return [
      queue.name,
      queue.topic_filter,
      kind,
      groupDigits(figures.depth_messages),
      humanizeSize(figures.depth_bytes),
      groupDigits(figures.ready_messages),
      groupDigits(figures.inflight_messages),
      groupDigits(figures.consumers),
      ageText(figures.depth_messages, figures.oldest_message_age_seconds),
    ];
  });
  const left = ['NAME', 'FILTER', 'KIND'].map((title) => ({ title, align: 'left' as const }));
  const right = ['DEPTH', 'SIZE', 'READY', 'INFLIGHT', 'CONSUMERS', 'OLDEST'].map((title) => ({
    title,
    align: 'right' as const,
  }));
  return formatTable([...left, ...right], rows);
}

function objectiveText({ lag_objective: own }: QueueAnswer, figures: StatisticsAnswer['statistics']): string {
  if (typeof own === 'number') return humanizeDuration(own);
  const inForce = figures?.lag_objective_seconds;
  return inForce === undefined ? 'as configured' : `${humanizeDuration(inForce * 1_000)}, as configured`;
}

export function describeText(queue: QueueAnswer, figures: StatisticsAnswer['statistics']): string {
  const { limits } = queue;
  const settings = formatPairs([
    ['Name', queue.name],
    ['Topic filter', queue.topic_filter],
    ['Subscribe to', queue.name.startsWith('/') ? `$q${queue.name}` : `$queue/${queue.name}`],
    ['Kind', queue.is_lastvalue ? `last-value, key ${queue.key_expression ?? ''}` : 'regular'],
    ['Dispatch', `${queue.dispatch_strategy}, at most ${queue.local_max_inflight} in flight per consumer`],
    ['Retention', humanizeDuration(queue.data_retention_period)],
    ['Lag objective', objectiveText(queue, figures)],
    [
      'Messages',
      limits.max_message_count === 'infinity'
        ? 'no limit'
        : `at most ${groupDigits(limits.max_message_count)}, then ${limits.overflow}`,
    ],
    [
      'Bytes',
      limits.max_message_bytes === 'infinity'
        ? 'no limit'
        : `at most ${humanizeSize(limits.max_message_bytes)}, then ${limits.overflow}`,
    ],
    ['Partitions', String(queue.partitions)],
    ['Created', queue.created_at],
  ]);
  if (figures === null) return `${settings}\nIts figures are not known: no leader of the queue answered.\n`;
  const totals = [
    ['published', figures.published_total],
    ['accepted', figures.accepted_total],
    ['returned', figures.returned_total],
    ['refused', figures.refused_total],
    ['expired', figures.expired_total],
    ['overwritten', figures.overwritten_total],
    ['dropped', figures.dropped_total],
    ['purged', figures.purged_total],
  ] as const;
  const state = formatPairs([
    ['Depth', `${groupDigits(figures.depth_messages)} messages, ${humanizeSize(figures.depth_bytes)}`],
    ['Ready', groupDigits(figures.ready_messages)],
    ['In flight', `${groupDigits(figures.inflight_messages)} with ${groupDigits(figures.consumers)} consumers`],
    ['Oldest', ageText(figures.depth_messages, figures.oldest_message_age_seconds)],
    ...(queue.is_lastvalue ? ([['Keys', groupDigits(figures.keys)]] as const) : []),
    [
      'Totals',
      totals
        .filter(([, amount]) => amount > 0)
        .map(([name, amount]) => `${groupDigits(amount)} ${name}`)
        .join(', ') || 'none',
    ],
  ]);
  const partitions = formatTable(
    [
      { title: 'PARTITION', align: 'right' },
      { title: 'HEAD', align: 'right' },
      { title: 'TAIL', align: 'right' },
      { title: 'DEPTH', align: 'right' },
      { title: 'LEADER', align: 'left' },
    ],
    figures.partitions.map((row) => [
      String(row.partition),
      groupDigits(row.head_offset),
      groupDigits(row.tail_offset),
      groupDigits(row.depth_messages),
      row.leader ?? 'none',
    ]),
  );
  return `${settings}\n${state}\n${partitions}`;
}

/** Messages one below the other: a line about each, then its payload. */
export function peekText(page: MessagePageAnswer, nowMs: number): string {
  if (page.data.length === 0) return 'No messages.\n';
  const blocks = page.data.map((message) => messageText(message, nowMs));
  const more = page.meta.next === null ? '' : `\nMore follow: --from ${page.meta.next}\n`;
  return `${blocks.join('\n')}${more}`;
}

function messageText(message: MessageAnswer, nowMs: number): string {
  const age = humanizeDuration(Math.max(0, nowMs - Date.parse(message.published_at)));
  const facts = [
    `from ${message.publisher}`,
    `${age} ago`,
    `QoS ${message.qos}`,
    message.state === 'inflight' ? 'in flight' : 'ready',
    `${message.delivery_count} ${message.delivery_count === 1 ? 'delivery' : 'deliveries'}`,
  ];
  if (message.key !== null) facts.push(`key ${message.key}`);
  if (message.expires_at !== null) facts.push(`expires ${message.expires_at}`);
  if (message.properties.content_type !== undefined) facts.push(message.properties.content_type);
  const properties = message.properties.user_properties
    .map(({ name, value }) => `  ${printable(`${name}: ${value}`)}\n`)
    .join('');
  return `#${message.offset} ${printable(message.topic)}  (${printable(facts.join(', '))})\n${properties}  ${payloadText(message)}\n`;
}

function payloadText(message: MessageAnswer): string {
  const whole = humanizeSize(message.payload_size);
  if (message.payload_size === 0) return '(empty)';
  const shown = message.payload_text === null ? `base64 ${message.payload}` : printable(message.payload_text);
  return message.truncated ? `${shown}… (${whole} in all)` : shown;
}

function ageText(depth: number, seconds: number): string {
  return depth === 0 ? '-' : humanizeDuration(seconds * 1_000);
}
