import { beforeEach, expect, it } from '@jest/globals';
import { createFixture, listen } from '../../api/test/api-fixture.ts';
import { MemoryAccessManagement } from '../../api/test/memory-access-management.ts';
import { registerUserCommands } from '../src/user-commands.ts';
import { type Ran, runCommand } from './run-command.ts';

let access: MemoryAccessManagement;
let url: string;
beforeEach(async () => {
  access = new MemoryAccessManagement();
  url = `http://127.0.0.1:${await listen(createFixture({ access }).api)}`;
});

function sluice(line: string, answer?: string): Promise<Ran> {
  const options = { env: { SLUICE_URL: url }, ...(answer === undefined ? {} : { answer }) };
  return runCommand(registerUserCommands, ['users', ...line.split(' ')], options);
}

it('adds a user whose password is asked for, changes and removes it', async () => {
  expect((await sluice('list')).out).toBe('There are no users\n');
  expect(await sluice('add ann', 'lovelace')).toMatchObject({
    code: 0,
    out: 'ann may connect, where auth.database is true\n',
  });
  await sluice('add root --superuser', 'x');
  expect(access.passwords.get('ann')).toBe('lovelace');
  expect((await sluice('list')).out).toBe('USER  SUPERUSER\nann   no\nroot  yes\n');
  expect((await sluice('passwd ann', 'new')).code).toBe(0);
  expect(access.passwords.get('ann')).toBe('new');
  expect(await sluice('remove ann')).toMatchObject({ code: 0, out: 'ann is removed\n' });
  expect(JSON.parse((await sluice('list --json')).out)).toEqual([{ user_id: 'root', is_superuser: true }]);
});

it('a password that is typed is typed twice', async () => {
  const add = (secrets: string[]) =>
    runCommand(registerUserCommands, ['users', 'add', 'ann'], { env: { SLUICE_URL: url }, interactive: true, secrets });
  expect(await add(['lovelace', 'lovelaec'])).toMatchObject({ code: 2, err: expect.stringContaining('not the same') });
  expect(access.passwords.get('ann')).toBeUndefined();
  expect(await add(['lovelace', 'lovelace'])).toMatchObject({ code: 0, asked: ['Password: ', 'The same once more: '] });
  expect(access.passwords.get('ann')).toBe('lovelace');
});

it('fails with words: twice the same, nobody of that name, no password', async () => {
  await sluice('add ann', 'x');
  expect((await sluice('add ann', 'x')).code).toBe(1);
  expect((await sluice('remove bob')).code).toBe(3);
  expect((await sluice('add bob', '')).code).toBe(2);
});
