import { humanizeSize } from '@sluice/common/human-size';
import type { Command } from 'commander';
import { addApiOptions, type CommonOptions, json, run } from './api-command.ts';
import { CliFailure, EXIT } from './cli-failure.ts';
import { type CliHost, processHost } from './cli-host.ts';
import {
  getAllQueues,
  getAllStatistics,
  getQueue,
  getStatistics,
  type MessagePageAnswer,
  type QueueAnswer,
  queuePath,
} from './queue-answers.ts';
import { addApplyCommand } from './queue-apply-command.ts';
import { addCreateOptions, addUpdateOptions, createBody, updateBody } from './queue-create-options.ts';
import { describeText, listText, peekText } from './queue-text.ts';
import { type Connection, callApi } from './rest-client.ts';
import { groupDigits, printable } from './text-table.ts';

/**
 * `sluice queues …`: what the REST API offers for queues, for people at a terminal and for scripts. Everything goes over
 * the API, so the command works against any server from any machine, and can do nothing the key may not.
 */
export function registerQueueCommands(program: Command, host: CliHost = processHost): Command {
  const queues = program
    .command('queues')
    .description('list, create, update, apply, describe, delete, purge and peek into message queues')
    .exitOverride((error) => host.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage))
    .configureOutput({ writeOut: host.print, writeErr: host.printError })
    .showHelpAfterError('(add --help for how it is used)')
    .addHelpText(
      'after',
      `\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not allowed, 5 server not reachable.`,
    );

  const add = (signature: string, description: string) =>
    addApiOptions(queues.command(signature).description(description));

  add('list', 'list all queues with their depth').action((options: CommonOptions) =>
    run(host, options, async (connection) => {
      const [definitions, statistics] = await Promise.all([getAllQueues(connection), getAllStatistics(connection)]);
      if (options.json) {
        const byName = new Map(statistics.map((row) => [row.name, row.statistics]));
        return json(definitions.map((queue) => ({ ...queue, statistics: byName.get(queue.name) ?? null })));
      }
      return listText(definitions, statistics);
    }),
  );

  addCreateOptions(add('create [NAME]', 'create a queue; without NAME it is called after its filter')).action(
    (name: string | undefined, options: CommonOptions) =>
      run(host, options, async (connection) => {
        const created = (await callApi(
          connection,
          'POST',
          '/api/v5/message_queues/queues',
          createBody(name, options),
        )) as QueueAnswer;
        if (options.json) return json(created);
        const subscribe = name === undefined ? `$q/${created.topic_filter}` : `$queue/${created.name}`;
        return `Created ${printable(created.name)}. Consumers subscribe to ${printable(subscribe)}\n`;
      }),
  );

  addUpdateOptions(add('update <NAME>', 'change settings of a queue; what is not given stays')).action(
    (name: string, options: CommonOptions) =>
      run(host, options, async (connection) => {
        const body = updateBody(options);
        const changed = (await callApi(connection, 'PUT', queuePath(name), body)) as QueueAnswer;
        if (options.json) return json(changed);
        return `Changed ${printable(changed.name)}: ${Object.keys(body).join(', ')}\n`;
      }),
  );

  addApplyCommand(queues, host);

  add('describe <NAME>', 'show the settings and figures of a queue').action((name: string, options: CommonOptions) =>
    run(host, options, async (connection) => {
      const queue = await getQueue(connection, name);
      const statistics = await getStatistics(connection, name);
      return options.json ? json({ ...queue, statistics }) : describeText(queue, statistics);
    }),
  );

  add('delete <NAME>', 'delete a queue and its messages')
    .option('-y, --yes', 'do not ask')
    .action((name: string, options: CommonOptions) =>
      run(host, options, async (connection) => {
        await confirm(host, connection, name, options, 'Delete');
        await callApi(connection, 'DELETE', queuePath(name));
        return options.json ? json({ deleted: name }) : `Deleted ${printable(name)}\n`;
      }),
    );

  add('purge <NAME>', 'remove all messages of a queue, which stays')
    .option('-y, --yes', 'do not ask')
    .action((name: string, options: CommonOptions) =>
      run(host, options, async (connection) => {
        await confirm(host, connection, name, options, 'Purge');
        const answer = (await callApi(connection, 'POST', queuePath(name, '/purge'))) as { purged: number };
        return options.json ? json(answer) : `Removed ${messages(answer.purged)} from ${printable(name)}\n`;
      }),
    );

  add('peek <NAME>', 'look at messages without consuming them')
    .option('-n, --limit <COUNT>', 'most messages, up to 100', '10')
    .option('--from <OFFSET>', 'first offset (default: the oldest message)')
    .option('--partition <NUMBER>', 'which partition (default: the first of the queue)')
    .option('--max-payload-bytes <COUNT>', 'longer payloads are cut (default: 4096)')
    .action((name: string, options: CommonOptions) =>
      run(host, options, async (connection) => {
        const query = new URLSearchParams();
        for (const [option, parameter] of [
          ['limit', 'limit'],
          ['from', 'from'],
          ['partition', 'partition'],
          ['maxPayloadBytes', 'max_payload_bytes'],
        ] as const) {
          const text = options[option];
          if (typeof text === 'string') query.set(parameter, text);
        }
        const page = (await callApi(connection, 'GET', queuePath(name, `/messages?${query}`))) as MessagePageAnswer;
        return options.json ? json(page) : peekText(page, host.nowMs());
      }),
    );

  return queues;
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
