import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type PeerCertificate as NodeCertificate } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { PacketType } from '@sluice/mqtt/codec/packet';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import type { AuthenticationRequest } from '../src/auth/authenticator.ts';
import type { GatewayLimits } from '../src/gateway-limits.ts';
import { ConnectionsPerAddress } from '../src/listener/connections-per-address.ts';
import { openEntrance } from '../src/listener/socket-entrance.ts';
import { namesOf, type TlsMaterial } from '../src/listener/tls-material.ts';
import { TestGateway, until } from './doubles/test-gateway.ts';

/** TLS and secure WebSocket: who gets in, what a handshake may cost, and certificates that change under way. */
let folder = '';
let gateway: TestGateway;
const clients: MqttClient[] = [];
const asked: AuthenticationRequest[] = [];

const file = (name: string): Buffer => readFileSync(join(folder, name));
const openssl = (...args: string[]): void => {
  execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
};

function makeCertificate(name: string, ca: string, extension: string): void {
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', ...ec, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`, '-addext', extension);
  const signing = [
    '-CA',
    `${ca}.pem`,
    '-CAkey',
    `${ca}.key`,
    '-CAcreateserial',
    '-days',
    '2',
    '-copy_extensions',
    'copy',
  ];
  openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signing);
}

function makeAuthority(name: string): void {
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...ec, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-days', '2', '-subj', `/CN=${name}`);
}

/** What the authority has taken back. */
function makeRevocations(name: string, ...revoked: string[]): void {
  writeFileSync(join(folder, 'index.txt'), '');
  writeFileSync(join(folder, 'crlnumber'), '01\n');
  const settings = 'database=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=2\n';
  writeFileSync(join(folder, 'ca.cnf'), `[ca]\ndefault_ca=d\n[d]\n${settings}`);
  const ca = ['-config', 'ca.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key'];
  for (const certificate of revoked) openssl('ca', ...ca, '-revoke', `${certificate}.pem`);
  openssl('ca', ...ca, '-gencrl', '-out', `${name}.crl`);
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  makeAuthority('ca');
  makeAuthority('stranger');
  makeCertificate('first', 'ca', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  makeCertificate('second', 'ca', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  makeCertificate('lamp-7', 'ca', 'subjectAltName=DNS:lamp-7.example,email:lamp@example.org,URI:urn:lamp:7');
  makeCertificate('forged', 'stranger', 'subjectAltName=DNS:lamp-7.example');
  makeRevocations('nobody');
  makeRevocations('lamp-7', 'lamp-7');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  for (const client of clients.splice(0)) client.end(true);
  asked.length = 0;
  await gateway.stop();
});

const material = (name: string, clientCa?: string): TlsMaterial => ({
  certificate: file(`${name}.pem`),
  key: file(`${name}.key`),
  clientCa: clientCa === undefined ? undefined : file(`${clientCa}.pem`),
});

async function start(
  tls: TlsMaterial,
  connectTimeoutMs = 10_000,
  limits: Partial<GatewayLimits> = {},
): Promise<{ mqtts: number; wss: number }> {
  gateway = new TestGateway(
    { connectTimeoutMs, ...limits },
    {
      method: 'watched',
      authenticate: (request) => {
        asked.push(request);
        return { reasonCode: 0, identity: undefined };
      },
    },
  );
  const at = { host: '127.0.0.1', port: 0 };
  return {
    mqtts: (await gateway.gateway.listenTcp(at, { tls })).port,
    wss: (await gateway.gateway.listenWebSocket(at, { tls })).port,
  };
}

async function connect(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync(url, {
    ca: file('ca.pem'),
    reconnectPeriod: 0,
    protocolVersion: 5,
    ...options,
  });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

/** In TLS 1.3 a client believes that it is in until it hears otherwise. */
function hungUp(port: number, certificate: { cert?: Buffer; key?: Buffer }): Promise<unknown> {
  const socket = connectTls({ port, host: '127.0.0.1', ca: file('ca.pem'), ...certificate });
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('close', resolve));
}

/** A client with a good certificate, and the session it may come back with; in: its CONNECT was answered. */
function handshake(
  port: number,
  version: 'TLSv1.2' | 'TLSv1.3',
  session?: Buffer,
): Promise<{ isResumed: boolean; isIn: boolean; session: Buffer | undefined }> {
  const shown = { ca: file('ca.pem'), cert: file('lamp-7.pem'), key: file('lamp-7.key') };
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    ...shown,
    minVersion: version,
    maxVersion: version,
    ...(session === undefined ? {} : { session }),
  });
  let offered: Buffer | undefined;
  let isResumed = false;
  let isIn = false;
  const packet = {
    type: PacketType.CONNECT,
    protocolVersion: 5,
    clientId: 'c',
    cleanStart: true,
    keepAliveS: 0,
  } as const;
  socket.on('session', (ticket) => {
    offered = ticket;
  });
  socket.once('secureConnect', () => {
    isResumed = socket.isSessionReused();
    socket.write(encode(packet, 5));
  });
  socket.once('data', () => {
    isIn = true;
    socket.end();
  });
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('close', () => resolve({ isResumed, isIn, session: offered })));
}

const handshakesRefused = (): number => gateway.counter('handshakes_refused_total', { reason: 'tls' });

test('messages go over TLS and over secure WebSocket, and between both', async () => {
  const { mqtts, wss } = await start(material('first'));
  const tls = await connect(`mqtts://localhost:${mqtts}`);
  const webSocket = await connect(`wss://localhost:${wss}/mqtt`);
  const heard = new Promise<Buffer>((resolve) => tls.on('message', (_topic, payload) => resolve(payload)));
  await tls.subscribeAsync('t');
  const payload = Buffer.alloc(300_000, 'x');
  await webSocket.publishAsync('t', payload, { qos: 1 });
  expect((await heard).equals(payload)).toBe(true);
  expect([...gateway.gateway.connections()].map(({ transport }) => transport).sort()).toEqual(['tls', 'wss']);
  expect(asked.map(({ certificate }) => certificate)).toEqual([undefined, undefined]);
});

// What was written is with the system only a moment later, by TLS always: no write ends with nothing left.
test.each(['mqtts', 'wss'] as const)('a client of %s that takes its answers is read, however many', async (scheme) => {
  const answerBytesMax = 65_536;
  const ports = await start(material('first'), 10_000, { answerBytesMax });
  const client = await connect(`${scheme}://localhost:${ports[scheme]}/mqtt`);
  // Answered with a reason of a hundred bytes.
  for (let bytes = 0; bytes <= 2 * answerBytesMax; bytes += 64) {
    await client.subscribeAsync('$q/').catch((error: unknown) => error);
  }
  expect([...gateway.gateway.connections()].map(({ readPaused }) => readPaused)).toEqual([false]);
});

test('a consumer whose socket may hold next to nothing goes on when it was taken', async () => {
  const { mqtts } = await start(material('first'), 10_000, { sendBufferBytesMax: 1 });
  const client = await connect(`mqtts://localhost:${mqtts}`);
  await client.subscribeAsync('$q/jobs', { qos: 1 });
  const heard = new Promise<Buffer>((resolve) => client.on('message', (_topic, payload) => resolve(payload)));
  const consumer = gateway.queues.last;
  consumer.deliver({ topic: 'jobs', payload: 'work' });
  expect((await heard).toString()).toBe('work');
  expect(consumer.window).toBeGreaterThan(0);
});

test.each(['mqtts', 'wss'] as const)('a client of %s that is gone while it is not read is noticed', async (scheme) => {
  const ports = await start(material('first'));
  // A reset of what is under a client's TLS.
  const wires: Socket[] = [];
  const relay = createServer((near) => {
    const far = connectTcp(ports[scheme], '127.0.0.1');
    for (const socket of [near, far]) socket.on('error', () => {});
    near.pipe(far).pipe(near);
    wires.push(far);
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const client = await connect(`${scheme}://localhost:${(relay.address() as AddressInfo).port}/mqtt`, {
    keepalive: 10,
  });
  gateway.durable.congested = true;
  client.publish('t', 'x', { qos: 1 });
  await until(() => [...gateway.gateway.connections()][0]?.readPaused);
  client.publish('t', Buffer.alloc(1024 * 1024), { qos: 1 });
  await until(() => (wires[0]?.bytesWritten ?? 0) > 512 * 1024);
  wires[0]?.resetAndDestroy();
  await until(() => {
    gateway.clock.shiftMs += 60_000;
    return gateway.gateway.counts().connections === 0;
  });
  client.end(true);
  relay.close();
});

describe('where a client certificate is required', () => {
  test('its names are known to whoever decides who may come in', async () => {
    const { mqtts, wss } = await start(material('first', 'ca'));
    const certificate = { cert: file('lamp-7.pem'), key: file('lamp-7.key') };
    await connect(`mqtts://localhost:${mqtts}`, certificate);
    await connect(`wss://localhost:${wss}/mqtt`, certificate);
    const names = { commonName: 'lamp-7', dns: ['lamp-7.example'], emails: ['lamp@example.org'], uris: ['urn:lamp:7'] };
    expect(asked.map(({ certificate: found }) => found)).toEqual([names, names]);
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    '%s: a session that was resumed is not, once its certificate was taken back',
    async (version) => {
      const lists = { ...material('first', 'ca'), clientRevocations: file('nobody.crl') };
      const { mqtts } = await start(lists);
      const first = await handshake(mqtts, version);
      // Otherwise the last look would say nothing.
      expect(await handshake(mqtts, version, first.session)).toMatchObject({ isResumed: true, isIn: true });
      gateway.gateway.renewTls({ ...lists, clientRevocations: file('lamp-7.crl') });
      expect(await handshake(mqtts, version, first.session)).toMatchObject({ isResumed: false, isIn: false });
    },
  );

  test('nobody comes in without one, or with a stranger’s', async () => {
    const { mqtts, wss } = await start(material('first', 'ca'));
    const forged = { cert: file('forged.pem'), key: file('forged.key') };
    await hungUp(mqtts, {});
    await hungUp(mqtts, forged);
    await hungUp(wss, forged);
    expect(asked).toEqual([]);
    expect(handshakesRefused()).toBe(3);
    const peer = expect.stringMatching(/^127\.0\.0\.1:\d+$/);
    const refused = gateway.details.filter(({ reason }) => reason === 'tls');
    expect(refused).toEqual(refused.map(({ why, message }) => ({ reason: 'tls', peer, why, message })));
    expect(refused.map(({ why }) => why)).toContainEqual(expect.stringContaining('certificate'));
  });
});

test('a renewed certificate serves new connections, and those that are open go on', async () => {
  const { mqtts } = await start(material('first'));
  const before = await connect(`mqtts://localhost:${mqtts}`);
  const shown = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connectTls({ port: mqtts, host: '127.0.0.1', ca: file('ca.pem') }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.once('error', reject);
    });
  expect(await shown()).toBe('first');
  gateway.gateway.renewTls(material('second'));
  expect(await shown()).toBe('second');
  await before.publishAsync('t', 'x', { qos: 1 });
});

describe('a handshake', () => {
  test('that never ends is ended, and gives its place back', async () => {
    const { mqtts, wss } = await start(material('first'), 200);
    const silent = connectTcp(mqtts, '127.0.0.1');
    const garbage = connectTcp(wss, '127.0.0.1', () => garbage.write('GET / HTTP/1.1\r\n\r\n'));
    const hangsUp = connectTcp(mqtts, '127.0.0.1', () => hangsUp.destroy());
    for (const socket of [silent, garbage, hangsUp]) socket.on('error', () => {});
    await until(() => handshakesRefused() === 3);
    await until(() => silent.closed && garbage.closed);
    expect(gateway.gateway.counts().connections).toBe(0);
    await connect(`mqtts://localhost:${mqtts}`);
  });

  test('of who is gone before anybody looks gives its place back, though nobody knows its address any more', async () => {
    await start(material('first'));
    const seen = { waiting: 0, refused: 0 };
    const entrance = await openEntrance(
      { host: '127.0.0.1', port: 0 },
      {
        isFull: () => false,
        waiting: (change) => {
          seen.waiting += change;
        },
        handshakeMs: 10_000,
        tls: material('first'),
        proxyProtocol: false,
        connectsPerSecond: 0,
        perAddress: new ConnectionsPerAddress(0),
        nowMs: () => 0,
        accepted: () => {},
        refused: () => {
          seen.refused++;
        },
      },
    );
    // Nothing is taken in before this is over.
    const hangUp = `for (let i = 0; i < 8; i++) {
      const socket = require('node:net').connect(${entrance.address.port}, '127.0.0.1', () => socket.resetAndDestroy());
    }`;
    execFileSync(process.execPath, ['-e', hangUp]);
    try {
      await until(() => seen.refused === 8 && seen.waiting === 0);
    } finally {
      entrance.stop();
    }
  });

  test('is not taken for another one from the same address and port, to another address of this machine', async () => {
    gateway = new TestGateway();
    const { port } = await gateway.gateway.listenTcp({ host: '0.0.0.0', port: 0 }, { tls: material('first') });
    const from = { localAddress: '127.0.0.1', localPort: 0 };
    const arrive = async (host: string): Promise<Socket> => {
      const socket = connectTcp({ host, port, ...from });
      await once(socket, 'connect');
      from.localPort = socket.localPort as number;
      return socket;
    };
    const sockets = [await arrive('127.0.0.1'), await arrive('127.0.0.2')];
    const hello = { type: PacketType.CONNECT, protocolVersion: 4, cleanStart: true, keepAliveS: 0 } as const;
    for (const [i, socket] of sockets.reverse().entries()) {
      const secure = connectTls({ socket, ca: file('ca.pem'), checkServerIdentity: () => undefined });
      await once(secure, 'secureConnect');
      secure.write(encode({ ...hello, clientId: `client${i}` }, 4));
      const isLetIn = once(secure, 'data').then(([answer]) => answer);
      expect(await Promise.race([isLetIn, once(secure, 'close')])).toEqual(Buffer.from('20020000', 'hex'));
    }
    for (const socket of sockets) socket.destroy();
  });

  test('takes a place among the connections', async () => {
    gateway = new TestGateway({ connectionsMax: 1 });
    const { port } = await gateway.gateway.listenTcp({ host: '127.0.0.1', port: 0 }, { tls: material('first') });
    const silent = connectTcp(port, '127.0.0.1');
    await new Promise((resolve) => silent.once('connect', resolve));
    const second = connectTcp(port, '127.0.0.1');
    second.on('error', () => {});
    await new Promise((resolve) => second.once('close', resolve));
    silent.destroy();
    await until(() => silent.closed);
    await connect(`mqtts://localhost:${port}`);
  });

  test('secure WebSocket: who finishes TLS and says nothing more is cut as well', async () => {
    const { wss } = await start(material('first'), 200);
    const socket = connectTls({ port: wss, host: '127.0.0.1', ca: file('ca.pem') });
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('close', resolve));
  });
});

test('B28: a name that can be read in two ways is not read', () => {
  const of = (more: object): unknown => namesOf(more as NodeCertificate);
  const nothing = { commonName: undefined, dns: [], emails: [], uris: [] };
  expect(of({})).toEqual(nothing);
  expect(of({ subject: { CN: ['a', 'b'] } })).toEqual(nothing);
  expect(of({ subject: { CN: 'a\0b' }, subjectaltname: 'DNS:"evil.example, DNS:good.example"' })).toEqual(nothing);
});
