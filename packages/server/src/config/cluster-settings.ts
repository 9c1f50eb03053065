import { formatAddress, isLoopback } from './address.ts';
import type { ConfigProblem, Layer } from './layer.ts';
import { toAddress } from './resolve-config.ts';
import type { WrittenConfig } from './schema.ts';

/** What works, and not as its author may think. */
export function clusterWarnings({ node }: WrittenConfig): string[] {
  const coordinators = node.join.length;
  if (coordinators === 0 || coordinators % 2 === 1) return [];
  return [
    `node.join names ${coordinators} coordinators: an even number survives no more failures than ${coordinators - 1}; have 3 or 5`,
  ];
}

/** The rules of a node among others: what cannot work, or would let anybody in, is a sentence before anything starts. */
export function checkCluster(written: WrittenConfig, settings: Layer): ConfigProblem[] {
  const { node, listeners, cluster } = written;
  const problems: ConfigProblem[] = [];
  const problem = (key: string, message: string, hint: string): void => {
    problems.push({ key, origin: settings.get(key)?.origin ?? '', message, hint });
  };
  const grpc = toAddress(listeners.grpc);
  const advertised = toAddress(node.advertise);
  if (grpc === null) {
    if (node.join.length > 0)
      problem('node.join', 'needs listeners.grpc: nodes talk in both directions', 'Give --grpc HOST:PORT as well');
    if (node.roles.length < 3)
      problem(
        'node.roles',
        `= ${node.roles.join(',')} leaves something out that another node must do, but listeners.grpc is none`,
        'Give --grpc HOST:PORT and --join, or leave --roles out',
      );
  }
  if (grpc !== null && grpc.port === 0 && advertised === null && node.join.length > 0)
    problem(
      'listeners.grpc',
      'has port 0: others could not know where this node is',
      'Name the port, or node.advertise',
    );
  if (node.join.length === 0 && !node.roles.includes('coordinator'))
    problem(
      'node.join',
      'is empty: a node without the coordinator role must know its coordinators',
      'Give --join HOST:PORT,…',
    );

  if (node.leavesOnStop && node.roles.some((role) => role !== 'gateway'))
    problem(
      'node.leavesOnStop',
      `= true, and the roles are ${node.roles.join(',')}: what a store or a coordinator keeps would be lost to the cluster with each stop`,
      'Leave it out, or have gateways only: --roles gateway',
    );

  const own = advertised ?? grpc;
  const isFounder = own !== null && node.join.some((text) => text === formatAddress(own));
  if (isFounder && !node.roles.includes('coordinator'))
    problem(
      'node.join',
      `names this node (${own === null ? '' : formatAddress(own)}), which has no coordinator role`,
      'List coordinators only, or add the role',
    );

  const given = [cluster.caFile, cluster.certificateFile, cluster.keyFile].filter((path) => path !== undefined).length;
  if (given !== 0 && given !== 3)
    problem(
      'cluster.caFile',
      'mutual TLS between nodes needs all of cluster.caFile, cluster.certificateFile and cluster.keyFile',
      'Name all three, or none',
    );
  if (grpc !== null && given === 0 && !isLoopback(grpc.host) && !cluster.insecure)
    problem(
      'listeners.grpc',
      `= ${JSON.stringify(listeners.grpc)} is reachable from other machines without certificates: whoever reaches it could read and write everything`,
      'Name cluster.caFile, certificateFile and keyFile, bind to 127.0.0.1, or allow it with cluster.insecure: true',
    );
  return problems;
}
