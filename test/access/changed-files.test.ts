import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from '../e2e/support/until.ts';
import { ServerProcess } from '../harness/server-process.ts';
import { Clients, codeOf, farewell, settingFlags } from './clients.ts';

/** Users and rules in files that change under a broker that runs. */
let folder = '';
let server: ServerProcess;
const clients = new Clients(() => server);
const connect = clients.connect.bind(clients);

const PASSWORDS = 'ann:lovelace\nbob:plain\n';
const RULES = '- { permission: allow, users: [ann, bob, cid], topics: ["rooms/#"] }\n';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-access-'));
  await Promise.all([write('passwords', PASSWORDS), write('rules', RULES), write('keys', 'ops:first\n')]);
  const settings = [
    `auth.passwordFile=${join(folder, 'passwords')}`,
    `authorization.rulesFile=${join(folder, 'rules')}`,
    'api.anonymous=true',
  ];
  // Behind the harness's own file.
  const flags = [...settingFlags(settings), '--api-keys', join(folder, 'keys')];
  server = await ServerProcess.start({ flags });
});
afterAll(async () => {
  clients.end();
  await server?.dispose();
  await rm(folder, { recursive: true, force: true });
});

const write = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);

/** Says that the files are written, and waits until the broker says how often it took or refused them. */
async function tell(saying: RegExp, times = 1): Promise<void> {
  process.kill(server.pid as number, 'SIGHUP');
  await until(() => [...server.log.matchAll(new RegExp(saying, 'g'))].length >= times, `the log says ${saying}`);
}
const TAKEN = /users and rules were read again/;
const REFUSED = /changed users and rules cannot be used: the old ones stay/;

async function refused(metric = 'sluice_gateway_access_files_refused'): Promise<string | undefined> {
  const page = String((await server.rest('anonymous').get('/metrics')).body);
  return new RegExp(`^${metric} (\\d)$`, 'm').exec(page)?.[1];
}

test('who was removed is sent away, who was added comes in, what is not allowed any more ends; others stay', async () => {
  const ann = await connect('ann', 'lovelace');
  const bob = await connect('bob', 'plain');
  await ann.subscribeAsync('rooms/#', { qos: 1 });
  const gone = farewell(bob);
  await write('passwords', 'ann:changed\ncid:new\n');
  await write('rules', '- { permission: allow, topics: ["rooms/open"] }\n');
  await tell(TAKEN);
  expect(await gone).toBe(0x87);
  // A password that changed ends nothing.
  expect(ann.connected).toBe(true);
  expect(await codeOf(connect('ann', 'lovelace'))).toBe(0x86);
  const cid = await connect('cid', 'new');
  expect(await codeOf(cid.publishAsync('rooms/closed', 'x', { qos: 1 }))).toBe(0x87);
  const heard: string[] = [];
  ann.on('message', (topic) => heard.push(topic));
  await cid.publishAsync('rooms/open', 'x', { qos: 1 });
  await ann.subscribeAsync('rooms/open', { qos: 1 });
  await cid.publishAsync('rooms/open', 'y', { qos: 1 });
  await until(() => heard.length > 0, 'a message comes');
  expect(heard).toEqual(['rooms/open']);
});

test('broken files leave what was in force, with a line in the log and a metric, until they are mended', async () => {
  const takenBefore = [...server.log.matchAll(new RegExp(TAKEN, 'g'))].length;
  await write('rules', '- { permission: alow, topics: ["#"] }\n');
  await write('passwords', 'eve:hunter2\n');
  await tell(REFUSED);
  expect(await refused()).toBe('1');
  expect(await codeOf(connect('eve', 'hunter2'))).toBe(0x86);
  await connect('cid', 'new');
  expect(server.log).toMatch(/authorization\.rulesFile = .*rule 1 needs permission: allow or deny/);
  await write('rules', RULES);
  await tell(TAKEN, takenBefore + 1);
  expect(await refused()).toBe('0');
  await connect('eve', 'hunter2');
});

test('an API key that was changed or removed counts for nothing from then on; a broken file changes none', async () => {
  const status = async (key: string, secret: string): Promise<number> => {
    const authorization = `Basic ${Buffer.from(`${key}:${secret}`).toString('base64')}`;
    const { host, port } = server.address('http');
    const url = `http://${host}:${port}/api/v5/message_queues/queues`;
    return (await fetch(url, { headers: { authorization } })).status;
  };
  expect(await status('ops', 'first')).toBe(200);
  const before = [...server.log.matchAll(/API keys were read again/g)].length;
  await write('keys', 'ops:second\neye:look:viewer\n');
  await tell(/API keys were read again/, before + 1);
  expect([await status('ops', 'first'), await status('ops', 'second'), await status('eye', 'look')]).toEqual([
    401, 200, 200,
  ]);
  await write('keys', 'ops:third:emperor\n');
  await tell(/changed API keys cannot be used: the old ones stay/);
  expect([await status('ops', 'second'), await status('ops', 'third')]).toEqual([200, 401]);
  expect(await refused('sluice_api_key_file_refused')).toBe('1');
  expect(server.log).not.toContain('third');
  await write('keys', 'ops:third\n');
  await tell(/API keys were read again/, before + 2);
  expect([await status('ops', 'second'), await status('ops', 'third'), await status('eye', 'look')]).toEqual([
    401, 200, 401,
  ]);
  expect(await refused('sluice_api_key_file_refused')).toBe('0');
});
