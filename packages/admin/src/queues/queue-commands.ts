import type { Command } from 'commander';
import { addApiOptions, addCommandGroup, type CommonOptions, json, run } from '../api-command.ts';
import { type CliHost, processHost } from '../cli-host.ts';
import { callApi } from '../rest-client.ts';
import { printable } from '../text-table.ts';
import {
  getAllQueues,
  getAllStatistics,
  getQueue,
  getStatistics,
  QUEUES,
  type QueueAnswer,
  queuePath,
} from './queue-answers.ts';
import { addApplyCommand } from './queue-apply-command.ts';
import { addCreateOptions, addUpdateOptions, createBody, updateBody } from './queue-create-options.ts';
import { addPeekCommand } from './queue-peek-command.ts';
import { addRemovalCommands } from './queue-removal-commands.ts';
import { describeText, listText } from './queue-text.ts';

/**
 * `sluice queues …`: what the REST API offers for queues, for people at a terminal and for scripts. Everything goes over
 * the API, so the command works against any server from any machine, and can do nothing the key may not.
 */
export function registerQueueCommands(program: Command, host: CliHost = processHost): Command {
  const queues = addCommandGroup(
    program,
    host,
    'queues',
    'list, create, update, apply, describe, delete, purge and peek into message queues',
  ).addHelpText(
    'after',
    `\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not allowed, 5 server not reachable.`,
  );
  // In the order of the help.
  addListCommand(queues, host);
  addCreateCommand(queues, host);
  addUpdateCommand(queues, host);
  addApplyCommand(queues, host);
  addDescribeCommand(queues, host);
  addRemovalCommands(queues, host);
  addPeekCommand(queues, host);
  return queues;
}

function addListCommand(queues: Command, host: CliHost): void {
  addApiOptions(queues.command('list').description('list all queues with their depth')).action(
    (options: CommonOptions) =>
      run(host, options, async (connection) => {
        const [definitions, statistics] = await Promise.all([getAllQueues(connection), getAllStatistics(connection)]);
        if (options.json) {
          const byName = new Map(statistics.map((row) => [row.name, row.statistics]));
          return json(definitions.map((queue) => ({ ...queue, statistics: byName.get(queue.name) ?? null })));
        }
        return listText(definitions, statistics);
      }),
  );
}

function addCreateCommand(queues: Command, host: CliHost): void {
  const command = queues
    .command('create [NAME]')
    .description('create a queue; without NAME it is called after its filter');
  addCreateOptions(addApiOptions(command)).action((name: string | undefined, options: CommonOptions) =>
    run(host, options, async (connection) => {
      const created = (await callApi(connection, 'POST', QUEUES, createBody(name, options))) as QueueAnswer;
      if (options.json) return json(created);
      const subscribe = name === undefined ? `$q/${created.topic_filter}` : `$queue/${created.name}`;
      return `Created ${printable(created.name)}. Consumers subscribe to ${printable(subscribe)}\n`;
    }),
  );
}

function addUpdateCommand(queues: Command, host: CliHost): void {
  const command = queues.command('update <NAME>').description('change settings of a queue; what is not given stays');
  addUpdateOptions(addApiOptions(command)).action((name: string, options: CommonOptions) =>
    run(host, options, async (connection) => {
      const body = updateBody(options);
      const changed = (await callApi(connection, 'PUT', queuePath(name), body)) as QueueAnswer;
      if (options.json) return json(changed);
      return `Changed ${printable(changed.name)}: ${Object.keys(body).join(', ')}\n`;
    }),
  );
}

function addDescribeCommand(queues: Command, host: CliHost): void {
  const command = queues.command('describe <NAME>').description('show the settings and figures of a queue');
  addApiOptions(command).action((name: string, options: CommonOptions) =>
    run(host, options, async (connection) => {
      const queue = await getQueue(connection, name);
      const statistics = await getStatistics(connection, name);
      return options.json ? json({ ...queue, statistics }) : describeText(queue, statistics);
    }),
  );
}
