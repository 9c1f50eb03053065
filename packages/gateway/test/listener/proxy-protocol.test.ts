import { type BlockList, connect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, test } from '@jest/globals';
import { crc32c } from '@sluice/common/bytes/crc32c';
import { systemClock } from '@sluice/common/clock';
import { banOf } from '@sluice/meta/access/access-keys';
import type { AccessTable } from '@sluice/meta/access/access-table';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import fc from 'fast-check';
import type { AuthenticationRequest } from '../../src/auth/authenticator.ts';
import { Bans } from '../../src/auth/cluster-access.ts';
import { isWithin, parseAddresses } from '../../src/auth/scoped-rules.ts';
import { proxyBodyBytes, readProxyHeader } from '../../src/listener/proxy-header.ts';
import { RawClient } from '../doubles/raw-client.ts';
import { TestGateway, until } from '../doubles/test-gateway.ts';

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const V4 = [192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 0x00, 0x07, 0x5b];
const V6 = [0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 7, ...Array(16).fill(0), 0xc0, 0x00, 0x07, 0x5b];

const tlv = (type: number, value: readonly number[]): number[] => [
  type,
  value.length >> 8,
  value.length & 255,
  ...value,
];
const ascii = (text: string): number[] => [...Buffer.from(text)];
function header(command: number, family: number, body: readonly number[], length = body.length): Buffer {
  return Buffer.from([...SIGNATURE, command, family, length >> 8, length & 255, ...body]);
}
const read = (bytes: Buffer): unknown => readProxyHeader(bytes.subarray(0, 16), bytes.subarray(16));

describe('a header', () => {
  test('names the client, over IPv4 and IPv6', () => {
    expect(read(header(0x21, 0x11, V4))).toEqual({ host: '192.0.2.7', port: 49_152, certificate: undefined });
    expect(read(header(0x21, 0x21, V6))).toMatchObject({ host: '2001:db8::7', port: 49_152 });
    const mapped = [...Array(10).fill(0), 0xff, 0xff, 192, 0, 2, 7, ...V6.slice(16)];
    expect(read(header(0x21, 0x21, mapped))).toMatchObject({ host: '192.0.2.7' });
    expect(read(header(0x20, 0x00, []))).toBe('own');
  });

  test('may say who the client is by its certificate, if the balancer has verified it', () => {
    const ssl = (flags: number, verify: number, ...names: string[]) =>
      tlv(0x20, [flags, 0, 0, 0, verify, ...names.flatMap((name) => tlv(0x22, ascii(name)))]);
    const of = (more: number[]): unknown =>
      (read(header(0x21, 0x11, [...V4, ...more])) as { certificate: unknown }).certificate;
    expect(of(ssl(0x07, 0, 'lamp'))).toMatchObject({ commonName: 'lamp' });
    expect(of(ssl(0x07, 1, 'lamp'))).toBeUndefined();
    expect(of(ssl(0x01, 0, 'lamp'))).toBeUndefined();
    expect(of(ssl(0x07, 0, 'lamp', 'other'))).toBeUndefined();
    expect(of(ssl(0x07, 0, 'la\0mp'))).toBeUndefined();
  });

  test('may have a sum, which must be right', () => {
    const bytes = header(0x21, 0x11, [...V4, ...tlv(0x03, [0, 0, 0, 0])]);
    const sum = crc32c(bytes);
    bytes.writeUInt32BE(sum, bytes.length - 4);
    expect(read(bytes)).toMatchObject({ host: '192.0.2.7' });
    bytes.writeUInt32BE(sum ^ 1, bytes.length - 4);
    expect(read(bytes)).toBe('invalid');
  });

  test.each([
    ['a family that is no TCP', header(0x21, 0x12, V4)],
    ['a Unix socket', header(0x21, 0x31, Array(216).fill(0))],
    ['no family', header(0x21, 0x00, [])],
    ['addresses cut short', header(0x21, 0x11, V4.slice(0, 11))],
    ['a TLV cut short', header(0x21, 0x11, [...V4, 0x04, 0x00])],
    ['a TLV beyond the end', header(0x21, 0x11, [...V4, 0x04, 0x00, 0x05, 1])],
    ['a TLS part cut short', header(0x21, 0x11, [...V4, ...tlv(0x20, [1, 0])])],
    ['another version', header(0x11, 0x11, V4)],
    ['another command', header(0x22, 0x11, V4)],
    ['a length that is not its own', header(0x21, 0x11, V4, 13)],
    ['version 1', Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n')],
  ])('with %s is refused', (_name, bytes) => {
    expect(read(bytes)).toBe('invalid');
  });

  test('B38: longer than any is refused before it is read', () => {
    expect(proxyBodyBytes(header(0x21, 0x11, [], 4_097))).toBeUndefined();
    expect(proxyBodyBytes(header(0x21, 0x11, [], 4_096))).toBe(4_096);
  });

  test('B38: of any bytes gives an answer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, isProxy) => {
        const whole = isProxy ? header(0x21, 0x11, [...V4, ...bytes]) : Buffer.from(bytes);
        const found = read(whole);
        return found === 'invalid' || found === 'own' || typeof found === 'object';
      }),
      { numRuns: 1_000, seed: 5 },
    );
  });
});

describe('a listener behind a balancer', () => {
  let gateway: TestGateway;
  const sockets: Socket[] = [];
  const asked: AuthenticationRequest[] = [];
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    asked.length = 0;
    await gateway.stop();
  });

  async function start(limits = {}): Promise<number> {
    const authenticate = (request: AuthenticationRequest) => {
      asked.push(request);
      return { reasonCode: 0, identity: undefined };
    };
    gateway = new TestGateway(limits, { method: 'watched', authenticate });
    return (await gateway.gateway.listenTcp({ host: '127.0.0.1', port: 0 }, { proxyProtocol: true })).port;
  }

  async function open(port: number, ...first: Buffer[]): Promise<RawClient> {
    const socket = await new Promise<Socket>((resolve) => {
      const made = connect(port, '127.0.0.1', () => resolve(made));
    });
    sockets.push(socket);
    const client = new RawClient(socket);
    for (const bytes of first) {
      socket.write(bytes);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return client;
  }
  const refused = (reason: string): number => gateway.counter('handshakes_refused_total', { reason });

  test('knows clients by their own addresses, however the header arrives', async () => {
    const port = await start();
    const bytes = header(0x21, 0x11, [...V4, ...tlv(0x04, Array(300).fill(0))]);
    const whole = await open(port, bytes);
    expect(await whole.hello('whole')).toMatchObject({ reasonCode: 0 });
    const pieces = await open(port, ...[...bytes].map((byte) => Buffer.from([byte])));
    expect(await pieces.hello('pieces')).toMatchObject({ reasonCode: 0 });
    expect(asked.map(({ clientId, peerHost }) => [clientId, peerHost])).toEqual([
      ['whole', '192.0.2.7'],
      ['pieces', '192.0.2.7'],
    ]);
  });

  test('B38: ends what does not begin with one, and what never does', async () => {
    const port = await start({ connectTimeoutMs: 300 });
    const direct = await open(port);
    await expect(direct.hello('direct')).rejects.toThrow();
    const silent = await open(port, header(0x21, 0x11, V4).subarray(0, 20));
    await silent.untilClosed();
    expect(refused('proxy')).toBe(1);
    expect(asked).toEqual([]);
  });

  test('bounds the connections of an address by what the header says', async () => {
    const port = await start({ connectionsPerAddressMax: 1 });
    const first = await open(port, header(0x21, 0x11, V4));
    await first.hello('first');
    await (await open(port, header(0x21, 0x11, V4))).untilClosed();
    const other = await open(port, header(0x21, 0x21, V6));
    expect(await other.hello('other')).toMatchObject({ reasonCode: 0 });
    expect(refused('address')).toBe(1);
    expect(gateway.warnings).toEqual([expect.stringContaining('an address has as many connections as it may')]);
    first.destroy();
    await until(() => gateway.gateway.counts().connections === 1);
    const again = await open(port, header(0x21, 0x11, V4));
    expect(await again.hello('again')).toMatchObject({ reasonCode: 0 });
  });

  test('knows an IPv4 client by one address, however it is written: bans and rules are about it', async () => {
    const port = await start();
    const mapped = [...Array(10).fill(0), 0xff, 0xff, 192, 0, 2, 7, ...V6.slice(16)];
    const client = await open(port, header(0x21, 0x21, mapped));
    await client.hello('mapped');
    const [request] = asked as [AuthenticationRequest];
    const banned = { count: () => 1, ban: (key: string) => key === banOf('peerhost', '192.0.2.7') && { untilMs: 0 } };
    const bans = new Bans(banned as unknown as AccessTable, systemClock);
    expect(bans.authenticate(request)).toMatchObject({ reasonCode: ReasonCode.BANNED });
    const network = parseAddresses(['192.0.2.0/24']) as { list: BlockList };
    expect(isWithin(network.list, request.peerHost)).toBe(true);
  });

  test('takes so many a second', async () => {
    const port = await start({ connectsPerSecond: 1 });
    const clients = await Promise.all([1, 2].map(() => open(port, header(0x21, 0x11, V4))));
    await until(() => refused('rate') === 1);
    await until(() => clients.filter(({ closed }) => closed).length === 1);
    expect(gateway.warnings).toEqual([expect.stringContaining('clients connect faster than they may')]);
    gateway.clock.shiftMs += 1_000;
    const later = await open(port, header(0x21, 0x11, V4));
    expect(await later.hello('later')).toMatchObject({ reasonCode: 0 });
  });
});

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((one) => one?.family === 'IPv6');
(hasIpv6 ? test : test.skip)('an address has its connections over listeners of one family and of both', async () => {
  const gateway = new TestGateway({ connectionsPerAddressMax: 1 });
  const of = async (host: string): Promise<RawClient> =>
    RawClient.connect((await gateway.gateway.listenTcp({ host, port: 0 })).port);
  const first = await of('::');
  expect(await first.hello('first')).toMatchObject({ reasonCode: 0 });
  const second = await of('127.0.0.1');
  await second.untilClosed();
  expect([...gateway.gateway.connections()].map(({ peerName }) => peerName)).toEqual([
    `127.0.0.1:${first.socket.localPort}`,
  ]);
  first.destroy();
  await gateway.stop();
});
