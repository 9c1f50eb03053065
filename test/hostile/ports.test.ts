import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type ConnectPacket, PacketType } from '@sluice/mqtt/codec/packet';
import { BrokerUnderAttack } from './broker-under-attack.ts';
import { RawClient } from './raw-client.ts';

/** What comes in where only other nodes, or a balancer, should speak. */
const folder = mkdtempSync(join(tmpdir(), 'sluice-hostile-ports-'));
const at = (name: string): string => join(folder, name);
const openssl = (...args: string[]): void => {
  execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
};
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

let broker: BrokerUnderAttack;
const sockets: Socket[] = [];

beforeAll(async () => {
  for (const name of ['node', 'stranger']) {
    const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    openssl('req', '-x509', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`, ...names);
  }
  const settings = [
    `cluster.caFile=${at('node.pem')}`,
    `cluster.certificateFile=${at('node.pem')}`,
    `cluster.keyFile=${at('node.key')}`,
    'mqtt.proxyProtocol=ws',
    'mqtt.connectTimeout=2s',
  ];
  const flags = ['--grpc', '127.0.0.1:0', ...settings.flatMap((one) => ['--set', one])];
  broker = await BrokerUnderAttack.start({ flags });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await broker.stillServes();
});
afterAll(async () => {
  await broker?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Resolves with all that came back when the other side ends it. */
function sent(listener: 'grpc' | 'mqtt' | 'ws', bytes: Uint8Array | string): Promise<Buffer> {
  const { host, port } = broker.server.address(listener);
  return new Promise((resolve) => {
    const got: Buffer[] = [];
    const socket = connect(port, host, () => socket.write(bytes));
    sockets.push(socket);
    socket.on('data', (chunk) => got.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => resolve(Buffer.concat(got)));
  });
}

describe('B37: the port for nodes', () => {
  const HELLO = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const frame = (length: number, type: number): Buffer =>
    Buffer.from([length >> 16, (length >> 8) & 0xff, length & 0xff, type, 0, 0, 0, 0, 1]);

  test.each<[string, Uint8Array | string]>([
    ['gRPC without TLS', Buffer.concat([HELLO, frame(0, 4)])],
    ['HTTP/1', 'GET /sluice.v1.Node/Raft HTTP/1.1\r\nhost: x\r\n\r\n'],
    ['a frame of 16 MB', Buffer.concat([HELLO, frame(0xff_ff_ff, 0)])],
    ['MQTT', Buffer.from([0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 0])],
    ['zeros', Buffer.alloc(64 * 1024)],
    ['a TLS record that claims more than there may be', Buffer.from([0x16, 3, 1, 0xff, 0xff, 1])],
  ])('%s: ended without an answer that could be used', async (_name, bytes) => {
    const answer = await sent('grpc', bytes);
    expect(answer.includes(Buffer.from('grpc-status'))).toBe(false);
    expect(answer.length).toBeLessThan(64);
  });

  test.each<[string, object]>([
    ['nobody’s certificate', {}],
    ['a certificate of somebody else', { cert: 'stranger.pem', key: 'stranger.key' }],
  ])('%s: no call is answered', async (_name, names) => {
    const { port } = broker.server.address('grpc');
    const shown: Record<string, Buffer> = {};
    for (const [field, name] of Object.entries(names)) shown[field] = readFileSync(at(name as string));
    const outcome = await new Promise<string>((resolve) => {
      const session = connectHttp2(`https://localhost:${port}`, {
        createConnection: () =>
          connectTls({ host: 'localhost', port, ALPNProtocols: ['h2'], rejectUnauthorized: false, ...shown }),
      });
      session.on('error', () => resolve('ended'));
      session.on('close', () => resolve('ended'));
      const request = session.request({
        ':method': 'POST',
        ':path': '/sluice.v1.Node/Raft',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      request.on('error', () => {});
      request.on('response', (headers) => resolve(`answered ${headers[':status']}`));
      request.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
    });
    expect(outcome).toBe('ended');
  });
});

describe('B38: PROXY headers', () => {
  const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
  const header = (body: Uint8Array, claimed = body.length): Buffer =>
    Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, claimed >> 8, claimed & 0xff]), body]);
  const address = Buffer.from([192, 0, 2, 7, 127, 0, 0, 1, 0, 80, 7, 91]);
  const hello: ConnectPacket = {
    type: PacketType.CONNECT,
    protocolVersion: 5,
    clientId: 'proxied',
    cleanStart: true,
    keepAliveS: 0,
  };

  test.each<[string, Buffer | string]>([
    ['version 2', Buffer.concat([header(address), encode(hello, 5)])],
    ['version 1', 'PROXY TCP4 192.0.2.7 127.0.0.1 56324 1883\r\n'],
  ])('%s, where no balancer is expected, is no MQTT', async (_name, bytes) => {
    expect((await sent('mqtt', bytes)).length).toBe(0);
  });

  test.each<[string, Buffer | string]>([
    ['version 1, which anybody types', 'PROXY TCP4 192.0.2.7 127.0.0.1 56324 1883\r\nGET /mqtt HTTP/1.1\r\n\r\n'],
    ['one that claims 64 KB', header(address, 0xffff)],
    ['one shorter than its addresses', header(address.subarray(0, 5))],
    ['one whose parts end behind its end', header(Buffer.concat([address, Buffer.from([4, 0xff, 0xff])]))],
    ['a command that does not exist', Buffer.concat([SIGNATURE, Buffer.from([0x22, 0x11, 0, 12]), address])],
    ['version 3', Buffer.concat([SIGNATURE, Buffer.from([0x31, 0x11, 0, 12]), address])],
    ['one that never ends', header(address).subarray(0, 20)],
    ['none', 'GET /mqtt HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'],
  ])('%s, where one is: ended without a word', async (_name, bytes) => {
    expect((await sent('ws', bytes)).length).toBe(0);
  });

  test('two of them: the second is no WebSocket', async () => {
    const answer = (await sent('ws', Buffer.concat([header(address), header(address)]))).toString('latin1');
    expect(answer).not.toContain(' 101 ');
  });

  test('one that is right lets in who follows it', async () => {
    const client = await RawClient.beforeUpgrade(broker.server.address('ws'));
    client.socket.write(header(address));
    client.upgrade();
    await client.until('101', () => client.handshake.includes('\r\n\r\n'));
    expect(await client.hello('proxied')).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0 });
    client.destroy();
  });
});
