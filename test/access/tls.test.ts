import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { ServerProcess } from '../harness/server-process.ts';

/** A broker that knows its clients by their certificates, over TLS and secure WebSocket. */
let folder = '';
let server: ServerProcess;
const clients: MqttClient[] = [];

const file = (name: string): Buffer => readFileSync(join(folder, name));
const openssl = (...args: string[]): void => {
  execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
};
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function issue(name: string): void {
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  openssl('req', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`, ...names);
  const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-copy_extensions', 'copy'];
  openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...by);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  openssl('req', '-x509', ...KEY, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=authority');
  for (const name of ['broker', 'lamp']) issue(name);
  writeFileSync(join(folder, 'rules.yaml'), '- { permission: allow, users: [lamp], topics: ["lamps/lamp/#"] }');
  const settings = [
    `tls.certificateFile=${join(folder, 'broker.pem')}`,
    `tls.keyFile=${join(folder, 'broker.key')}`,
    `tls.clientCaFile=${join(folder, 'ca.pem')}`,
    'auth.certificateAs=username',
    `authorization.rulesFile=${join(folder, 'rules.yaml')}`,
  ];
  const flags = ['--mqtt', 'none', '--mqtts', '127.0.0.1:0', '--wss', '127.0.0.1:0'];
  server = await ServerProcess.start({ flags: [...flags, ...settings.flatMap((one) => ['--set', one])] });
});
afterAll(async () => {
  for (const client of clients) client.end(true);
  await server?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function connect(listener: 'mqtts' | 'wss', options: IClientOptions = {}): Promise<MqttClient> {
  const url = `${listener}://localhost:${server.address(listener).port}${listener === 'wss' ? '/mqtt' : ''}`;
  const certificate = { ca: file('ca.pem'), cert: file('lamp.pem'), key: file('lamp.key') };
  const client = await mqtt.connectAsync(url, { ...certificate, reconnectPeriod: 0, protocolVersion: 5, ...options });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

test('the name in the certificate is the user that rules speak of', async () => {
  const tls = await connect('mqtts');
  const webSocket = await connect('wss');
  const heard = new Promise<string>((resolve) => tls.on('message', (topic) => resolve(topic)));
  await tls.subscribeAsync('lamps/lamp/#', { qos: 1 });
  await webSocket.publishAsync('lamps/lamp/on', 'x', { qos: 1 });
  expect(await heard).toBe('lamps/lamp/on');
  await expect(webSocket.publishAsync('lamps/other/on', 'x', { qos: 1 })).rejects.toMatchObject({ code: 0x87 });
});

test('another user name does not go with it', async () => {
  await expect(connect('mqtts', { username: 'admin', password: 'x' })).rejects.toMatchObject({ code: 0x87 });
});

test('metrics tell when the certificate expires', async () => {
  const page = String((await server.rest('anonymous').get('/metrics')).body);
  const notAfter = Number(/^sluice_gateway_certificate_not_after_seconds (\d+)$/m.exec(page)?.[1]);
  expect(notAfter).toBeGreaterThan(Date.now() / 1000);
});
