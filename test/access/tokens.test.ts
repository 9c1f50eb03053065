import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import mqtt, { type MqttClient } from 'mqtt';
import { ServerProcess } from '../harness/server-process.ts';

/** A broker that lets in whoever has a token of an issuer, for as long as that counts. */
const SECRET = 'a secret that nobody finds by trying it out';
let folder = '';
let server: ServerProcess;
const clients: MqttClient[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-tokens-'));
  await writeFile(join(folder, 'secret'), `${SECRET}\n`);
  const settings = [`jwt.secretFile=${join(folder, 'secret')}`, 'jwt.claims=aud=sluice', 'jwt.leeway=0s'];
  settings.push('authorization.noMatch=allow');
  server = await ServerProcess.start({ flags: settings.flatMap((one) => ['--set', one]) });
});
afterAll(async () => {
  for (const client of clients) client.end(true);
  await server?.dispose();
  await rm(folder, { recursive: true, force: true });
});

function token(claims: object): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256' })}.${part({ sub: 'ann', aud: 'sluice', ...claims })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

async function connect(password: string): Promise<MqttClient> {
  const { host, port } = server.mqtt;
  const client = await mqtt.connectAsync(`mqtt://${host}:${port}`, {
    username: 'anybody',
    password,
    reconnectPeriod: 0,
    protocolVersion: 5,
  });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

test('a token lets in; another audience, an end in the past and no token do not', async () => {
  await connect(token({}));
  for (const password of [token({ aud: 'other' }), token({ exp: 1_000 }), 'lovelace']) {
    await expect(connect(password)).rejects.toMatchObject({ code: 0x86 });
  }
});

test('a connection ends with its token', async () => {
  const client = await connect(token({ exp: Math.ceil(Date.now() / 1000) + 2 }));
  await client.publishAsync('t', 'x', { qos: 1 });
  const reasonCode = await new Promise((resolve) => client.once('disconnect', (packet) => resolve(packet.reasonCode)));
  expect(reasonCode).toBe(0x87);
});
