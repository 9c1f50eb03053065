import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import type { RawClient } from './doubles/raw-client.ts';
import { TestCluster } from './doubles/test-cluster.ts';
import { collect, type TestGateway, until } from './doubles/test-gateway.ts';

let cluster: TestCluster;
let gateway: TestGateway;
beforeEach(async () => {
  cluster = await TestCluster.start(2);
  gateway = cluster.at(1);
  gateway.durable.filters = ['jobs'];
});
afterEach(() => cluster.stop());

const REFERENCE = 'mqtt-2.example:1883';
const publish = (client: RawClient, packetId: number, qos: 1 | 2 = 1): void =>
  client.send({
    type: PacketType.PUBLISH,
    topic: 'jobs',
    payload: new Uint8Array(1),
    qos,
    retain: false,
    dup: false,
    packetId,
  });
const stored = (count: number): Promise<number> =>
  until(
    () => gateway.durable.stored.length,
    (n) => n === count,
  );

describe('a drain', () => {
  test.each([
    [false, REFERENCE, 0x9c],
    [true, REFERENCE, 0x9d],
    [false, undefined, 0x9c],
  ])('tells MQTT 5 where to go (moved: %s, reference: %s)', async (moved, serverReference, reasonCode) => {
    const client = await gateway.raw();
    await client.hello('x');
    const done = gateway.gateway.drain({ drainMs: 5_000, serverReference, moved });
    const farewell = await client.next();
    expect(farewell).toMatchObject({ type: PacketType.DISCONNECT, reasonCode });
    expect((farewell as { properties?: { serverReference?: string } }).properties?.serverReference).toBe(
      serverReference,
    );
    await client.untilClosed();
    await done;
  });

  test('hangs up on who comes meanwhile: a refusal would make stock clients give up for good', async () => {
    const holding = await gateway.raw();
    await holding.hello('holding');
    publish(holding, 1);
    await stored(1);
    const done = gateway.gateway.drain({ drainMs: 5_000, serverReference: REFERENCE });
    for (const protocolVersion of [4, 5] as const) {
      const late = await gateway.raw();
      await expect(late.hello('late', { protocolVersion })).rejects.toThrow('closed without another packet');
    }
    expect(holding.closed).toBe(false);
    gateway.durable.stored[0]?.pending.complete(0);
    await done;
  });

  test('of a node that stops refuses who comes, so that a load balancer tries the next; those here are served', async () => {
    const holding = await gateway.raw();
    await holding.hello('holding');
    gateway.gateway.stopListening();
    await expect(gateway.raw()).rejects.toThrow('ECONNREFUSED');
    publish(holding, 1);
    await stored(1);
    gateway.durable.stored[0]?.pending.complete(0);
    expect(await holding.next()).toMatchObject({ type: PacketType.PUBACK });
    await gateway.gateway.drain({ drainMs: 5_000 });
  });

  test('of a node that stops opens no listener that was about to be', async () => {
    const opening = gateway.gateway.listenTcp({ host: '127.0.0.1', port: 0 });
    gateway.gateway.stopListening();
    const { port } = await opening;
    await expect(once(connect(port, '127.0.0.1'), 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test.each([4, 5] as const)('answers what was accepted before it closes, MQTT %d', async (protocolVersion) => {
    const client = await gateway.raw();
    await client.hello('x', { protocolVersion });
    publish(client, 1);
    publish(client, 2, 2);
    await stored(2);
    const done = gateway.gateway.drain({ drainMs: 5_000 });
    // Read no more: this one is for another gateway.
    await until(() => [...gateway.gateway.connections()][0]?.readPaused === true);
    publish(client, 3);
    for (const { pending } of gateway.durable.stored) pending.complete(0);
    expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, packetId: 1 });
    expect(await client.next()).toMatchObject({ type: PacketType.PUBREC, packetId: 2 });
    if (protocolVersion === 5) expect(await client.next()).toMatchObject({ type: PacketType.DISCONNECT });
    await client.untilClosed();
    await done;
    expect(gateway.durable.stored.length).toBe(2);
  });

  test('lets a worker answer what it has, and gives it no more: nothing comes a second time', async () => {
    const worker = await gateway.raw();
    await worker.hello('w');
    const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    worker.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [{ filter: '$q/jobs', ...options }] });
    await worker.next();
    gateway.queues.last.deliver({ topic: 'jobs', payload: '1' });
    const delivery = (await worker.next()) as { packetId: number };
    const done = gateway.gateway.drain({ drainMs: 5_000 });
    await until(() => gateway.queues.last.window === 0);
    worker.send({ type: PacketType.PUBACK, packetId: delivery.packetId, reasonCode: 0 });
    expect(await worker.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x9c });
    await done;
    expect(gateway.queues.last.log).toEqual(['window 0', 'accept 0', 'detach']);
  });

  test('goes over the time there is, not all at once', async () => {
    const clients = await Promise.all(Array.from({ length: 30 }, () => gateway.raw()));
    await Promise.all(clients.map((client, i) => client.hello(`c${i}`)));
    gateway.clock.stand();
    const done = gateway.gateway.drain({ drainMs: 1_000, perSecond: 1 });
    const left: number[] = [];
    // The last two fifths are for the last of them to be answered.
    for (const passedMs of [0, 200, 400, 600]) {
      gateway.clock.shiftMs = passedMs;
      await until(() => gateway.gateway.counts().sessions <= 30 - passedMs / 20);
      left.push(gateway.gateway.counts().sessions);
    }
    expect(left).toEqual([30, 20, 10, 0]);
    await done;
  });

  test('of few does not take the time there is for many', async () => {
    const clients = await Promise.all(Array.from({ length: 36 }, () => gateway.raw()));
    await Promise.all(clients.map((client, i) => client.hello(`c${i}`)));
    // Evenly over the time it would be more than half an hour.
    await gateway.gateway.drain({ drainMs: 3_600_000 });
    expect(gateway.gateway.counts().sessions).toBe(0);
  });

  test('ends with its time, whoever has not answered', async () => {
    const client = await gateway.raw();
    await client.hello('x');
    publish(client, 1);
    await stored(1);
    await gateway.gateway.drain({ drainMs: 50 });
    expect(await client.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x9c });
  });

  test('that is taken back lets clients in again, and those that were not asked to go stay', async () => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => gateway.raw()));
    for (const [n, client] of clients.entries()) await client.hello(`x${n}`);
    const done = gateway.gateway.drain({ drainMs: 60_000, serverReference: REFERENCE, moved: true, perSecond: 1 });
    await until(() => clients.filter(({ closed }) => closed).length === 1);
    gateway.gateway.endDrain();
    await done;
    const back = await gateway.raw();
    expect(await back.hello('back')).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0 });
    expect(clients.filter(({ closed }) => closed)).toHaveLength(1);
    // The next one is nothing to do with it.
    await gateway.gateway.drain({ drainMs: 100 });
    const late = await gateway.raw();
    await expect(late.hello('late')).rejects.toThrow('closed without another packet');
  });

  test('that is cut short ends with the shorter time', async () => {
    const client = await gateway.raw();
    await client.hello('x');
    publish(client, 1);
    await stored(1);
    const long = gateway.gateway.drain({ drainMs: 60_000 });
    await gateway.gateway.drain({ drainMs: 50 });
    await long;
    expect(await client.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x9c });
  });

  test('publishes wills, which other gateways hear before this one goes', async () => {
    const watcher = await cluster.at(2).connect();
    const seen = collect(watcher);
    await watcher.subscribeAsync('wills/#', { qos: 1 });
    const client = await gateway.raw();
    await client.hello('x', { will: { topic: 'wills/x', payload: Buffer.from('bye'), qos: 1, retain: false } });
    await gateway.gateway.drain({ drainMs: 1_000 });
    await gateway.gateway.close({ drainMs: 0 });
    await until(() => seen.length === 1);
  });

  test('takes its routes back: nothing is sent here any more', async () => {
    const subscriber = await gateway.connect();
    await subscriber.subscribeAsync(['t', '$share/g/t']);
    await cluster.routesAt(2, 2);
    await gateway.gateway.drain({ drainMs: 100 });
    await cluster.routesAt(2, 0);
  });
});
