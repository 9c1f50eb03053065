import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import type { MqttClient } from 'mqtt';
import { Connection } from '../../src/connection/connection.ts';
import { STORED_WAIT_MS } from '../../src/live/live-mesh.ts';
import { TestCluster } from '../doubles/test-cluster.ts';
import { collect, type Received, TestGateway, until } from '../doubles/test-gateway.ts';

const kept = { qos: 1, retain: true } as const;
const count = (received: readonly Received[], wanted: number): Promise<unknown> =>
  until(
    () => received.length,
    (n) => n === wanted,
  );

describe('on one gateway', () => {
  let gateway: TestGateway;
  beforeEach(async () => {
    gateway = await TestGateway.start();
  });
  afterEach(() => gateway.stop());

  test('a newer message that came live is not followed by an older one of its topic', async () => {
    const publisher = await gateway.connect();
    for (const topic of ['t/1', 't/2', 't/3']) await publisher.publishAsync(topic, 'old', kept);
    const subscriber = await gateway.connect();
    const received = collect(subscriber);
    gateway.retained.isHeld = true;
    // What a page brings was read before the newer message came.
    const { records } = gateway.retained;
    const old = new Map(records);
    await subscriber.subscribeAsync('t/#', { qos: 1 });
    await until(() => gateway.retained.asked.length > 0);
    await publisher.publishAsync('t/2', 'new', kept);
    await publisher.publishAsync('t/3', 'passing', { qos: 1 });
    await count(received, 2);
    for (const [topic, record] of old) records.set(topic, record);
    gateway.retained.release();
    await count(received, 4);
    expect(received.map(({ topic, payload, packet }) => [topic, payload, packet.retain])).toEqual([
      ['t/2', 'new', false],
      ['t/3', 'passing', false],
      ['t/1', 'old', true],
      ['t/3', 'old', true],
    ]);
  });

  test('nothing is read before what was retained through this gateway is in the stores', async () => {
    gateway.durable.filters = ['t'];
    const client = await gateway.connect();
    const received = collect(client);
    client.publish('t', 'mine', { qos: 1, retain: true });
    await until(() => gateway.durable.stored.length === 1);
    await client.subscribeAsync('t', { qos: 1 });
    // Whatever its SUBSCRIBE began has begun when this is answered.
    await client.unsubscribeAsync('elsewhere');
    expect(gateway.retained.asked).toEqual([]);
    gateway.durable.stored[0]?.pending.complete(0);
    await count(received, 1);
    expect(received[0]).toMatchObject({ topic: 't', payload: 'mine' });
  });

  test('while a page is waited for, its connection takes no turn', async () => {
    const subscriber = await gateway.connect();
    gateway.retained.isHeld = true;
    await subscriber.subscribeAsync('t', { qos: 1 });
    await until(() => gateway.retained.asked.length === 1);
    const turns = jest.spyOn(Connection.prototype, 'takeTurn');
    for (let i = 0; i < 100; i++) await new Promise(setImmediate);
    // One that was asked for before, at most.
    expect(turns.mock.calls.length).toBeLessThan(2);
    turns.mockRestore();
  });

  test('a page is asked for when the one before was sent; an unsubscription ends it', async () => {
    const publisher = await gateway.connect();
    for (let i = 0; i < 10; i++) await publisher.publishAsync(`t/${i}`, 'x', kept);
    const subscriber = await gateway.connect();
    const received = collect(subscriber);
    gateway.retained.isHeld = true;
    await subscriber.subscribeAsync('t/#', { qos: 1 });
    await until(() => gateway.retained.asked.length === 1);
    gateway.retained.isHeld = false;
    gateway.retained.release();
    await count(received, 10);
    expect(gateway.retained.asked.length).toBe(4);
    gateway.retained.isHeld = true;
    await subscriber.subscribeAsync('t/#', { qos: 1 });
    await until(() => gateway.retained.asked.length === 5);
    await subscriber.unsubscribeAsync('t/#');
    gateway.retained.release();
    await subscriber.publishAsync('end', '', { qos: 1 });
    expect(received.length).toBe(10);
  });

  test('what cannot be read now comes when it can, once, without what came live meanwhile; others do not wait for it', async () => {
    const publisher = await gateway.connect();
    for (const topic of ['t/1', 't/2', 't/3', 'u']) await publisher.publishAsync(topic, 'old', kept);
    const subscriber = await gateway.connect();
    const received = collect(subscriber);
    const { retained } = gateway;
    retained.pageRecords = 1;
    retained.isHeld = true;
    await subscriber.subscribeAsync('t/#', { qos: 1 });
    await until(() => retained.asked.length === 1);
    retained.release();
    // Behind the first page.
    retained.unreached.add('t/#').add('t/3');
    await until(() => retained.stalled === 1);
    await subscriber.subscribeAsync(['t/3', 'u'], { qos: 1 });
    await count(received, 2);
    await publisher.publishAsync('t/1', 'new', { qos: 1 });
    const old = retained.records.get('t/2') as Uint8Array;
    await publisher.publishAsync('t/2', 'new', kept);
    retained.records.set('t/2', old);
    await subscriber.unsubscribeAsync('t/3');
    retained.reached();
    await publisher.publishAsync('t/4', 'end', { qos: 1 });
    await count(received, 6);
    const texts = received.map(
      ({ topic, payload, packet }) => `${topic} ${payload}${packet.retain ? ', retained' : ''}`,
    );
    expect(texts.slice(0, 4)).toEqual(['t/1 old, retained', 'u old, retained', 't/1 new', 't/2 new']);
    expect(texts.slice(4).sort()).toEqual(['t/3 old, retained', 't/4 end']);
  });

  test('thousands of subscriptions of one client are read a few at a time, and stopped without a walk over all', async () => {
    const publisher = await gateway.connect();
    await publisher.publishAsync('many/2999', 'last', kept);
    const client = await gateway.connect();
    const received = collect(client);
    gateway.retained.isHeld = true;
    const filters = Array.from({ length: 3_000 }, (_, i) => `many/${i}`);
    await client.subscribeAsync(filters, { qos: 1 });
    await until(() => gateway.retained.asked.length === 8);
    await client.unsubscribeAsync(filters.slice(0, 2_990));
    gateway.retained.release();
    await count(received, 1);
    // Those that were stopped before their turn were never asked for.
    expect(gateway.retained.asked.length).toBe(18);
  });

  test('what a client may not hold beside what it has not acknowledged waits for its acknowledgements', async () => {
    await gateway.stop();
    gateway = await TestGateway.start({ liveQueueBytesMax: 100_000 });
    const publisher = await gateway.connect();
    for (let i = 0; i < 8; i++) await publisher.publishAsync(`t/${i}`, Buffer.alloc(40_000), kept);
    const slow = await gateway.raw();
    await slow.hello('slow');
    const subscription = {
      filter: 't/+',
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const;
    slow.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [subscription] });
    expect((await slow.next()).type).toBe(PacketType.SUBACK);
    const topics: string[] = [];
    await until(
      () => slow.packets.length,
      (n) => n === 2,
    );
    while (topics.length < 8) {
      const { topic, packetId } = (await slow.next()) as PublishPacket;
      topics.push(topic);
      slow.send({ type: PacketType.PUBACK, packetId, reasonCode: 0 });
    }
    expect(topics).toEqual(Array.from({ length: 8 }, (_, i) => `t/${i}`));
    expect(gateway.counter('delivery_dropped_total', { reason: 'queue_full' })).toBe(0);
  });

  test('not to whom it is from, when it says No Local', async () => {
    const client = await gateway.connect({ clientId: 'me' });
    const other = await gateway.connect({ clientId: 'you' });
    await client.publishAsync('t/mine', 'x', kept);
    await other.publishAsync('t/yours', 'x', kept);
    const received = collect(client);
    await client.subscribeAsync('t/+', { qos: 1, nl: true });
    await count(received, 1);
    expect(received[0]?.topic).toBe('t/yours');
  });

  test('one that is too large is refused before anybody sees it; at QoS 0 it passes', async () => {
    await gateway.stop();
    gateway = await TestGateway.start({ retainedMessageBytesMax: 2_000 });
    const subscriber = await gateway.connect();
    const received = collect(subscriber);
    await subscriber.subscribeAsync('t', { qos: 1 });
    const publisher = await gateway.connect();
    await expect(publisher.publishAsync('t', 'x'.repeat(3_000), kept)).rejects.toMatchObject({ code: 0x97 });
    await publisher.publishAsync('t', 'y'.repeat(3_000), { qos: 0, retain: true });
    await count(received, 1);
    expect(received[0]?.payload[0]).toBe('y');
    expect(gateway.retained.records.size).toBe(0);
  });
});

describe('over gateways, a message of somebody else comes live while it is read', () => {
  let cluster: TestCluster;
  let received: Received[];
  let subscriber: MqttClient;
  let elsewhere: MqttClient;
  beforeEach(async () => {
    cluster = await TestCluster.start(2);
    await until(() => cluster.at(1).gateway.counts().peers + cluster.at(2).gateway.counts().peers === 2);
    elsewhere = await cluster.at(2).connect({ clientId: 'elsewhere' });
  });
  afterEach(() => cluster.stop());

  const texts = (): [string, boolean][] => received.map(({ payload, packet }) => [payload, packet.retain]);

  /** Of what a new subscription reads no page comes; somebody else's message came live. Returns what had been stored. */
  async function subscribed(publish: () => Promise<void> | void = fromHere): Promise<Uint8Array> {
    await elsewhere.publishAsync('t', 'from elsewhere', kept);
    const stored = cluster.retained.records.get('t') as Uint8Array;
    cluster.retained.isHeld = true;
    subscriber = await cluster.at(1).connect();
    received = collect(subscriber);
    await subscriber.subscribeAsync('t', { qos: 1 });
    await until(() => cluster.retained.asked.length === 1);
    await publish();
    await count(received, 1);
    return stored;
  }

  async function fromHere(): Promise<void> {
    const here = await cluster.at(1).connect({ clientId: 'here' });
    await here.publishAsync('t', 'from here', kept);
  }

  test('and was stored before: what is there still is sent', async () => {
    const stored = await subscribed();
    cluster.retained.records.set('t', stored);
    cluster.retained.release();
    await count(received, 2);
    expect(texts()).toEqual([
      ['from here', false],
      ['from elsewhere', true],
    ]);
    expect(cluster.retained.asked).toEqual(['t', 't']);
  });

  test('and was stored behind it: nothing older is sent', async () => {
    const stored = await subscribed();
    const { records } = cluster.retained;
    const newer = records.get('t') as Uint8Array;
    records.set('t', stored);
    const isReadAgain = until(() => cluster.retained.asked.length === 2);
    cluster.retained.release();
    records.set('t', newer);
    await isReadAgain;
    await elsewhere.publishAsync('t', 'end', { qos: 1 });
    await count(received, 2);
    expect(texts()).toEqual([
      ['from here', false],
      ['end', false],
    ]);
  });

  test('and is not stored yet: that is waited for before it is read once more', async () => {
    const other = await cluster.at(2).connect({ clientId: 'other' });
    const stored = await subscribed(() => {
      cluster.at(2).durable.filters = ['t'];
      other.publish('t', 'on its way', kept);
    });
    const { records } = cluster.retained;
    const newer = records.get('t') as Uint8Array;
    records.set('t', stored);
    cluster.retained.release();
    // What it received asked for the question, whose answer waits.
    await subscriber.unsubscribeAsync('something else');
    expect(cluster.retained.asked).toEqual(['t']);
    records.set('t', newer);
    cluster.at(2).durable.stored[0]?.pending.complete(0);
    await until(() => cluster.retained.asked.length === 2);
    await elsewhere.publishAsync('t', 'end', { qos: 0 });
    await count(received, 2);
    expect(texts().map(([text]) => text)).toEqual(['on its way', 'end']);
  });
});

describe('over gateways, what another one has given to the stores, but they have not answered, is waited for', () => {
  let cluster: TestCluster;
  let client: MqttClient;
  beforeEach(async () => {
    cluster = await TestCluster.start(2);
    await until(() => cluster.at(1).gateway.counts().peers + cluster.at(2).gateway.counts().peers === 2);
    cluster.at(2).durable.filters = ['t'];
    client = await cluster.at(1).connect();
  });
  afterEach(() => cluster.stop());

  /** Live it has gone out; in the stores nobody reads it before they answer. */
  async function publishedElsewhere(): Promise<{ stored: () => void }> {
    const { durable } = cluster.at(2);
    const publisher = await cluster.at(2).connect();
    publisher.publish('t', 'on its way', kept);
    await until(() => durable.stored.length === 1);
    const { records } = cluster.retained;
    const record = records.get('t') as Uint8Array;
    records.clear();
    const stored = (): void => {
      records.set('t', record);
      durable.stored[0]?.pending.complete(0);
    };
    return { stored };
  }

  // A gateway that hangs is waited for a while only; one whose partition has no leader is no other.
  test('for as long as the partition could not be read', async () => {
    const { clock } = cluster.at(1);
    const received = collect(client);
    const { stored } = await publishedElsewhere();
    const { retained } = cluster;
    retained.unreached.add('t');
    await client.subscribeAsync('t', { qos: 1 });
    clock.shiftMs += 2 * STORED_WAIT_MS;
    await until(() => retained.stalled === 1);
    expect(cluster.at(1).counter('live_retained_unseen_total')).toBe(1);
    const asked = retained.asked.length;
    // It is led again, and what was under way is stored a moment later.
    retained.reached();
    await client.publishAsync('elsewhere', '', { qos: 1 });
    expect(retained.asked.length).toBe(asked);
    stored();
    await isSent(received);
  });

  async function isSent(received: readonly Received[]): Promise<void> {
    const retained = (): Received[] => received.filter(({ packet }) => packet.retain);
    await until(() => retained().length, Boolean);
    expect(retained()).toMatchObject([{ topic: 't', payload: 'on its way' }]);
  }

  test.each([
    ['is new', 'elsewhere'],
    ['lies within the filter of somebody else here', '#'],
  ])('where the filter %s', async (_case, other) => {
    await client.subscribeAsync(other, { qos: 1 });
    await cluster.routesAt(2, 1);
    await until(() => cluster.retained.asked.length === 1);
    const { stored } = await publishedElsewhere();
    const subscriber = await cluster.at(1).connect();
    const received = collect(subscriber);
    const subscribed = subscriber.subscribeAsync('t', { qos: 1 });
    await cluster.routesAt(2, 2);
    expect(cluster.retained.asked).toEqual([other]);
    stored();
    await subscribed;
    await isSent(received);
  });

  test.each([
    ['somebody else here has the filter', () => cluster.at(1).connect()],
    ['the client had the filter before', async () => client],
  ])('where %s', async (_case, who) => {
    await client.subscribeAsync('t', { qos: 1 });
    await until(() => cluster.retained.asked.length === 1);
    const { stored } = await publishedElsewhere();
    const subscriber = await who();
    const received = collect(subscriber);
    const opened = jest.spyOn(cluster.retained, 'open');
    await subscriber.subscribeAsync('t', { qos: 1 });
    // Whatever its SUBSCRIBE began has begun when this is answered.
    await subscriber.unsubscribeAsync('elsewhere');
    // It is counted among those that are read for.
    expect(opened).toHaveBeenCalledTimes(1);
    expect(cluster.retained.asked).toEqual(['t']);
    stored();
    await isSent(received);
  });
});
