import type { Command } from 'commander';
import { addApiOptions, type CommonOptions, json, run } from '../api-command.ts';
import { CliFailure, EXIT } from '../cli-failure.ts';
import type { CliHost } from '../cli-host.ts';
import { patiently, waitMsOf } from '../patience.ts';
import { callApi } from '../rest-client.ts';
import { formatTable, groupDigits } from '../text-table.ts';

interface RebalanceAnswer {
  under_way: boolean;
  mean_connections: number;
  gateways: { node: string; connections: number; shedding: boolean; target: number; sent: number }[];
}

interface RebalanceOptions extends CommonOptions {
  rate?: string;
  threshold?: string;
  status?: boolean;
  stop?: boolean;
  wait?: string;
}

const PATH = '/api/v5/cluster/rebalance';

/** `sluice cluster rebalance`: connections that stayed where they were when gateways were added. */
export function addRebalanceCommand(cluster: Command, host: CliHost): void {
  addApiOptions(
    cluster
      .command('rebalance')
      .description(
        'spread connections over the gateways: those with too many send the oldest away (after a scale-out)',
      ),
  )
    .option('--rate <COUNT>', 'how many go a second from each gateway (default: 50)')
    .option('--threshold <PERCENT>', 'only from gateways with more than this share of the mean (default: 110)')
    .option(
      '--wait <DURATION>',
      `wait until it is done, that long at most; exit code ${EXIT.unwell} when it is not by then`,
    )
    .option('--status', 'show how connections are spread and start nothing')
    .option('--stop', 'send no more away')
    .action((options: RebalanceOptions) =>
      run(host, options, async (connection) => {
        if (options.status === true && options.stop === true)
          throw new CliFailure(EXIT.usage, 'Say --status or --stop');
        const waitMs = waitMsOf(options.wait);
        const look = async (): Promise<RebalanceAnswer> => (await callApi(connection, 'GET', PATH)) as RebalanceAnswer;
        let answer: RebalanceAnswer;
        if (options.stop === true) answer = (await callApi(connection, 'DELETE', PATH)) as RebalanceAnswer;
        else if (options.status === true) answer = await look();
        else answer = (await callApi(connection, 'POST', PATH, bodyOf(options))) as RebalanceAnswer;
        if (waitMs > 0) answer = await patiently(host, waitMs, look, ({ under_way }) => !under_way);
        const text = options.json ? json(answer) : rebalanceText(answer);
        return { text, exitCode: waitMs > 0 && answer.under_way ? EXIT.unwell : EXIT.ok };
      }),
    );
}

/** The server judges the numbers. */
function bodyOf({ rate, threshold }: RebalanceOptions): Record<string, unknown> {
  return { ...field('connections_per_second', rate), ...field('threshold_percent', threshold) };
}

function field(name: string, text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  return { [name]: /^\d+$/.test(text) ? Number(text) : text };
}

function rebalanceText({ under_way, mean_connections, gateways }: RebalanceAnswer): string {
  const table = formatTable(
    [
      { title: 'GATEWAY', align: 'left' },
      { title: 'CONNECTIONS', align: 'right' },
      { title: 'TARGET', align: 'right' },
      { title: 'SENT AWAY', align: 'right' },
    ],
    gateways.map(({ node, connections, shedding, target, sent }) => [
      node,
      groupDigits(connections),
      shedding ? groupDigits(target) : '-',
      groupDigits(sent),
    ]),
  );
  const mean = `${groupDigits(Math.round(mean_connections))} in the mean`;
  const verdict = under_way
    ? `Connections are on their way, ${mean}: look again with --status, end it with --stop.`
    : `Nothing is under way, ${mean}.`;
  return `${table}\n${verdict}\n`;
}
