import { join } from 'node:path';
import type { ClusterUnderTest } from '../cluster/cluster-under-test.ts';

export const METRIC_REFERENCE = join(import.meta.dirname, '../../docs/metrics.md');

export interface MetricFamily {
  name: string;
  type: string;
  help: string;
  labels: readonly string[];
  /** The pages it is on. */
  pages: readonly string[];
}

const PAGES = ['/metrics', '/metrics/queues', '/metrics/raft'];
/** With everything that is on one of them. */
const QUERIES: Readonly<Record<string, readonly string[]>> = {
  '/metrics': [''],
  '/metrics/queues': ['', '?match=*&family=full', '?match=*&family=latency'],
  '/metrics/raft': [''],
};

/** What no healthy cluster shows: it appears with the first time, or with a setting. `written` is where its words are. */
export const RARE_FAMILIES: readonly (MetricFamily & { written: string })[] = [
  {
    name: 'sluice_storage_corruptions_total',
    type: 'counter',
    help: 'Reads that found other bytes than were written',
    labels: ['file'],
    pages: ['/metrics'],
    written: 'packages/storage/src/entry-log/log-errors.ts',
  },
  {
    name: 'sluice_rpc_refused_total',
    type: 'counter',
    help: 'Connections, streams and calls between nodes that were refused.',
    labels: ['reason'],
    pages: ['/metrics'],
    written: 'packages/rpc/src/grpc/refusals.ts',
  },
  {
    name: 'sluice_gateway_handshakes_refused_total',
    type: 'counter',
    help: 'Connections, TLS and WebSocket handshakes refused before MQTT was spoken',
    labels: ['reason'],
    pages: ['/metrics'],
    written: 'packages/gateway/src/gateway-metrics.ts',
  },
  {
    name: 'sluice_gateway_certificate_not_after_seconds',
    type: 'gauge',
    help: 'When the certificate of the TLS listeners for MQTT expires, as seconds since 1970.',
    labels: [],
    pages: ['/metrics'],
    written: 'packages/server/src/certificates/listener-certificates.ts',
  },
  {
    name: 'sluice_gateway_certificate_refused',
    type: 'gauge',
    help: '1 while renewed files of the certificate of the TLS listeners for MQTT, authorities and revocations included, cannot be used, and those of before stay in force.',
    labels: [],
    pages: ['/metrics'],
    written: 'packages/server/src/certificates/listener-certificates.ts',
  },
  {
    name: 'sluice_rpc_certificate_not_after_seconds',
    type: 'gauge',
    help: 'When the certificate of this node for traffic between nodes expires, as seconds since 1970.',
    labels: [],
    pages: ['/metrics'],
    written: 'packages/server/src/certificates/cluster-certificates.ts',
  },
  {
    name: 'sluice_rpc_certificate_refused',
    type: 'gauge',
    help: '1 while renewed files of the certificate for traffic between nodes cannot be used, and those of before stay in force.',
    labels: [],
    pages: ['/metrics'],
    written: 'packages/server/src/certificates/cluster-certificates.ts',
  },
  {
    name: 'sluice_scaler_certificate_not_after_seconds',
    type: 'gauge',
    help: 'When the certificate of the autoscaler’s port expires, as seconds since 1970.',
    labels: [],
    pages: ['/metrics'],
    written: 'packages/server/src/roles/scaler-role.ts',
  },
  {
    name: 'sluice_scaler_certificate_refused',
    type: 'gauge',
    help: '1 while renewed files of the certificate of the autoscaler’s port cannot be used, and those of before stay in force.',
    labels: [],
    pages: ['/metrics'],
    written: 'packages/server/src/roles/scaler-role.ts',
  },
  {
    name: 'sluice_scaler_requests_total',
    type: 'counter',
    help: 'Questions of an autoscaler',
    labels: ['method', 'outcome'],
    pages: ['/metrics'],
    written: 'packages/scaler/src/scaler-listener.ts',
  },
  {
    name: 'sluice_scaler_wanted_workers',
    type: 'gauge',
    help: 'Workers that an autoscaler was last told are wanted for a queue',
    labels: ['queue'],
    pages: ['/metrics'],
    written: 'packages/scaler/src/scaler-listener.ts',
  },
];

/** Everything on the pages of a cluster's nodes, by name. */
export async function metricFamilies(cluster: ClusterUnderTest): Promise<MetricFamily[]> {
  const families = new Map<string, { type: string; help: string; labels: Set<string>; pages: Set<string> }>();
  for (const { http } of cluster.nodes) {
    for (const page of PAGES) {
      for (const query of QUERIES[page] ?? []) {
        readPage(await (await fetch(`http://${http}${page}${query}`)).text(), page, families);
      }
    }
  }
  return [...families]
    .map(([name, { type, help, labels, pages }]) => ({
      name,
      type,
      help,
      labels: [...labels].filter((label) => label !== 'le').sort(),
      pages: PAGES.filter((page) => pages.has(page)),
    }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

function readPage(
  text: string,
  page: string,
  families: Map<string, { type: string; help: string; labels: Set<string>; pages: Set<string> }>,
): void {
  let family = { type: '', help: '', labels: new Set<string>(), pages: new Set<string>() };
  for (const line of text.split('\n')) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'HELP') {
      family = families.get(name) ?? { type: '', help: rest, labels: new Set(), pages: new Set() };
      family.pages.add(page);
      families.set(name, family);
    } else if (kind === 'TYPE') family.type = rest;
    else for (const [, label = ''] of line.matchAll(/[{,]([a-zA-Z_]+)="/g)) family.labels.add(label);
  }
}

const PARTS: readonly [prefix: string, title: string][] = [
  ['sluice_queue_', 'Queues'],
  ['sluice_consumer_', 'Consumers of queues'],
  ['sluice_gateway_', 'Gateways'],
  ['sluice_retained_', 'Retained messages'],
  ['sluice_session', 'Sessions'],
  ['sluice_raft_', 'Raft'],
  ['sluice_storage_', 'Disk and entry log'],
  ['sluice_store_', 'Stores'],
  ['sluice_rocksdb_', 'RocksDB'],
  ['sluice_rpc_', 'Between nodes'],
  ['sluice_scaler_', 'Autoscaling'],
  ['sluice_backup_', 'Backups'],
  ['sluice_process_', 'Process'],
  ['sluice_', 'Others'],
];

/** The reference as a document. */
export function referenceText(families: readonly MetricFamily[]): string {
  const left = new Map([...RARE_FAMILIES, ...families].map((family) => [family.name, family]));
  const sections: string[] = [];
  for (const [prefix, title] of PARTS) {
    const names = [...left.keys()].filter((name) => name.startsWith(prefix)).sort();
    const rows = names.map((name) => rowOf(left.get(name) as MetricFamily));
    for (const name of names) left.delete(name);
    if (rows.length > 0)
      sections.push([`## ${title}`, '', '| name | type | labels | meaning |', '|---|---|---|---|', ...rows].join('\n'));
  }
  return `${HEAD}\n${sections.join('\n\n')}\n`;
}

function rowOf({ name, type, help, labels, pages }: MetricFamily): string {
  const where = pages.includes('/metrics') ? '' : ` (\`${pages.join('`, `')}\`)`;
  return `| \`${name}\` | ${type} | ${labels.join(', ')} | ${help.replaceAll('|', '\\|')}${where} |`;
}

const HEAD = `# Metrics

Every node serves \`/metrics\` on its HTTP listener, in Prometheus' text format and without a key. Written from the pages of a
cluster at work (\`npm run metrics:reference\`); a test compares.

- What concerns a queue and its consumers is on the page of the node that leads it. One in several partitions may be on
  several pages: sum by \`queue\`, and take the maximum of ages, statuses and consumers.
- At most 200 queues are on \`/metrics\`, those with the oldest messages and the deepest ones, 50 of them with histograms;
  \`sluice_metrics_dropped_queues\` says how many are not. \`/metrics/queues\` has all of them: depth, age, lag, status and
  acknowledgements; with \`?match=NAME*&family=full\` everything but histograms, with \`family=latency\` these.
- Counters of queues are replicated: the next leader goes on with the same number. Those of deliveries (\`delivered\`,
  \`redelivered\`, and the histograms of waiting and processing) and all others belong to the process and begin at 0 with it.
- Bases: seconds, bytes. \`+Inf\` is said where it is so; a series that is unknown is not there.
`;
