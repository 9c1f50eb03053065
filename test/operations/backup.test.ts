import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import mqtt, { type MqttClient } from 'mqtt';
import { mqttEvent } from '../harness/mqtt-event.ts';
import type { RestClient } from '../harness/rest.ts';
import { ServerProcess } from '../harness/server-process.ts';

const BIN = join(import.meta.dirname, '../../packages/server/dist/bin.js');
const QUEUES = '/api/v5/message_queues/queues';
const USERS = '/api/v5/authentication/password_based:built_in_database/users';
const COPIES = 2;
const ENV = { SLUICE_QUEUES__PARTITIONS: '4', SLUICE_CLUSTER__REPLICATION_FACTOR: String(COPIES) };
const JOBS = 40;
const DONE = 12;
const SESSION_S = 3_600;
const WAIT_MS = 60_000;
const POLL_MS = 20;

const folder = mkdtempSync(join(tmpdir(), 'sluice-backup-test-'));
const servers: ServerProcess[] = [];
const clients: MqttClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.end(true);
  await Promise.all(servers.splice(0).map((server) => server.dispose()));
  rmSync(folder, { recursive: true, force: true });
}, 30_000);

async function start(name: string, flags: string[] = []): Promise<ServerProcess> {
  const env = { ...ENV, SLUICE_NODE__NAME: name };
  const server = await ServerProcess.start({ dataDir: join(folder, name), env, flags });
  servers.push(server);
  return server;
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}

async function connect(server: ServerProcess, clientId: string, clean = true): Promise<MqttClient> {
  const { host, port } = server.mqtt;
  const client = mqtt.connect({
    ...{ host, port, clientId, protocolVersion: 5, clean, reconnectPeriod: 0 },
    properties: { receiveMaximum: 20, sessionExpiryInterval: clean ? 0 : SESSION_S },
  });
  clients.push(client);
  // A session that is there sends behind its CONNACK, whoever listens by then.
  arrived.set(clientId, []);
  client.on('message', (topic, payload) => arrived.get(clientId)?.push(`${topic} ${payload}`));
  const [connack] = await mqttEvent(client, 'connect');
  if (!clean) sessions.set(clientId, connack.sessionPresent);
  return client;
}

/** Whether the broker had it, by client id. */
const sessions = new Map<string, boolean>();
/** What came, by client id. */
const arrived = new Map<string, string[]>();

async function inflight(rest: RestClient, queue: string): Promise<number> {
  const { body } = await rest.get(`${QUEUES}/${queue}/messages?limit=100`);
  return (body as { data: { state: string }[] }).data.filter(({ state }) => state === 'inflight').length;
}

async function received(clientId: string, count: number): Promise<string[]> {
  await until(`${count} messages for ${clientId}`, async () => (arrived.get(clientId)?.length ?? 0) >= count);
  return arrived.get(clientId) ?? [];
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`this did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The command as an operator types it. */
async function sluice(server: ServerProcess | undefined, ...args: string[]): Promise<{ code: number; text: string }> {
  const { host, port } = server?.address('http') ?? { host: '', port: 0 };
  const access = server === undefined ? [] : ['--url', `http://${host}:${port}`, '--api-key', 'harness:harness-secret'];
  return await new Promise((resolve) => {
    execFile(process.execPath, [BIN, ...args, ...access], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), text: stdout + stderr }),
    );
  });
}

interface Peeked {
  partition: number;
  offset: number;
  topic: string;
  payload_text: string;
  delivery_count: number;
  key: string | null;
}

/** All of a queue in its order: ids, what it holds, how often it was given out. */
async function peek(rest: RestClient, queue: string): Promise<Peeked[]> {
  let data: Peeked[] = [];
  // Leaders move to a node that has joined.
  await until(`somebody tells what ${queue} holds`, async () => {
    const { status, body } = await rest.get(`${QUEUES}/${queue}/messages?limit=100`);
    if (status === 200) ({ data } = body as { data: Peeked[] });
    return status === 200;
  });
  return data.map(({ partition, offset, topic, payload_text, delivery_count, key }) => {
    return { partition, offset, topic, payload_text, delivery_count, key };
  });
}

test('a cluster is read under traffic and restored as another one: ids, order, settlement, sessions, retained, users', async () => {
  const source = await start('source');
  const rest = source.rest();
  for (const queue of [
    { name: 'jobs', topic_filter: 'jobs/#', is_lastvalue: false },
    { name: 'state', topic_filter: 'state/#', is_lastvalue: true, key_expression: 'message.topic' },
    { name: 'busy', topic_filter: 'busy/#', is_lastvalue: false },
  ]) {
    expect((await rest.post(QUEUES, queue)).status).toBe(200);
  }
  expect((await rest.post(USERS, { user_id: 'ann', password: 'a secret of hers' })).status).toBe(201);

  const offline = await connect(source, 'offline', false);
  await offline.subscribeAsync('news/#', { qos: 1 });
  await offline.endAsync();
  const publisher = await connect(source, 'publisher');
  for (let n = 0; n < JOBS; n++) await publisher.publishAsync(`jobs/${n % 3}`, `job ${n}`, { qos: 1 });
  for (let n = 0; n < 9; n++) await publisher.publishAsync(`state/${n % 3}`, `value ${n}`, { qos: 1 });
  for (let n = 0; n < 3; n++) await publisher.publishAsync('news/a', `news ${n}`, { qos: 1 });
  await publisher.publishAsync('kept/a', 'kept', { qos: 1, retain: true });

  // Some are done, some are given back: their delivery count says so.
  const worker = await connect(source, 'worker');
  let taken = 0;
  const held = new Promise<void>((resolve) => {
    worker.handleMessage = (_packet, done) => {
      if (++taken <= DONE) done();
      else resolve();
    };
  });
  await worker.subscribeAsync('$q/jobs/#', { qos: 1 });
  await held;
  await until('what is done is stored', async () => (await peek(rest, 'jobs')).length === JOBS - DONE);
  const heldCount = await inflight(rest, 'jobs');
  expect(heldCount).toBeGreaterThan(0);
  worker.end(true);
  const isGivenBack = ({ delivery_count }: Peeked): boolean => delivery_count > 0;
  await until('the rest is given back', async () => {
    return (await peek(rest, 'jobs')).filter(isGivenBack).length === heldCount;
  });

  const before = { jobs: await peek(rest, 'jobs'), state: await peek(rest, 'state') };
  let publishing = true;
  let acknowledged = 0;
  const traffic = (async () => {
    for (; publishing; acknowledged++) await publisher.publishAsync('busy/a', String(acknowledged), { qos: 1 });
  })();
  await until('some of it is acknowledged', async () => acknowledged >= 20);
  const acknowledgedBefore = acknowledged;
  const backup = join(folder, 'backup');
  const made = await sluice(source, 'backup', '--to', backup);
  expect(made).toMatchObject({ code: 0, text: expect.stringContaining('4 partitions') });
  publishing = false;
  await traffic;
  expect(await sluice(undefined, 'backup', 'verify', backup)).toMatchObject({ code: 0 });
  // One that is there is not written over, and not every key may read all messages.
  expect(await sluice(source, 'backup', '--to', backup)).toMatchObject({ code: 1 });
  expect((await source.rest('anonymous').get('/api/v5/backup/partitions/1')).status).toBe(401);
  await source.kill();

  const data = join(folder, 'restored');
  expect(await sluice(undefined, 'restore', '--from', backup, '--data', data)).toMatchObject({ code: 0 });
  expect(await sluice(undefined, 'restore', '--from', backup, '--data', data)).toMatchObject({ code: 1 });
  const [one, two] = [await freePort(), await freePort()];
  await start('restored', ['--grpc', one]);
  const second = await start('second', ['--grpc', two, '--join', one]);
  const well = await sluice(second, 'cluster', 'status', '--wait', '60s');
  expect(well).toMatchObject({ code: 0, text: expect.stringContaining('All is well') });

  expect({ jobs: await peek(second.rest(), 'jobs'), state: await peek(second.rest(), 'state') }).toEqual(before);
  const users = (await second.rest().get(USERS)).body as { data: { user_id: string }[] };
  expect(users.data.map(({ user_id }) => user_id)).toEqual(['ann']);

  await connect(second, 'offline', false);
  expect(sessions.get('offline')).toBe(true);
  expect(await received('offline', 3)).toEqual(['news/a news 0', 'news/a news 1', 'news/a news 2']);
  const consumer = await connect(second, 'consumer');
  await consumer.subscribeAsync('kept/#', { qos: 1 });
  expect(await received('consumer', 1)).toEqual(['kept/a kept']);
  await consumer.subscribeAsync('$q/jobs/#', { qos: 1 });
  const [, ...jobs] = await received('consumer', 1 + JOBS - DONE);
  expect([...jobs].sort()).toEqual(before.jobs.map(({ topic, payload_text }) => `${topic} ${payload_text}`).sort());
  // What was acknowledged before is in it; of what came meanwhile, a beginning.
  const busy = (await peek(second.rest(), 'busy')).map(({ payload_text, offset }) => [payload_text, offset]);
  expect(busy).toEqual(busy.map((_, n) => [String(n), n]));
  expect(busy.length).toBeGreaterThanOrEqual(Math.min(100, acknowledgedBefore));

  await truncate(join(backup, 'partition-2.group'), 20);
  const refused = await sluice(undefined, 'restore', '--from', backup, '--data', join(folder, 'third'));
  expect(refused).toMatchObject({ code: 1, text: expect.stringContaining('is damaged') });
}, 180_000);
