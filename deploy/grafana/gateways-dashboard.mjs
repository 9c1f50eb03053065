import { dashboard, graph, number, row } from './dashboard.mjs';

const J = 'job="$job"';
const P = 'sluice_gateway_';
const rate = (name, by) => `sum by (${by}) (rate(${P}${name}{${J}}[$__rate_interval]))`;
const quantile = (share, name, by) =>
  `histogram_quantile(${share}, sum by (${by}le) (rate(${P}${name}_bucket{${J}}[$__rate_interval])))`;

export const gateways = dashboard({
  uid: 'sluice-gateways',
  title: 'Sluice / Gateways',
  description: 'Connections, what they ask, and what slows them down.',
  rows: [
    row(
      'Now',
      number('Connections', `sum(${P}connections{${J}})`),
      number('Of what may be', `sum(${P}connections{${J}}) / sum(${P}connections_limit{${J}})`, {
        unit: 'percentunit',
        thresholds: [
          [0.7, 'orange'],
          [0.85, 'red'],
        ],
      }),
      number(
        'Publishes in a second',
        `sum(rate(${P}packets_total{${J}, type="publish", direction="in"}[$__rate_interval]))`,
      ),
      number(
        'Publishes out a second',
        `sum(rate(${P}packets_total{${J}, type="publish", direction="out"}[$__rate_interval]))`,
      ),
      number('Acknowledged within, p99', quantile(0.99, 'publish_ack_seconds', ''), {
        unit: 's',
        thresholds: [
          [0.1, 'orange'],
          [1, 'red'],
        ],
      }),
      number('Draining', `sum(${P}draining{${J}})`, { thresholds: [[1, 'blue']] }),
    ),
    row(
      'Connections',
      graph(
        'Connections by node',
        { '{{instance}}': `sum by (instance) (${P}connections{${J}})` },
        { stack: true, width: 8 },
      ),
      graph(
        'By protocol and transport',
        { '{{protocol}} {{transport}}': `sum by (protocol, transport) (${P}connections{${J}})` },
        { width: 8 },
      ),
      graph('Subscriptions', { '{{kind}}': `sum by (kind) (${P}subscriptions{${J}})` }, { width: 8 }),
      graph('Connects a second, by answer', { '{{result}}': rate('connects_total', 'result') }, { stack: true }),
      graph('Disconnects a second, by reason', { '{{reason}}': rate('disconnects_total', 'reason') }, { stack: true }),
    ),
    row(
      'Traffic',
      graph(
        'Packets in a second',
        { '{{type}}': `sum by (type) (rate(${P}packets_total{${J}, direction="in"}[$__rate_interval])) > 0` },
        { width: 8 },
      ),
      graph(
        'Packets out a second',
        { '{{type}}': `sum by (type) (rate(${P}packets_total{${J}, direction="out"}[$__rate_interval])) > 0` },
        { width: 8 },
      ),
      graph('Bytes', { '{{direction}}': rate('bytes_total', 'direction') }, { unit: 'Bps', width: 8 }),
      graph(
        'From PUBLISH to its acknowledgement',
        {
          'p50 QoS {{qos}}': quantile(0.5, 'publish_ack_seconds', 'qos, '),
          'p99 QoS {{qos}}': quantile(0.99, 'publish_ack_seconds', 'qos, '),
        },
        { unit: 's', log: true },
      ),
      graph('Deliveries that did not happen, a second', { '{{reason}}': rate('delivery_dropped_total', 'reason') }),
    ),
    row(
      'Who is let in',
      graph(
        'Authentications a second',
        { '{{method}} {{result}}': rate('auth_total', 'method, result') },
        { width: 8 },
      ),
      graph(
        'Time to authenticate, p99',
        { '{{instance}}': quantile(0.99, 'auth_seconds', 'instance, ') },
        { unit: 's', width: 8 },
      ),
      graph(
        'Refused a second',
        {
          'denied: {{action}}': rate('denied_total', 'action'),
          'protocol error: {{kind}}': rate('protocol_errors_total', 'kind'),
          'at the limit of connections': `sum(rate(${P}connections_refused_total{${J}}[$__rate_interval]))`,
        },
        { width: 8 },
      ),
    ),
    row(
      'Pressure',
      graph(
        'Connections held back (seconds a second)',
        {
          'something behind is full': `sum(rate(${P}backpressure_seconds_total{${J}}[$__rate_interval]))`,
          'over their rate': `sum(rate(${P}paced_seconds_total{${J}}[$__rate_interval]))`,
        },
        { width: 8 },
      ),
      graph(
        'Bytes that sockets have not taken',
        { '{{instance}}': `sum by (instance) (${P}send_buffer_bytes{${J}})` },
        { unit: 'bytes', width: 8 },
      ),
      graph(
        'Event loop, how late (p99)',
        { '{{instance}}': `max by (instance) (sluice_process_event_loop_lag_seconds{${J}, stat="p99"})` },
        { unit: 's', width: 8 },
      ),
      graph(
        'Processor',
        { '{{instance}}': `sum by (instance) (rate(sluice_process_cpu_seconds_total{${J}}[$__rate_interval]))` },
        { unit: 'percentunit', width: 8 },
      ),
      graph(
        'Memory',
        { '{{instance}}': `max by (instance) (sluice_process_resident_memory_bytes{${J}})` },
        { unit: 'bytes', width: 8 },
      ),
      graph(
        'Garbage collection (share of the time)',
        { '{{instance}}': `sum by (instance) (rate(sluice_process_gc_seconds_total{${J}}[$__rate_interval]))` },
        { unit: 'percentunit', width: 8 },
      ),
    ),
  ],
});
