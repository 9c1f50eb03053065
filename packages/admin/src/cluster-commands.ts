import type { Command } from 'commander';
import { addApiOptions, type CommonOptions, json, run } from './api-command.ts';
import { EXIT } from './cli-failure.ts';
import { type CliHost, processHost } from './cli-host.ts';
import { callApi } from './rest-client.ts';
import { formatPairs, formatTable, printable } from './text-table.ts';

interface NodeAnswer {
  node: string;
  node_id: number;
  address: string;
  roles: string[];
  rack: string;
  version: string;
  state: string;
  alive: boolean;
  leads: number;
  replicas: number;
}

interface ClusterAnswer {
  name: string;
  self: string;
  epoch: number;
  replication_factor: number;
  coordinator: string | null;
  nodes: NodeAnswer[];
  partitions: { partition: number; leader: string | null; replicas: string[] }[];
}

const VERBS = [
  ['drain', 'let others lead its partitions and take its clients; its copies stay (before a restart)'],
  ['undrain', 'take it back into service'],
  ['leave', 'decommission it: its copies are made on other stores; stop it when it has none left'],
] as const;

/** `sluice cluster …`: the nodes, and what an operator does with them. Everything goes over the REST API. */
export function registerClusterCommands(program: Command, host: CliHost = processHost): Command {
  const cluster = program
    .command('cluster')
    .description('show the cluster, drain and decommission nodes, change the number of copies')
    .exitOverride((error) => host.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage))
    .configureOutput({ writeOut: host.print, writeErr: host.printError })
    .showHelpAfterError('(add --help for how it is used)');
  const add = (signature: string, description: string) =>
    addApiOptions(cluster.command(signature).description(description));

  add('status', 'list nodes and partitions, and who leads what').action((options: CommonOptions) =>
    run(host, options, async (connection) => {
      const answer = (await callApi(connection, 'GET', '/api/v5/cluster')) as ClusterAnswer;
      return options.json ? json(answer) : statusText(answer);
    }),
  );

  for (const [verb, description] of VERBS) {
    add(`${verb} <NODE>`, description).action((node: string, options: CommonOptions) =>
      run(host, options, async (connection) => {
        const path = `/api/v5/nodes/${encodeURIComponent(node)}/${verb}`;
        const answer = (await callApi(connection, 'POST', path)) as NodeAnswer;
        return options.json ? json(answer) : `${printable(answer.node)} is ${answer.state}\n`;
      }),
    );
  }

  add('replicas <COUNT>', 'keep that many copies of every message, on as many stores').action(
    (count: string, options: CommonOptions) =>
      run(host, options, async (connection) => {
        const body = { replication_factor: /^\d+$/.test(count) ? Number(count) : count };
        const answer = (await callApi(connection, 'PUT', '/api/v5/cluster', body)) as ClusterAnswer;
        return options.json ? json(answer) : `Partitions go to ${answer.replication_factor} copies each\n`;
      }),
  );
  return cluster;
}

function statusText({ name, epoch, replication_factor, coordinator, nodes, partitions }: ClusterAnswer): string {
  const leaderless = partitions.filter(({ leader }) => leader === null).map(({ partition }) => partition);
  const head = formatPairs([
    ['Cluster', name],
    ['Epoch', String(epoch)],
    ['Copies', String(replication_factor)],
    ['Metadata', coordinator === null ? 'no coordinator answers' : `led by ${printable(coordinator)}`],
    [
      'Partitions',
      leaderless.length === 0
        ? `${partitions.length}, all led`
        : `${partitions.length}, NOT led: ${leaderless.join(', ')}`,
    ],
  ]);
  const table = formatTable(
    [
      { title: 'NODE', align: 'left' },
      { title: 'ID', align: 'right' },
      { title: 'ROLES', align: 'left' },
      { title: 'RACK', align: 'left' },
      { title: 'STATE', align: 'left' },
      { title: 'LEADS', align: 'right' },
      { title: 'COPIES', align: 'right' },
      { title: 'ADDRESS', align: 'left' },
      { title: 'VERSION', align: 'left' },
    ],
    nodes.map((node) => [
      node.node,
      String(node.node_id),
      node.roles.join(','),
      node.rack,
      node.alive ? node.state : `${node.state}, not heard of`,
      String(node.leads),
      String(node.replicas),
      node.address,
      node.version,
    ]),
  );
  return `${head}\n${table}`;
}
