// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of rules are written so.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ServerProcess } from '../harness/server-process.ts';
import { Clients, codeOf, passwordLine, settingFlags } from './clients.ts';

/** The door as an operator builds it: `sluice passwd` into a password file, rules in a file, and clients that try it. */
let folder = '';
let server: ServerProcess;
const clients = new Clients(() => server);
const connect = clients.connect.bind(clients);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-access-'));
  const passwords = join(folder, 'passwords');
  const rules = join(folder, 'rules.yaml');
  await writeFile(passwords, `${await passwordLine('ann', 'lovelace')}bob:plain\n`);
  await writeFile(
    rules,
    [
      '- { permission: deny, action: publish, topics: ["rooms/+/locked"] }',
      '- { permission: allow, topics: ["rooms/${username}/#"] }',
      '- { permission: allow, action: consume, users: [bob], topics: ["jobs"] }',
      '- { permission: allow, action: publish, users: [ann], topics: ["jobs"] }',
    ].join('\n'),
  );
  const settings = [`auth.passwordFile=${passwords}`, `authorization.rulesFile=${rules}`];
  server = await ServerProcess.start({ flags: settingFlags(settings) });
});
afterAll(async () => {
  clients.end();
  await server?.dispose();
  await rm(folder, { recursive: true, force: true });
});

test('the password decides who comes in', async () => {
  await connect('ann', 'lovelace');
  await connect('bob', 'plain');
  expect(await codeOf(connect('ann', 'wrong'))).toBe(0x86);
  expect(await codeOf(connect('eve', 'lovelace'))).toBe(0x86);
  expect(await codeOf(connect('ann', 'wrong', { protocolVersion: 4 }))).toBe(4);
});

test('the rules decide what is done there', async () => {
  const ann = await connect('ann', 'lovelace');
  for (const allowed of ['rooms/ann/#', '$share/g/rooms/ann/x']) await ann.subscribeAsync(allowed, { qos: 1 });
  for (const refused of ['rooms/bob/x', 'rooms/#', '$share/g/rooms/+/x', '$q/jobs']) {
    await expect(ann.subscribeAsync(refused, { qos: 1 })).rejects.toThrow();
  }
  const heard = new Promise<string>((resolve) => ann.on('message', (topic) => resolve(topic)));
  await ann.publishAsync('rooms/ann/lamp', 'on', { qos: 1 });
  expect(await heard).toBe('rooms/ann/lamp');
  expect(await codeOf(ann.publishAsync('rooms/bob/lamp', 'on', { qos: 1 }))).toBe(0x87);
  expect(await codeOf(ann.publishAsync('rooms/ann/locked', 'no', { qos: 1 }))).toBe(0x87);
});

test('a worker may take from a queue that others fill, and no more', async () => {
  const created = await server.rest().post('/api/v5/message_queues/queues', { name: 'jobs', topic_filter: 'jobs' });
  expect(created.status).toBe(200);
  const ann = await connect('ann', 'lovelace');
  const bob = await connect('bob', 'plain');
  await expect(bob.subscribeAsync('jobs', { qos: 1 })).rejects.toThrow();
  const job = new Promise<string>((resolve) => bob.on('message', (_topic, payload) => resolve(payload.toString())));
  await bob.subscribeAsync('$queue/jobs', { qos: 1 });
  await ann.publishAsync('jobs', 'dig', { qos: 1 });
  expect(await job).toBe('dig');
  await expect(ann.subscribeAsync('$queue/jobs', { qos: 1 })).rejects.toThrow();
});

test('refusals are counted and logged, without a word to the client of why', async () => {
  const page = String((await server.rest('anonymous').get('/metrics')).body);
  expect(page).toMatch(/sluice_gateway_denied_total\{action="publish"\} 2\n/);
  expect(page).toMatch(/sluice_gateway_auth_total\{method="password",result="refused"\} 3\n/);
  expect(server.log).toMatch(/"user":"ann".*"action":"subscribe".*"topic":"rooms\/bob\/x".*not authorized/);
});
