import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type ConnectPacket, PacketType } from '@sluice/mqtt/codec/packet';
import { bytesOf } from '../../packages/mqtt/test/codec/packet-notation.ts';
import { RestClient } from '../harness/rest.ts';
import { ServerProcess } from '../harness/server-process.ts';
import { RawClient } from './raw-client.ts';

/**
 * A broker with users and API keys of every role, at the most talkative log level. Its secrets are planted words: at the
 * end none of them may stand in anything the broker wrote or answered.
 */
const QUEUES = '/api/v5/message_queues/queues';
const PLANTED = {
  admin: 'planted-admin-5f1c',
  viewer: 'planted-viewer-77ab',
  publisher: 'planted-publisher-90de',
  otherScope: 'planted-scope-1a2b',
  ann: 'planted-ann-33cc',
  bob: 'planted-bob-44dd',
  proto: 'planted-proto-55ee',
  tried: 'planted-tried-66ff',
};
const KEYS = `admin:${PLANTED.admin}\nwatch:${PLANTED.viewer}:viewer\npub:${PLANTED.publisher}:publisher\naudit:${PLANTED.otherScope}:administrator:audit\n`;
const PASSWORDS = `ann:${PLANTED.ann}\nbob:${PLANTED.bob}\n__proto__:${PLANTED.proto}\n`;

let folder = '';
let server: ServerProcess;
const answers: string[] = [];
const clients: RawClient[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-secrets-'));
  await writeFile(join(folder, 'keys'), KEYS);
  await writeFile(join(folder, 'passwords'), PASSWORDS);
  const flags = ['--ws', '127.0.0.1:0', '--log-level', 'debug', '--api-keys', join(folder, 'keys')];
  server = await ServerProcess.start({ flags: [...flags, '--set', `auth.passwordFile=${join(folder, 'passwords')}`] });
});
afterAll(async () => {
  for (const client of clients) client.destroy();
  await server?.dispose();
  await rm(folder, { recursive: true, force: true });
});

const as = (key: string, secret: string): RestClient => {
  const { host, port } = server.address('http');
  return new RestClient(`http://${host}:${port}`, key, secret);
};

async function metric(name: string): Promise<number> {
  const page = String((await server.rest('anonymous').get('/metrics')).body);
  return Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(page)?.[1] ?? 0);
}

async function open(): Promise<RawClient> {
  const client = await RawClient.open(server.mqtt);
  clients.push(client);
  return client;
}

async function connack(version: 4 | 5, more: Partial<ConnectPacket>): Promise<number> {
  const packet = await (await open()).hello(`c${clients.length}`, version, more);
  answers.push(JSON.stringify(packet));
  return packet.type === PacketType.CONNACK ? packet.reasonCode : -1;
}

const password = (text: string): Uint8Array => Buffer.from(text);

describe('B21: who may connect', () => {
  test.each<[string, Partial<ConnectPacket>, boolean]>([
    ['the right password', { username: 'ann', password: password(PLANTED.ann) }, true],
    ['a user called __proto__', { username: '__proto__', password: password(PLANTED.proto) }, true],
    ['nothing', {}, false],
    ['a user name and no password', { username: 'ann' }, false],
    ['an empty password', { username: 'ann', password: password('') }, false],
    ['an empty user name', { username: '', password: password(PLANTED.ann) }, false],
    ['both empty', { username: '', password: password('') }, false],
    ['another’s password', { username: 'ann', password: password(PLANTED.bob) }, false],
    ['a password with a NUL behind it', { username: 'ann', password: password(`${PLANTED.ann}\0`) }, false],
    ['a password cut short', { username: 'ann', password: password(PLANTED.ann.slice(0, -1)) }, false],
    ['a name in capitals', { username: 'ANN', password: password(PLANTED.ann) }, false],
    ['a name with a space', { username: 'ann ', password: password(PLANTED.ann) }, false],
    ['a user called constructor', { username: 'constructor', password: password(PLANTED.tried) }, false],
    ['a user called toString, no password', { username: 'toString' }, false],
    ['a password of 64 KB', { username: 'ann', password: Buffer.alloc(65_535, 'x') }, false],
  ])('%s', async (_name, credentials, admitted) => {
    const refused = await metric('sluice_gateway_auth_total{method="password",result="refused"}');
    expect(await connack(5, credentials)).toBe(admitted ? 0 : 0x86);
    expect(await connack(4, credentials)).toBe(admitted ? 0 : 0x04);
    const now = await metric('sluice_gateway_auth_total{method="password",result="refused"}');
    expect(now - refused).toBe(admitted ? 0 : 2);
  });

  test('a password and no user name: refused in MQTT 5, malformed in 3.1.1', async () => {
    expect(await connack(5, { password: password(PLANTED.ann) })).toBe(0x86);
    const old = await open();
    old.write(bytesOf('10 { <MQTT> 04 42 00 00 <c> <planted-tried-66ff> }'));
    await old.untilClosed();
    expect(old.packets).toEqual([]);
  });

  test('U+0000 in a user name is malformed', async () => {
    const client = await open();
    client.write(bytesOf('10 { <MQTT> 05 c2 00 00 00 <c> 00 04 61 6e 6e 00 <planted-ann-33cc> }'));
    expect(await client.next()).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0x81 });
  });

  test('B29: nobody takes over the session of another user, and that user notices nothing', async () => {
    const owner = await open();
    await owner.hello('shared-id', 5, { username: 'ann', password: password(PLANTED.ann) });
    const thief = await open();
    for (const cleanStart of [true, false]) {
      const answer = await (await open()).hello('shared-id', 5, {
        username: 'bob',
        password: password(PLANTED.bob),
        cleanStart,
      });
      expect(answer).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0x87 });
    }
    await thief.hello('shared-id', 4, { username: 'bob', password: password(PLANTED.bob) });
    owner.send({ type: PacketType.PINGREQ });
    expect((await owner.next()).type).toBe(PacketType.PINGRESP);
    const again = await open();
    expect(await again.hello('shared-id', 5, { username: 'ann', password: password(PLANTED.ann) })).toMatchObject({
      reasonCode: 0,
    });
    expect(await owner.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x8e });
  });

  test('before they are admitted, nothing they send behind the CONNECT counts', async () => {
    const client = await open();
    const connect = '10 { <MQTT> 05 82 00 00 00 <early> <ann> }';
    client.write(Buffer.concat([bytesOf(connect), bytesOf('33 { <retained/early> 00 01 00 78 }')]));
    expect(await client.next()).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0x86 });
    await client.untilClosed();
    expect(client.packets).toEqual([]);
    const page = String((await server.rest('anonymous').get('/metrics')).body);
    expect(page).toContain('sluice_retained_messages 0');
  });
});

describe('B35: what a role may', () => {
  const WRITES: [method: string, path: string, body?: unknown][] = [
    ['POST', QUEUES, { topic_filter: 'x' }],
    ['PUT', `${QUEUES}/kept`, { dispatch_strategy: 'random', is_lastvalue: false }],
    ['DELETE', `${QUEUES}/kept`],
    ['POST', `${QUEUES}/kept/purge`],
    ['PUT', '/api/v5/message_queues/config', { max_queue_count: 5 }],
    ['POST', '/api/v5/queues', { topic_filter: 'x' }],
    ['DELETE', '/api/v5/queue/kept'],
  ];
  const READS = [
    QUEUES,
    `${QUEUES}/kept`,
    `${QUEUES}/kept/stats`,
    `${QUEUES}/kept/messages`,
    '/api/v5/message_queues/config',
    '/api/v5/message_queues/stats',
    '/api/v5/nodes',
  ];

  beforeAll(async () => {
    const created = await as('admin', PLANTED.admin).post(QUEUES, {
      name: 'kept',
      topic_filter: 'kept',
      is_lastvalue: false,
    });
    expect(created.status).toBe(200);
  });

  test.each<[string, number, number, string]>([
    ['watch', 200, 403, PLANTED.viewer],
    ['pub', 403, 403, PLANTED.publisher],
    ['audit', 403, 403, PLANTED.otherScope],
    ['admin', 401, 401, PLANTED.viewer],
    ['watch', 401, 401, PLANTED.admin],
    ['admin', 401, 401, ''],
    ['', 401, 401, PLANTED.admin],
    ['constructor', 401, 401, PLANTED.tried],
    ['__proto__', 401, 401, PLANTED.tried],
    ['ann', 401, 401, PLANTED.ann],
  ])('key %s: reads %d, writes %d', async (key, reads, writes, secret) => {
    const rest = as(key, secret);
    for (const path of READS) {
      const answer = await rest.get(path);
      answers.push(JSON.stringify([...answer.headers, answer.body]));
      expect([path, answer.status]).toEqual([path, reads]);
    }
    for (const [method, path, body] of WRITES) {
      const answer = await rest.request(method, path, body);
      answers.push(JSON.stringify([...answer.headers, answer.body]));
      expect([method, path, answer.status]).toEqual([method, path, writes]);
    }
    expect((await as('admin', PLANTED.admin).get(`${QUEUES}/kept`)).body).toMatchObject({ name: 'kept' });
  });

  test.each([
    'Basic',
    'Basic ',
    'Basic !!!',
    'Bearer x.y.z',
    'Digest x',
    'basic',
    `Basic ${'A'.repeat(10_000)}`,
    'Basic Og==',
  ])('the header %s', async (authorization) => {
    const { host, port } = server.address('http');
    const response = await fetch(`http://${host}:${port}${QUEUES}`, { headers: { authorization } });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toContain('Basic');
    answers.push(await response.text());
  });
});

test('B34: nobody else on the machine may look into the data directory', async () => {
  expect((await stat(server.dataDir)).mode & 0o077).toBe(0);
});

test('B34: no secret stands in the log, the metrics, an answer, or the data directory', async () => {
  // Errors about secrets, too.
  const wrong = await as('admin', PLANTED.admin).post(QUEUES, { topic_filter: 'x', password: PLANTED.tried });
  answers.push(JSON.stringify(wrong.body));
  for (const path of ['/metrics', '/healthz', '/readyz', '/api/v5/openapi.json', '/api/v5/nodes', '/api/v5/docs']) {
    answers.push(JSON.stringify((await as('admin', PLANTED.admin).get(path)).body));
  }
  await server.stop();
  expect(server.log).toContain('"level":"debug"');
  const places = new Map<string, string>([
    ['log', server.log],
    ['answers', answers.join('\n')],
  ]);
  for (const name of await readdir(server.dataDir, { recursive: true })) {
    const path = join(server.dataDir, name);
    if ((await stat(path)).isFile()) places.set(name, await readFile(path, 'latin1'));
  }
  expect(places.size).toBeGreaterThan(4);
  for (const [place, text] of places) {
    for (const secret of Object.values(PLANTED)) {
      for (const form of [
        secret,
        Buffer.from(secret).toString('base64').replace(/=+$/, ''),
        Buffer.from(secret).toString('hex'),
      ]) {
        expect([place, secret, text.includes(form)]).toEqual([place, secret, false]);
      }
    }
  }
});
