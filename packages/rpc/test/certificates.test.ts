import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import type { LogFields, Logger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { AddressBook } from '../src/address-book.ts';
import type { ClusterRequest } from '../src/contract/cluster.ts';
import type { LiveRequest, LiveResponse } from '../src/contract/live.ts';
import type { MetadataRequest, MetadataResponse } from '../src/contract/metadata.ts';
import type { TlsFiles } from '../src/grpc/tls-files.ts';
import { NodeTransport } from '../src/node-transport.ts';
import type { Channel } from '../src/transport.ts';
import { Authority } from './support/certificates.ts';
import { until } from './support/until.ts';

const authority = new Authority();
const good = authority.issue();
const stranger = new Authority();
const strange = stranger.issue();

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

afterAll(() => {
  authority.close();
  stranger.close();
});

interface Node {
  transport: NodeTransport;
  addresses: AddressBook;
  metrics: PlainMetrics;
  address: string;
  /** Who opened channels and called. */
  heard: number[];
  warnings: LogFields[];
}

/** Node `nodeId` at 127.0.0.1, known to itself alone. */
async function node(nodeId: number, tls: TlsFiles | undefined): Promise<Node> {
  const addresses = new AddressBook();
  const metrics = new PlainMetrics();
  const warnings: LogFields[] = [];
  const logger: Logger = {
    debug: () => {},
    info: () => {},
    warn: (fields) => void warnings.push(fields),
    error: () => {},
    child: () => logger,
  };
  const transport = new NodeTransport({ addresses, tls, logger, metrics, clock: systemClock });
  cleanups.push(() => transport.shutdown());
  transport.setIdentity({ clusterId: 'c', nodeId });
  const heard: number[] = [];
  transport.serveChannel<LiveRequest, LiveResponse>('live', (channel, from) => {
    heard.push(from);
    channel.send({ type: 'seen', version: from });
  });
  transport.serveCall<MetadataRequest, MetadataResponse>('metadata', (_, from) => {
    heard.push(from);
    return Promise.resolve({ type: 'not-leader', leader: from });
  });
  transport.serveCall<ClusterRequest, unknown>('cluster', (_, from) => {
    heard.push(from);
    return Promise.resolve({ type: 'elsewhere', address: 'x' });
  });
  const address = `127.0.0.1:${await transport.listen('127.0.0.1', 0)}`;
  return { transport, addresses, metrics, address, heard, warnings };
}

/** Both know each other by address and name. */
async function pair(first: TlsFiles | undefined, second: TlsFiles | undefined): Promise<[Node, Node]> {
  const [one, two] = [await node(1, first), await node(2, second)];
  one.addresses.set(2, two.address, 'two');
  two.addresses.set(1, one.address, 'one');
  return [one, two];
}

const refused = ({ metrics }: Node, reason: string): number =>
  metrics.counter('sluice_rpc_refused_total', '', { reason }).value;
const question: MetadataRequest = { type: 'reach', epoch: 1 };
const ask = (from: Node, to = 2): Promise<unknown> => from.transport.call(to, 'metadata', question);
const hello = (address: string): ClusterRequest => ({ type: 'hello', address, incarnation: 'i', founders: [address] });
const registration = (address: string, name: string): ClusterRequest => ({
  type: 'register',
  node: { incarnation: 'i', name, address, roles: ['store'], rack: '', version: '', mqttAddress: '' },
});

describe('a port with certificates', () => {
  test('nodes of one authority talk, on channels and in calls', async () => {
    const [one, two] = await pair(good, good);
    expect(await ask(one)).toEqual({ type: 'not-leader', leader: 1 });
    const near: Channel<LiveRequest, LiveResponse> = one.transport.open(2, 'live');
    const seen: number[] = [];
    near.onMessage(({ version }) => seen.push(version));
    await until(() => seen.length === 1);
    expect(two.heard).toEqual([1, 1]);
    expect([...one.warnings, ...two.warnings]).toEqual([]);
  });

  test.each([
    ['of another authority', (): TlsFiles => ({ ...strange, ca: good.ca }), 'certificate', 'HANDSHAKE_CLOSED'],
    ['that has expired', () => authority.issue({ days: -1 }), 'certificate', 'HANDSHAKE_CLOSED'],
    ['with none, and no TLS at all', (): undefined => undefined, 'tls', 'PEER_UNAVAILABLE'],
  ] as const)(
    'a peer with a certificate %s is refused before anything is read of it',
    async (_, make, reason, code) => {
      const [one, two] = await pair(make(), good);
      await expect(ask(one)).rejects.toMatchObject({ code, retriable: true });
      await expect(one.transport.callAddress(two.address, 'cluster', hello(one.address))).rejects.toMatchObject({
        code,
      });
      expect(two.heard).toEqual([]);
      expect(refused(two, reason)).toBeGreaterThan(0);
      expect(two.warnings[0]).toMatchObject({ reason, hint: expect.stringContaining('certificate') });
    },
  );

  test('who hangs up in the middle of a handshake is named by where it came from', async () => {
    const { address, warnings } = await node(2, good);
    const socket = connect(Number(address.split(':')[1]), '127.0.0.1');
    await once(socket, 'connect');
    const from = `127.0.0.1:${socket.localPort}`;
    socket.destroy();
    await until(() => warnings.length > 0);
    expect(warnings).toMatchObject([{ reason: 'tls', peer: from }]);
  });

  test.each([
    ['of another authority', () => strange, 'its certificate is not accepted'],
    ['that has expired', () => authority.issue({ days: -1 }), 'certificate has expired'],
    ['of another host', () => authority.issue({ names: 'DNS:elsewhere' }), 'does not match'],
  ] as const)('who is reached with a certificate %s is told nothing', async (_, make, why) => {
    const [one, two] = await pair(good, make());
    const error = { code: 'PEER_CERTIFICATE', message: expect.stringContaining(why) };
    await expect(ask(one)).rejects.toMatchObject(error);
    const closed = new Promise<void>((resolve) => one.transport.open(2, 'live').onClose(resolve));
    await closed;
    expect(two.heard).toEqual([]);
    expect(one.warnings[0]).toMatchObject({ hint: expect.stringContaining('cluster.caFile') });
  });

  test('B37: a certificate for another host does not speak for a node; its name does, wherever it is', async () => {
    const [one, two] = await pair(authority.issue({ names: 'IP:127.0.0.9' }), good);
    await expect(ask(one)).rejects.toMatchObject({ code: 'CERTIFICATE_REFUSED' });
    await new Promise<void>((resolve) => one.transport.open(2, 'live').onClose(resolve));
    expect(refused(two, 'wrong-certificate')).toBe(2);
    expect(two.heard).toEqual([]);
    expect(two.warnings[0]).toMatchObject({
      detail: expect.stringMatching(/certificate of node, IP Address:127.0.0.9 does not speak for one at 127.0.0.1:/),
      hint: expect.stringContaining('node.name'),
    });
    const moved = await node(1, authority.issue({ cn: 'one', names: 'IP:127.0.0.9' }));
    moved.addresses.set(2, two.address);
    expect(await ask(moved)).toEqual({ type: 'not-leader', leader: 1 });
  });

  test('who is reached under its name may be anywhere; under another name it is told nothing', async () => {
    const tier = authority.issue({ cn: 'tier', names: 'DNS:*.pods.example' });
    const pod = await node(9, tier);
    for (const nodeId of [1, 2, 3]) pod.addresses.set(nodeId, `127.0.0.1:${nodeId}`);
    const known = await node(1, good);
    known.addresses.set(9, pod.address, 'two.pods.example');
    expect(await ask(known, 9)).toEqual({ type: 'not-leader', leader: 1 });
    for (const [nodeId, name] of [
      [2, ''],
      [3, 'two.nodes.example'],
    ] as const) {
      const other = await node(nodeId, good);
      other.addresses.set(9, pod.address, name);
      await expect(ask(other, 9)).rejects.toMatchObject({ code: 'PEER_CERTIFICATE' });
    }
    expect(pod.heard).toEqual([1]);
  });

  test('B37: a member that claims to be another one is refused', async () => {
    const [one, two] = await pair(authority.issue({ cn: 'one' }), good);
    two.addresses.set(3, '127.0.0.3:1', 'three');
    const impostor = await node(3, authority.issue({ cn: 'one' }));
    impostor.addresses.set(2, two.address);
    await expect(ask(impostor)).rejects.toMatchObject({ code: 'CERTIFICATE_REFUSED' });
    expect(await ask(one)).toEqual({ type: 'not-leader', leader: 1 });
  });

  test('of whom nothing is known yet waits, and is told so', async () => {
    const [one, two] = await pair(good, good);
    const three = await node(3, good);
    three.addresses.set(2, two.address);
    await expect(ask(three)).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE', retriable: true });
    expect(refused(two, 'unknown-sender')).toBe(1);
    // Ordinary while a node joins.
    expect(two.warnings).toEqual([]);
    two.addresses.set(3, three.address);
    expect(await ask(three)).toEqual({ type: 'not-leader', leader: 3 });
    // A node whose place was given up is still who it was: it is to be told.
    two.addresses.retire(3);
    expect(await ask(three)).toEqual({ type: 'not-leader', leader: 3 });
    await expect(ask(two, 3)).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE' });
    expect(one.heard).toEqual([]);
  });

  test('who asks for a place speaks for its own address, and takes nobody’s name', async () => {
    const [one, two] = await pair(good, good);
    two.addresses.set(4, '127.0.0.4:1', 'four');
    const cluster = (request: ClusterRequest): Promise<unknown> =>
      one.transport.callAddress(two.address, 'cluster', request);
    expect(await cluster(hello(one.address))).toEqual({ type: 'elsewhere', address: 'x' });
    expect(await cluster(registration(one.address, 'new'))).toEqual({ type: 'elsewhere', address: 'x' });
    for (const claim of [hello('127.0.0.4:1'), registration('127.0.0.4:1', 'new'), registration(one.address, 'four')])
      await expect(cluster(claim)).rejects.toMatchObject({ code: 'CERTIFICATE_REFUSED' });
    expect(two.heard).toEqual([0, 0]);
  });

  test('renewed while it runs: new connections use the new ones, both ways', async () => {
    const [one, two] = await pair(good, good);
    expect(await ask(one)).toEqual({ type: 'not-leader', leader: 1 });
    const near = one.transport.open(2, 'live');
    let isOpen = true;
    near.onClose(() => {
      isOpen = false;
    });
    await until(() => two.heard.length === 2);
    // From now on another authority alone is trusted, so old ones would be refused.
    one.transport.setTls(strange);
    await expect(ask(one)).rejects.toMatchObject({ code: 'PEER_CERTIFICATE' });
    two.transport.setTls(strange);
    let answer: unknown;
    while (answer === undefined) answer = await ask(one).catch(() => undefined);
    expect(answer).toEqual({ type: 'not-leader', leader: 1 });
    expect(isOpen).toBe(true);
  });
});
