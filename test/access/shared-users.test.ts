// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of rules are written so.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from '../e2e/support/until.ts';
import { ServerProcess } from '../harness/server-process.ts';
import { Clients, farewell, settingFlags, sluice } from './clients.ts';

/** Users, rules and bans that the cluster shares: made by command and by REST, in force at once, there after a restart. */
const RULES = '/api/v5/authorization/sources/built_in_database/rules';
const BANNED = '/api/v5/banned';

let server: ServerProcess;
const clients = new Clients(() => server);
const connect = clients.connect.bind(clients);

beforeAll(async () => {
  const settings = ['auth.database=true', 'mqtt.flappingConnects=30', 'mqtt.flappingBan=1h'];
  server = await ServerProcess.start({ flags: settingFlags(settings) });
});
afterAll(async () => {
  clients.end();
  await server?.dispose();
});

const command = (line: string, input = ''): Promise<{ code: number | null; out: string }> =>
  sluice(line.split(' '), input, server);

test('a user that was added connects, and does what the rules say, at once', async () => {
  await expect(connect('ann', 'lovelace')).rejects.toMatchObject({ code: 0x86 });
  expect(await command('users add ann', 'lovelace\n')).toEqual({
    code: 0,
    out: 'ann may connect, where auth.database is true\n',
  });
  const ann = await connect('ann', 'lovelace');
  await expect(ann.publishAsync('rooms/ann', 'x', { qos: 1 })).rejects.toMatchObject({ code: 0x87 });
  const rules = [{ topic: 'rooms/${username}', permission: 'allow', action: 'all' }];
  expect((await server.rest().post(`${RULES}/all`, { rules })).status).toBe(204);
  await ann.publishAsync('rooms/ann', 'x', { qos: 1 });
  await ann.subscribeAsync('rooms/ann');
  const deny = [{ topic: '#', permission: 'deny', action: 'all' }];
  expect((await server.rest().post(`${RULES}/users`, [{ username: 'ann', rules: deny }])).status).toBe(204);
  await expect(ann.publishAsync('rooms/ann', 'x', { qos: 1 })).rejects.toMatchObject({ code: 0x87 });
  const page = String((await server.rest('anonymous').get('/metrics')).body);
  expect(page).toMatch(/sluice_gateway_denied_total\{action="subscription"\} 1\n/);
  await server.rest().delete(`${RULES}/users/ann`);
});

test('who is banned is sent away, and not let in until the ban ends', async () => {
  const ann = await connect('ann', 'lovelace', { clientId: 'lamp' });
  const gone = farewell(ann);
  expect((await server.rest().post(BANNED, { as: 'clientid', who: 'lamp', reason: 'flickers' })).status).toBe(200);
  expect(await gone).toBe(0x98);
  await expect(connect('ann', 'lovelace', { clientId: 'lamp' })).rejects.toMatchObject({ code: 0x8a });
  await expect(connect('ann', 'lovelace', { clientId: 'lamp', protocolVersion: 4 })).rejects.toMatchObject({ code: 5 });
  await connect('ann', 'lovelace', { clientId: 'other' });
  expect((await server.rest().delete(`${BANNED}/clientid/lamp`)).status).toBe(204);
  await connect('ann', 'lovelace', { clientId: 'lamp' });
});

test('a client that comes and goes all the time is banned for a while', async () => {
  for (let i = 0; i < 30; i++) (await connect('ann', 'lovelace', { clientId: 'moth' })).end(true);
  await expect(connect('ann', 'lovelace', { clientId: 'moth' })).rejects.toMatchObject({ code: 0x8a });
  await expect(connect('ann', 'lovelace', { clientId: 'moth' })).rejects.toMatchObject({ code: 0x8a });
  const banned = async (): Promise<unknown[]> => ((await server.rest().get(BANNED)).body as { data: unknown[] }).data;
  await until(async () => (await banned()).length > 0, 'the ban is known');
  expect(await banned()).toMatchObject([{ as: 'clientid', who: 'moth', by: 'flapping' }]);
});

test('all of it is there after a restart; a user that is removed is sent away', async () => {
  await server.kill();
  await server.restart();
  const ann = await connect('ann', 'lovelace');
  await ann.publishAsync('rooms/ann', 'x', { qos: 1 });
  const gone = farewell(ann);
  expect((await command('users remove ann')).code).toBe(0);
  expect(await gone).toBe(0x87);
  await expect(connect('ann', 'lovelace')).rejects.toMatchObject({ code: 0x86 });
  expect((await command('users list')).out).toBe('There are no users\n');
});
