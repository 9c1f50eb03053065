import type { Command } from 'commander';
import { addApiOptions, addCommandGroup, type CommonOptions, json, run } from './api-command.ts';
import { askNewPassword } from './ask-new-password.ts';
import { type CliHost, processHost } from './cli-host.ts';
import { type Connection, callApi } from './rest-client.ts';
import { formatTable, printable } from './text-table.ts';

const USERS = '/api/v5/authentication/password_based%3Abuilt_in_database/users';
const PAGE_LIMIT = 1_000;

interface UserAnswer {
  user_id: string;
  is_superuser: boolean;
}

interface UserOptions extends CommonOptions {
  superuser?: boolean;
}

/** `sluice users …`: the MQTT users that the whole cluster shares. Everything goes over the REST API. */
export function registerUserCommands(program: Command, host: CliHost = processHost): Command {
  const users = addCommandGroup(
    program,
    host,
    'users',
    'list, add and remove the MQTT users of the cluster (gateways let them in with auth.database)',
  );
  const add = (signature: string, description: string) =>
    addApiOptions(users.command(signature).description(description));

  add('list', 'all users').action((options: UserOptions) =>
    run(host, options, async (connection) => {
      const all = await listUsers(connection);
      return options.json ? json(all) : usersText(all);
    }),
  );

  add('add <USER>', 'add a user; its password is asked for, or read from the standard input')
    .option('--superuser', 'no rule applies to it')
    .action((user: string, options: UserOptions) =>
      run(host, options, async (connection) => {
        const password = await askNewPassword(host);
        const body = { user_id: user, password, is_superuser: options.superuser === true };
        const answer = (await callApi(connection, 'POST', USERS, body)) as UserAnswer;
        return options.json ? json(answer) : `${printable(answer.user_id)} may connect, where auth.database is true\n`;
      }),
    );

  add('passwd <USER>', 'change the password of a user').action((user: string, options: UserOptions) =>
    run(host, options, async (connection) => {
      const body = { password: await askNewPassword(host) };
      const answer = (await callApi(connection, 'PUT', pathOf(user), body)) as UserAnswer;
      return options.json ? json(answer) : `${printable(answer.user_id)} has a new password\n`;
    }),
  );

  add('remove <USER>', 'remove a user; its connections end').action((user: string, options: UserOptions) =>
    run(host, options, async (connection) => {
      await callApi(connection, 'DELETE', pathOf(user));
      return options.json ? json({ user_id: user }) : `${printable(user)} is removed\n`;
    }),
  );
  return users;
}

async function listUsers(connection: Connection): Promise<UserAnswer[]> {
  const all: UserAnswer[] = [];
  for (let page = 1; ; page++) {
    const path = `${USERS}?page=${page}&limit=${PAGE_LIMIT}`;
    const answer = (await callApi(connection, 'GET', path)) as { data: UserAnswer[]; meta: { hasnext: boolean } };
    all.push(...answer.data);
    if (!answer.meta.hasnext) return all;
  }
}

function usersText(all: readonly UserAnswer[]): string {
  if (all.length === 0) return 'There are no users\n';
  const columns = [
    { title: 'USER', align: 'left' },
    { title: 'SUPERUSER', align: 'left' },
  ] as const;
  return formatTable(
    columns,
    all.map(({ user_id, is_superuser }) => [user_id, is_superuser ? 'yes' : 'no']),
  );
}

function pathOf(user: string): string {
  return `${USERS}/${encodeURIComponent(user)}`;
}
