import type { Command } from 'commander';
import { addApiOptions, addCommandGroup, json } from '../api-command.ts';
import { type CliHost, processHost } from '../cli-host.ts';
import { getAllStatistics, type StatisticsAnswer } from '../queues/queue-answers.ts';
import { addWatchOptions, runWatching, type WatchOptions } from '../watch.ts';
import { consumersText, lagText } from './lag-text.ts';

const VIEWS = [
  ['lag', 'which queues are behind, by how much, and whether it gets better', lagText],
  ['consumers', 'who works on the queues, what they hold, and what comes back', consumersText],
] as const;

/** `sluice lag` and `sluice consumers`: the same figures of all queues, the worst first, once or as they change. */
export function registerLagCommands(program: Command, host: CliHost = processHost): Command {
  for (const [name, description, text] of VIEWS) {
    const command = addCommandGroup(program, host, name, description).option(
      '--match <TEXT>',
      'only queues whose name contains it',
    );
    addWatchOptions(addApiOptions(command)).action((options: LagOptions) =>
      runWatching(host, options, async (connection, linesMax) => {
        const rows = (await getAllStatistics(connection)).filter((row) => row.name.includes(options.match ?? ''));
        return options.json ? json(rows) : text(rows satisfies StatisticsAnswer[], linesMax);
      }),
    );
  }
  return program;
}

interface LagOptions extends WatchOptions {
  match?: string;
}
