import type { Command } from 'commander';
import { addApiOptions, addCommandGroup, type CommonOptions, json, run } from '../api-command.ts';
import { CliFailure, EXIT } from '../cli-failure.ts';
import { type CliHost, processHost } from '../cli-host.ts';
import { patiently, waitMsOf } from '../patience.ts';
import { callApi } from '../rest-client.ts';
import { type Column, formatPairs, formatTable, printable, wrapped } from '../text-table.ts';
import { addRebalanceCommand } from './rebalance-command.ts';

interface NodeAnswer {
  node: string;
  node_id: number;
  address: string;
  roles: string[];
  rack: string;
  version: string;
  /** Missing when a node of an older build answers. */
  feature_levels?: { min: number; max: number } | null;
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
  feature_level?: number;
  feature_level_held?: boolean;
  coordinator: string | null;
  nodes: NodeAnswer[];
  partitions: { partition: number; leader: string | null; replicas: string[] }[];
  problems: { severity: 'failing' | 'degraded' | 'notice'; message: string; hint: string }[];
}

const VERBS = [
  ['drain', '', 'let others lead its partitions and take its clients; its copies stay (before a restart)'],
  ['undrain', '', 'take it back into service'],
  ['leave', 'decommission', 'its copies are made on other stores; stop it for good when it has none left'],
] as const;

const HOLDS = [
  ['hold', true, 'keep the feature level where it is, so that nodes can go back to a former build (before an upgrade)'],
  ['release', false, 'let the feature level rise when all nodes are upgraded; a former build cannot come back then'],
] as const;

/** `sluice cluster …`: the nodes, and what an operator does with them. Everything goes over the REST API. */
export function registerClusterCommands(program: Command, host: CliHost = processHost): Command {
  const cluster = addCommandGroup(
    program,
    host,
    'cluster',
    'show the cluster, drain and decommission nodes, spread connections, change the number of copies',
  );
  const add = (signature: string, description: string) =>
    addApiOptions(cluster.command(signature).description(description));

  add('status', `how the cluster is, and what to do about it; exit code ${EXIT.unwell} while something is wrong`)
    .option('--wait <DURATION>', 'wait until all is well, that long at most')
    .action((options: CommonOptions & { wait?: string }) =>
      run(host, options, async (connection) => {
        const ask = async (): Promise<ClusterAnswer> =>
          (await callApi(connection, 'GET', '/api/v5/cluster')) as ClusterAnswer;
        const answer = await patiently(host, waitMsOf(options.wait), ask, ({ problems }) => !problems.some(isWrong));
        const text = options.json ? json(answer) : statusText(answer, host.columns);
        return { text, exitCode: answer.problems.some(isWrong) ? EXIT.unwell : EXIT.ok };
      }),
    );

  for (const [verb, alias, description] of VERBS) {
    const command = add(`${verb} <NODE>`, description);
    if (alias !== '') command.alias(alias);
    command.action((node: string, options: CommonOptions) =>
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
        if (!/^\d+$/.test(count)) {
          const hint = 'For example: sluice cluster replicas 3';
          throw new CliFailure(EXIT.usage, `COUNT must be a whole number, not "${count}"`, hint);
        }
        const body = { replication_factor: Number(count) };
        const answer = (await callApi(connection, 'PUT', '/api/v5/cluster', body)) as ClusterAnswer;
        const { replication_factor: copies } = answer;
        return options.json ? json(answer) : `Partitions go to ${copies} ${copies === 1 ? 'copy' : 'copies'} each\n`;
      }),
  );
  for (const [verb, isHeld, description] of HOLDS) {
    add(verb, description).action((options: CommonOptions) =>
      run(host, options, async (connection) => {
        const body = { feature_level_held: isHeld };
        const answer = (await callApi(connection, 'PUT', '/api/v5/cluster', body)) as ClusterAnswer;
        return options.json ? json(answer) : `The feature level is ${levelText(answer)}\n`;
      }),
    );
  }
  addRebalanceCommand(cluster, host);
  return cluster;
}

/** What somebody wanted so is not wrong. */
function isWrong({ severity }: ClusterAnswer['problems'][number]): boolean {
  return severity !== 'notice';
}

/** What is wrong stands last, above the prompt. */
function statusText(answer: ClusterAnswer, columns: number): string {
  const { name, epoch, replication_factor, feature_level, coordinator, nodes, partitions, problems } = answer;
  const leaderless = partitions.filter(({ leader }) => leader === null).length;
  const versions = [...new Set(nodes.map(({ version }) => version))];
  const head = formatPairs([
    ['Cluster', name],
    ['Epoch', String(epoch)],
    ['Copies', String(replication_factor)],
    ...(feature_level === undefined ? [] : [['Feature level', levelText(answer)] as const]),
    ['Metadata', coordinator === null ? 'NO COORDINATOR ANSWERS' : `led by ${coordinator}`],
    ['Partitions', `${partitions.length}, ${leaderless === 0 ? 'all led' : `${leaderless} of them NOT LED`}`],
    ...(versions.length === 1 ? [['Version', versions[0] as string] as const] : []),
  ]);
  const hasLevels = nodes.some(({ feature_levels }) => feature_levels?.max !== feature_level);
  const hasRacks = nodes.some(({ rack }) => rack !== '');
  const cells: { column: Column; cell: (node: NodeAnswer) => string }[] = [
    { column: { title: 'NODE', align: 'left' }, cell: ({ node }) => node },
    { column: { title: 'ID', align: 'right' }, cell: ({ node_id }) => String(node_id) },
    { column: { title: 'ROLES', align: 'left' }, cell: ({ roles }) => (roles.length === ROLES ? 'all' : roles.join()) },
    ...(hasRacks ? [{ column: { title: 'RACK', align: 'left' } as const, cell: ({ rack }: NodeAnswer) => rack }] : []),
    { column: { title: 'STATE', align: 'left' }, cell: stateText },
    { column: { title: 'LEADS', align: 'right' }, cell: ({ leads }) => String(leads) },
    { column: { title: 'COPIES', align: 'right' }, cell: ({ replicas }) => String(replicas) },
    ...(hasLevels ? [{ column: { title: 'LEVELS', align: 'left' } as const, cell: supportedText }] : []),
    { column: { title: 'ADDRESS', align: 'left' }, cell: ({ address }) => address },
    ...(versions.length === 1
      ? []
      : [{ column: { title: 'VERSION', align: 'left' } as const, cell: ({ version }: NodeAnswer) => version }]),
  ];
  const table = formatTable(
    cells.map(({ column }) => column),
    nodes.map((node) => cells.map(({ cell }) => cell(node))),
  );
  const said = problems.map(({ severity, message, hint }) => {
    const title = severity.toUpperCase().padEnd(TITLE_WIDTH);
    const indent = ' '.repeat(TITLE_WIDTH);
    return `${wrapped(printable(message), columns, title, indent)}${wrapped(printable(hint), columns, indent, indent)}`;
  });
  const verdict = problems.some(isWrong) ? [] : ['All is well.\n'];
  return [head, table, [...said, ...verdict].join('')].join('\n');
}

function levelText({ feature_level, feature_level_held }: ClusterAnswer): string {
  return `${feature_level}${feature_level_held === true ? ', held' : ''}`;
}

function supportedText({ feature_levels }: NodeAnswer): string {
  if (feature_levels === undefined || feature_levels === null) return '?';
  const { min, max } = feature_levels;
  return min === max ? String(min) : `${min}-${max}`;
}

const ROLES = 3;
const TITLE_WIDTH = 'DEGRADED'.length + 2;

function stateText({ alive, state }: NodeAnswer): string {
  if (alive) return state;
  return state === 'active' ? 'NOT HEARD OF' : `${state}, NOT HEARD OF`;
}
