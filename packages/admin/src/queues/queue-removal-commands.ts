import { humanizeSize } from '@sluice/common/human-size';
import type { Command } from 'commander';
import { addApiOptions, type CommonOptions, json, run } from '../api-command.ts';
import { CliFailure, EXIT } from '../cli-failure.ts';
import type { CliHost } from '../cli-host.ts';
import { type Connection, callApi } from '../rest-client.ts';
import { groupDigits, printable } from '../text-table.ts';
import { getStatistics, queuePath } from './queue-answers.ts';

/** `sluice queues delete` and `purge`: what cannot be undone is asked about, with what is at stake. */
export function addRemovalCommands(queues: Command, host: CliHost): void {
  addApiOptions(queues.command('delete <NAME>').description('delete a queue and its messages'))
    .option('-y, --yes', 'do not ask')
    .action((name: string, options: CommonOptions) =>
      run(host, options, async (connection) => {
        await confirm(host, connection, name, options, 'Delete');
        await callApi(connection, 'DELETE', queuePath(name));
        return options.json ? json({ deleted: name }) : `Deleted ${printable(name)}\n`;
      }),
    );

  addApiOptions(queues.command('purge <NAME>').description('remove all messages of a queue, which stays'))
    .option('-y, --yes', 'do not ask')
    .action((name: string, options: CommonOptions) =>
      run(host, options, async (connection) => {
        await confirm(host, connection, name, options, 'Purge');
        const answer = (await callApi(connection, 'POST', queuePath(name, '/purge'))) as { purged: number };
        return options.json ? json(answer) : `Removed ${messages(answer.purged)} from ${printable(name)}\n`;
      }),
    );
}

/** Asks, saying how much is at stake. @throws CliFailure unless the answer is yes. */
async function confirm(
  host: CliHost,
  connection: Connection,
  name: string,
  options: CommonOptions,
  verb: string,
): Promise<void> {
  if (options.yes === true) return;
  if (!host.interactive) {
    throw new CliFailure(
      EXIT.usage,
      `${verb} needs a confirmation, and there is no terminal to ask on`,
      'Add --yes if you mean it',
    );
  }
  const figures = await getStatistics(connection, name);
  const stake =
    figures === null
      ? 'an unknown number of messages'
      : `${messages(figures.depth_messages)} (${humanizeSize(figures.depth_bytes)})`;
  const answer = await host.ask(`${verb} ${printable(name)} with ${stake}? This cannot be undone. [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliFailure(EXIT.failure, 'Nothing was done');
}

function messages(amount: number): string {
  return `${groupDigits(amount)} ${amount === 1 ? 'message' : 'messages'}`;
}
