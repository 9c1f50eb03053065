import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { sluice } from '../access/clients.ts';
import { Client, type ClientOptions } from '../e2e/support/client.ts';
import { HandClient, type HandClientOptions } from '../e2e/support/hand-client.ts';
import { numbered, until } from '../e2e/support/until.ts';
import { ServerProcess } from '../harness/server-process.ts';

/** What outlives a connection, in a backup and out of it: by clients that go on where they were. */
const QUEUES = '/api/v5/message_queues/queues';
const BANNED = '/api/v5/banned';
const RULES = '/api/v5/authorization/sources/built_in_database/rules';
const USER = { username: 'ann', password: 'lovelace' };
const ENV = { SLUICE_QUEUES__PARTITIONS: '4', SLUICE_AUTH__DATABASE: 'true' };
const LONG_S = 3_600;
const kept = { ...USER, clean: false, sessionExpirySeconds: LONG_S };

const folder = mkdtempSync(join(tmpdir(), 'sluice-restore-test-'));
const servers: ServerProcess[] = [];
const proxies: Server[] = [];

afterEach(async () => {
  for (const proxy of proxies.splice(0)) proxy.close();
  await Promise.all(servers.splice(0).map((server) => server.dispose()));
  rmSync(folder, { recursive: true, force: true });
}, 30_000);

async function start(name: string): Promise<ServerProcess> {
  const server = await ServerProcess.start({ dataDir: join(folder, name), env: ENV });
  servers.push(server);
  return server;
}

const by = async (server: ServerProcess, clientId: string, more: ClientOptions = kept): Promise<Client> =>
  await Client.connect(server.mqtt, { ...USER, clientId, ...more });

const byHand = async (server: ServerProcess, clientId: string, more: HandClientOptions = {}): Promise<HandClient> =>
  await HandClient.connect(server.mqtt, { ...kept, clientId, ...more });

/** The management API of a server; `before` comes before each part of a backup. */
async function proxyOf(server: ServerProcess, before: () => Promise<void>): Promise<string> {
  const { host, port } = server.address('http');
  const proxy = createServer(({ url = '', method, headers }, answer) => {
    const forward = (): void => {
      request({ host, port, path: url, method, headers }, (from) => {
        answer.writeHead(from.statusCode ?? 500, from.headers);
        from.pipe(answer);
      }).end();
    };
    if (/backup\/(partitions|metadata)/.test(url)) before().then(forward, (cause) => answer.destroy(cause));
    else forward();
  }).listen(0, '127.0.0.1');
  proxies.push(proxy);
  await once(proxy, 'listening');
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

/** A backup of `source`, which is killed then, and a node made of it. */
async function restored(source: ServerProcess, before: () => Promise<void> = async () => {}): Promise<ServerProcess> {
  const backup = join(folder, 'backup');
  const access = ['--url', await proxyOf(source, before), '--api-key', 'harness:harness-secret'];
  expect(await sluice(['backup', '--to', backup, ...access], '')).toMatchObject({ code: 0 });
  await source.kill();
  expect(await sluice(['restore', '--from', backup, '--data', join(folder, 'restored')], '')).toMatchObject({
    code: 0,
  });
  return await start('restored');
}

/** A user, and what she may do. */
async function withUser(server: ServerProcess): Promise<void> {
  expect(
    (
      await sluice(
        ['users', 'add', USER.username],
        `${USER.password}
`,
        server,
      )
    ).code,
  ).toBe(0);
  const rules = [
    { topic: 'locked/#', permission: 'deny', action: 'publish' },
    { topic: '#', permission: 'allow', action: 'all' },
  ];
  expect((await server.rest().post(`${RULES}/users`, [{ username: USER.username, rules }])).status).toBe(204);
}

async function texts(server: ServerProcess, queue: string): Promise<string[]> {
  const { body } = await server.rest().get(`${QUEUES}/${queue}/messages?limit=100`);
  return (body as { data: { payload_text: string }[] }).data.map(({ payload_text }) => payload_text);
}

test('users, rules and bans hold; sessions and their exchanges go on; wills fire once or are taken back', async () => {
  const source = await start('source');
  await withUser(source);
  expect((await source.rest().post(BANNED, { as: 'clientid', who: 'lamp' })).status).toBe(200);
  await source.rest().post(QUEUES, { name: 'exact', topic_filter: 'exact/#', is_lastvalue: false });

  const away = await by(source, 'away');
  await away.subscribeAll(['news/#', 'end/+'], 1);
  await away.close();
  // Of the one it has had the PUBREC and has not released it; of the other it has said nothing.
  const between = await byHand(source, 'between');
  await between.subscribe('orders/#', 2);
  await between.publishQoS2('exact/a', 'in flight', 7, false);
  await (await by(source, 'somebody', USER)).publish('orders/1', 'bring coffee', { qos: 2 });
  await between.received(1);
  const orderId = between.deliveries[0]?.packet.messageId;
  between.destroy();
  // Gone, and their wills wait: nothing but a client decides what becomes of them.
  for (const clientId of ['ends', 'returns']) {
    const will = { topic: `end/${clientId}`, payload: clientId, properties: { willDelayInterval: LONG_S } };
    (await byHand(source, clientId, { will })).destroy();
  }
  const connected = await byHand(source, 'connected', { will: { topic: 'end/connected', payload: 'connected' } });
  const state = async (server: ServerProcess, name: string): Promise<number> => {
    const page = String((await server.rest('anonymous').get('/metrics')).body);
    return Number(new RegExp(`^sluice_wills\\{state="${name}"\\} (\\d+)`, 'm').exec(page)?.[1]);
  };
  await until(async () => (await state(source, 'delayed')) === 2, 'two wills wait');

  const server = await restored(source);
  connected.destroy();
  expect(await state(server, 'delayed')).toBe(2);
  await expect(by(server, 'away', { ...kept, password: 'wrong' })).rejects.toMatchObject({ code: 0x86 });
  await expect(by(server, 'lamp')).rejects.toMatchObject({ code: 0x8a });
  const heir = await by(server, 'away');
  await expect(heir.publish('locked/a', 'no')).rejects.toMatchObject({ code: 0x87 });
  await heir.publish('news/a', 'subscribed');
  expect(await heir.texted(1)).toEqual(['subscribed']);

  const again = await byHand(server, 'between');
  expect(await again.received(1)).toEqual(['bring coffee']);
  expect(again.deliveries[0]?.packet).toMatchObject({ messageId: orderId, dup: true });
  await again.publishQoS2('exact/a', 'in flight', 7, true);
  await again.releaseQoS2(7);
  expect(await texts(server, 'exact')).toEqual(['in flight']);

  await (await by(server, 'returns')).close();
  // With its session a will that waits ends its waiting.
  for (const clientId of ['ends', 'connected']) await (await by(server, clientId, USER)).close();
  await heir.texted(3);
  await until(async () => (await state(server, 'delayed')) + (await state(server, 'due')) === 0, 'no will is left');
  expect([...heir.texts].sort()).toEqual(['connected', 'ends', 'subscribed']);
}, 120_000);

test('what a client publishes at QoS 2 later is new, though partitions of the backup are of different moments', async () => {
  const source = await start('source');
  await withUser(source);
  const queues = numbered(8, 'all-');
  for (const name of queues) await source.rest().post(QUEUES, { name, topic_filter: 'all/#', is_lastvalue: false });
  const publisher = await by(source, 'publisher');
  let count = 0;
  const server = await restored(source, async () => {
    for (let n = 0; n < 5; n++) await publisher.publish('all/a', `meanwhile ${++count}`, { qos: 2 });
  });
  publisher.destroy();
  expect(count).toBe(25);

  const later = numbered(count, 'later ');
  const again = await by(server, 'publisher');
  for (const text of later) await again.publish('all/a', text, { qos: 2 });
  for (const queue of queues) {
    const found = await texts(server, queue);
    expect([queue, found.filter((text) => text.startsWith('later'))]).toEqual([queue, later]);
    expect(new Set(found).size).toBe(found.length);
  }
}, 120_000);
