import { expect, test } from '@jest/globals';
import { AccessTable } from '@sluice/meta/access/access-table';
import type { MetaCommand } from '@sluice/meta/meta-commands';
import type { Topology } from '@sluice/meta/topology';
import { AccessAdministration } from '../../src/administration/access-administration.ts';

/** A node whose image follows each change at once. */
function administration() {
  const access = new AccessTable();
  const hashed: (() => void)[] = [];
  const administration = new AccessAdministration({
    topology: { epoch: 1, access } as Topology,
    metadata: {
      execute: async (command: MetaCommand) => {
        if (command.kind === 'put-access') access.put(command.row);
        if (command.kind === 'remove-access') access.remove({ table: command.table, key: command.key });
        return { reply: { result: 'done', epoch: 2 }, reached: true } as never;
      },
    },
    clock: { nowMs: () => 0, monotonicMs: () => 0 },
    hash: (password) =>
      new Promise((resolve) => hashed.push(() => resolve({ hash: `hash of ${password}`, scram: 'scram' }))),
  });
  return { administration, access, hashed };
}

test('a password that is changed brings no right back that was taken while it was hashed', async () => {
  const { administration: admin, access, hashed } = administration();
  access.put({ table: 'user', key: 'ann', value: { hash: 'old', isSuperuser: true } });
  const changing = admin.changeUser('ann', { password: 'new' });
  await admin.changeUser('ann', { isSuperuser: false });
  hashed[0]?.();
  expect(await changing).toEqual({ ok: true, value: { username: 'ann', isSuperuser: false } });
  expect(access.user('ann')).toEqual({ hash: 'hash of new', scram: 'scram', isSuperuser: false });
});

test('nor is a user made again that was removed meanwhile', async () => {
  const { administration: admin, access, hashed } = administration();
  access.put({ table: 'user', key: 'ann', value: { hash: 'old', isSuperuser: true } });
  const changing = admin.changeUser('ann', { password: 'new' });
  await admin.removeUser('ann');
  hashed[0]?.();
  expect(await changing).toMatchObject({ ok: false, code: 'NOT_FOUND' });
  expect(access.user('ann')).toBeUndefined();
});
