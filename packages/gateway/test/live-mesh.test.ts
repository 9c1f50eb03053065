import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import { iterateRecords } from '@sluice/queue/record/record-batch';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { LiveRequest, LiveResponse, LiveRoute } from '@sluice/rpc/contract/live';
import type { Channel } from '@sluice/rpc/transport';
import { recordOf } from '../src/live/forwarded-message.ts';
import { TestCluster } from './doubles/test-cluster.ts';
import { collect, type Received, until } from './doubles/test-gateway.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const drops = (nodeId: number, reason: string): number =>
  cluster.at(nodeId).counter('live_forward_dropped_total', { reason });
const forwarded = (nodeId: number): number => cluster.at(nodeId).counter('live_forwarded_total');
const payloads = (received: readonly Received[]): string[] => received.map((each) => each.payload);
const atLeast =
  (wanted: number) =>
  (count: number): boolean =>
    count >= wanted;

describe('two gateways', () => {
  beforeEach(async () => {
    cluster = await TestCluster.start(2);
  });

  test.each([0, 1, 2] as const)('subscribe at one, publish at the other, QoS %d, everything kept', async (qos) => {
    const subscriber = await cluster.at(1).connect();
    const received = collect(subscriber);
    await subscriber.subscribeAsync('fleet/+/image', { qos: 2, rap: true } as never);
    const publisher = await cluster.at(2).connect({ clientId: 'camera' });
    const properties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 60,
      contentType: 'image/png',
      responseTopic: 'fleet/answers',
      correlationData: Buffer.from('c-1'),
      userProperties: { a: ['1', '2'], b: '3' },
    };
    await publisher.publishAsync('fleet/7/image', 'pixels', { qos, properties });
    await until(() => received.length, atLeast(1));
    const { packet, topic, payload } = received[0] as Received;
    expect([topic, payload, packet.qos, packet.retain, packet.dup]).toEqual([
      'fleet/7/image',
      'pixels',
      qos,
      false,
      false,
    ]);
    expect({ ...packet.properties }).toEqual({ ...properties, userProperties: { ...properties.userProperties } });
  });

  test('the publisher is told that there are subscribers, also when they are elsewhere', async () => {
    const subscriber = await cluster.at(1).connect();
    await subscriber.subscribeAsync('t', { qos: 1 });
    const raw = await cluster.at(2).raw();
    await raw.hello('p');
    const packet = { type: PacketType.PUBLISH, payload: new Uint8Array(1), qos: 1, retain: false, dup: false } as const;
    raw.send({ ...packet, topic: 't', packetId: 1 });
    expect(await raw.next()).toMatchObject({ type: PacketType.PUBACK, reasonCode: 0 });
    raw.send({ ...packet, topic: 'other', packetId: 2 });
    expect(await raw.next()).toMatchObject({ type: PacketType.PUBACK, reasonCode: 0x10 });
  });

  test('what is published right after SUBACK arrives, also for a hundred filters in a row', async () => {
    const subscriber = await cluster.at(1).connect();
    const received = collect(subscriber);
    const publisher = await cluster.at(2).connect();
    for (let i = 0; i < 100; i++) {
      await subscriber.subscribeAsync(`t/${i}`, { qos: 1 });
      await publisher.publishAsync(`t/${i}`, String(i), { qos: 1 });
    }
    await until(() => received.length, atLeast(100));
    expect(payloads(received)).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
  });

  test('one message a gateway, whatever the number of its subscribers, and none where nobody wants it', async () => {
    const one = collect(await subscribed(1, 'a/#'));
    const two = collect(await subscribed(1, 'a/b'));
    const publisher = await cluster.at(2).connect();
    await publisher.publishAsync('a/b', '1', { qos: 1 });
    await publisher.publishAsync('x', '2', { qos: 1 });
    await until(() => one.length + two.length, atLeast(2));
    expect(forwarded(2)).toBe(1);
    expect(cluster.at(1).counter('live_received_total')).toBe(1);
    expect(cluster.at(1).counter('live_received_bytes_total')).toBe(
      cluster.at(2).counter('live_forwarded_bytes_total'),
    );
  });

  test('routes are counted over clients: the last one takes them along', async () => {
    const first = await subscribed(1, 'a');
    const second = await subscribed(1, 'a');
    await cluster.routesAt(2, 1);
    await first.unsubscribeAsync('a');
    await second.subscribeAsync('b');
    await cluster.routesAt(2, 2);
    await second.endAsync();
    await cluster.routesAt(2, 0);
  });

  test('a filter that comes and goes in one turn leaves nobody waiting', async () => {
    const raw = await cluster.at(1).raw();
    await raw.hello('x');
    const options = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    raw.socket.cork();
    raw.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [{ filter: 'a', ...options }] });
    raw.send({ type: PacketType.UNSUBSCRIBE, packetId: 2, filters: ['a'] });
    raw.socket.uncork();
    expect(await raw.next()).toMatchObject({ type: PacketType.SUBACK, packetId: 1 });
    expect(await raw.next()).toMatchObject({ type: PacketType.UNSUBACK, packetId: 2 });
    expect(cluster.at(1).counter('live_routes_unseen_total')).toBe(0);
    await cluster.routesAt(2, 0);
  });

  test('an answer finds its way to a filter that was subscribed without waiting for SUBACK', async () => {
    const responder = await subscribed(2, 'ask');
    responder.on('message', (_topic, payload) => void responder.publishAsync(payload.toString(), 'answer', { qos: 1 }));
    const asker = await cluster.at(1).connect();
    const received = collect(asker);
    const subscribing = asker.subscribeAsync('answers/1', { qos: 1 });
    await asker.publishAsync('ask', 'answers/1', { qos: 0 });
    await until(() => received.length, atLeast(1));
    expect(payloads(received)).toEqual(['answer']);
    await subscribing;
  });

  test('nothing circles, and the queues get it only where it was published', async () => {
    cluster.at(1).durable.filters = ['#'];
    cluster.at(2).durable.filters = ['#'];
    cluster.at(2).durable.autoCommit = 0;
    const received = collect(await subscribed(1, 't'));
    const alsoThere = collect(await subscribed(2, 't'));
    const publisher = await cluster.at(2).connect();
    await publisher.publishAsync('t', '1', { qos: 1 });
    await publisher.publishAsync('t', '2', { qos: 1 });
    await until(() => received.length + alsoThere.length, atLeast(4));
    expect(payloads(received)).toEqual(['1', '2']);
    expect(cluster.at(2).durable.topics()).toEqual(['t', 't']);
    expect(cluster.at(1).durable.topics()).toEqual([]);
    expect(forwarded(1)).toBe(0);
  });

  test('No Local holds for what its client published at another gateway', async () => {
    const reader = await cluster.at(1).connect({ clientId: 'm' });
    await reader.subscribeAsync('t', { qos: 1, nl: true } as never);
    const received = collect(reader);
    const stranger = new Stranger(1);
    stranger.publish({ topic: 't', payload: 'own', publisher: 'm' }, { topic: 't', payload: 'other', publisher: 'o' });
    await until(() => received.length, atLeast(1));
    expect(payloads(received)).toEqual(['other']);
  });

  test('a copy for a group that has no member any more is dropped and counted, ordinary subscribers get theirs', async () => {
    const received = collect(await subscribed(1, 't'));
    new Stranger(1).publish({ topic: 't', payload: '1', shares: [{ share: 'g', filter: 't' }] });
    await until(() => received.length, atLeast(1));
    expect(drops(1, 'no_member')).toBe(1);
  });

  test('what is no message is dropped and counted, and the messages around it arrive', async () => {
    const received = collect(await subscribed(1, 't'));
    const stranger = new Stranger(1);
    stranger.publish({ topic: 't', payload: '1' });
    const shares: never[] = [];
    for (const record of [new Uint8Array(0), new Uint8Array(12), new Uint8Array(40).fill(255)]) {
      stranger.channel.send({ type: 'publish', messages: [{ record, qos: 0, retain: false, shares }] });
    }
    stranger.publish({ topic: 't', payload: '2' });
    await until(() => received.length, atLeast(2));
    expect(payloads(received)).toEqual(['1', '2']);
    expect(drops(1, 'invalid')).toBe(3);
  });

  test('a will fires at the other gateway, too', async () => {
    const received = collect(await subscribed(2, 'wills/+'));
    const raw = await cluster.at(1).raw();
    await raw.hello('x', { will: { topic: 'wills/x', payload: Buffer.from('bye'), qos: 1, retain: false } });
    raw.destroy();
    await until(() => received.length, atLeast(1));
    expect(received[0]).toMatchObject({ topic: 'wills/x', payload: 'bye' });
  });

  test('retained messages are at every gateway, and are removed at every gateway', async () => {
    const publisher = await cluster.at(2).connect();
    await publisher.publishAsync('r', 'kept', { qos: 1, retain: true, properties: { contentType: 'text' } });
    await until(
      () => cluster.retained.records.size,
      (n) => n === 1,
    );
    const subscriber = await cluster.at(1).connect();
    const received = collect(subscriber);
    await subscriber.subscribeAsync('r', { qos: 1 });
    await until(() => received.length, atLeast(1));
    expect(received[0]?.packet).toMatchObject({ retain: true, properties: { contentType: 'text' } });
    await publisher.publishAsync('r', '', { qos: 1, retain: true });
    await until(
      () => cluster.retained.records.size,
      (n) => n === 0,
    );
  });

  test('messages of one publisher keep their order, a large one among them', async () => {
    const received = collect(await subscribed(1, 't/#'));
    const publisher = await cluster.at(2).connect();
    const large = 'x'.repeat(700_000);
    const sent: Promise<unknown>[] = [];
    for (let i = 0; i < 300; i++)
      sent.push(publisher.publishAsync(`t/${i}`, i === 100 ? large : String(i), { qos: 1 }));
    await Promise.all(sent);
    await until(() => received.length, atLeast(300));
    expect(received.map((each) => each.topic)).toEqual(Array.from({ length: 300 }, (_, i) => `t/${i}`));
    expect(received[100]?.payload).toBe(large);
  });
});

describe('a peer that fails', () => {
  beforeEach(async () => {
    cluster = await TestCluster.start(2);
  });

  test('takes its routes along, and brings them back', async () => {
    const received = collect(await subscribed(1, 't'));
    const publisher = await cluster.at(2).connect();
    await publisher.publishAsync('t', 'before', { qos: 1 });
    await until(() => received.length, atLeast(1));
    cluster.network.break(1, 2);
    await cluster.routesAt(2, 0);
    await publisher.publishAsync('t', 'meanwhile', { qos: 1 });
    await cluster.routesAt(2, 1);
    await publisher.publishAsync('t', 'after', { qos: 1 });
    await until(() => received.length, atLeast(2));
    expect(payloads(received)).toEqual(['before', 'after']);
  });

  test('holds no SUBACK for longer than a moment, and then none at all', async () => {
    await until(() => cluster.at(1).gateway.counts().peers === 1);
    cluster.network.cut(1, 2);
    const subscriber = await cluster.at(1).connect();
    await subscriber.subscribeAsync('a');
    expect(cluster.at(1).counter('live_routes_unseen_total')).toBe(1);
    for (let i = 0; i < 20; i++) await subscriber.subscribeAsync(`a/${i}`);
    expect(cluster.at(1).counter('live_routes_unseen_total')).toBe(1);
    // And when it is back, a SUBACK means again what it says.
    cluster.network.heal(1, 2);
    await cluster.routesAt(2, 21);
    const received = collect(subscriber);
    const publisher = await cluster.at(2).connect();
    await subscriber.subscribeAsync('b', { qos: 1 });
    await publisher.publishAsync('b', '1', { qos: 1 });
    await until(() => received.length, atLeast(1));
  });

  test('changes no order: nothing comes before the SUBACK that waits for it, and all of it comes', async () => {
    cluster.network.cut(1, 2);
    const publisher = await cluster.at(1).connect();
    const raw = await cluster.at(1).raw();
    await raw.hello('x');
    const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    await publisher.publishAsync('t', 'kept', { qos: 1, retain: true });
    raw.send({ type: PacketType.PINGREQ });
    raw.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [{ filter: 't', ...options }] });
    raw.send({ type: PacketType.PINGREQ });
    await until(() => cluster.at(1).gateway.counts().liveSubscriptions === 1);
    await publisher.publishAsync('t', 'live', { qos: 0 });
    expect((await raw.next()).type).toBe(PacketType.PINGRESP);
    const types = [];
    for (let i = 0; i < 4; i++) types.push((await raw.next()).type);
    expect(types[0]).toBe(PacketType.SUBACK);
    expect(types.slice(1).sort((a, b) => a - b)).toEqual([PacketType.PUBLISH, PacketType.PUBLISH, PacketType.PINGRESP]);
  });

  test('that nobody names any more is forgotten', async () => {
    await subscribed(1, 't');
    await cluster.routesAt(2, 1);
    cluster.at(1).gateway.setPeers([1]);
    cluster.at(2).gateway.setPeers([2]);
    await until(() => cluster.network.openChannels === 0);
    await until(() => cluster.at(2).gateway.counts().remoteRoutes === 0 && cluster.at(2).gateway.counts().peers === 0);
  });

  test('is reached although only it knows of the other', async () => {
    cluster.at(1).gateway.setPeers([]);
    cluster.at(2).gateway.setPeers([]);
    await until(() => cluster.network.openChannels === 0);
    cluster.at(1).gateway.setPeers([1, 2]);
    const received = collect(await subscribed(1, 't'));
    const publisher = await cluster.at(2).connect();
    await publisher.publishAsync('t', '1', { qos: 1 });
    await until(() => received.length, atLeast(1));
  });
});

describe('shared groups over three gateways', () => {
  beforeEach(async () => {
    cluster = await TestCluster.start(3);
  });

  test('each message goes to exactly one member, evenly over the gateways', async () => {
    const members = await Promise.all([1, 2, 3].map((nodeId) => subscribed(nodeId, '$share/g/t')));
    const received = members.map(collect);
    // Ordinary subscribers get theirs beside it, once.
    const ordinary = collect(await subscribed(2, 't'));
    for (const nodeId of [1, 2, 3]) await cluster.routesAt(nodeId, nodeId === 2 ? 2 : 3);
    const publisher = await cluster.at(1).connect();
    for (let i = 0; i < 300; i++) void publisher.publishAsync('t', String(i), { qos: i % 2 === 0 ? 0 : 1 });
    await until(() => received.flat().length, atLeast(300));
    await until(() => ordinary.length, atLeast(300));
    expect(received.map((each) => each.length)).toEqual([100, 100, 100]);
    const all = received.flat().map((each) => Number(each.payload));
    expect(all.sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, i) => i));
    expect(ordinary.length).toBe(300);
  });

  test('several publishing gateways and two groups: each group has each message once', async () => {
    const groups = [
      [collect(await subscribed(1, '$share/g/t')), collect(await subscribed(2, '$share/g/t'))],
      [collect(await subscribed(2, '$share/h/t')), collect(await subscribed(3, '$share/h/t'))],
    ];
    await cluster.routesAt(1, 3);
    await cluster.routesAt(2, 2);
    await cluster.routesAt(3, 3);
    for (const nodeId of [1, 2, 3]) {
      const publisher = await cluster.at(nodeId).connect();
      for (let i = 0; i < 60; i++) void publisher.publishAsync('t', `${nodeId}/${i}`, { qos: 1 });
    }
    for (const group of groups) {
      await until(() => group.flat().length, atLeast(180));
      expect(new Set(payloads(group.flat())).size).toBe(180);
      expect(group.flat().length).toBe(180);
      for (const member of group) expect(member.length).toBeGreaterThan(60);
    }
  });

  test('a gateway whose members have gone gets no more; the others get all of it', async () => {
    const leaver = await subscribed(2, '$share/g/t');
    const stayer = collect(await subscribed(3, '$share/g/t'));
    await cluster.routesAt(1, 2);
    await leaver.unsubscribeAsync('$share/g/t');
    await cluster.routesAt(1, 1);
    const publisher = await cluster.at(1).connect();
    for (let i = 0; i < 10; i++) await publisher.publishAsync('t', String(i), { qos: 1 });
    await until(() => stayer.length, atLeast(10));
    expect(payloads(stayer)).toEqual(Array.from({ length: 10 }, (_, i) => String(i)));
    expect(drops(1, 'no_member') + drops(2, 'no_member')).toBe(0);
  });

  test('members of this gateway alone are dealt to as before', async () => {
    const members = [collect(await subscribed(1, '$share/g/t')), collect(await subscribed(1, '$share/g/t'))];
    const publisher = await cluster.at(1).connect();
    for (let i = 0; i < 10; i++) await publisher.publishAsync('t', String(i), { qos: 1 });
    await until(() => members.flat().length, atLeast(10));
    expect(members.map((each) => each.length)).toEqual([5, 5]);
    expect(forwarded(1)).toBe(0);
  });
});

async function subscribed(nodeId: number, filter: string) {
  const client = await cluster.at(nodeId).connect();
  await client.subscribeAsync(filter, { qos: 1 });
  return client;
}

/** A gateway that says whatever the test wants. */
class Stranger {
  readonly channel: Channel<LiveRequest, LiveResponse>;

  constructor(toNodeId: number) {
    this.channel = cluster.network.node(9).open(toNodeId, 'live');
    this.channel.send({ type: 'routes', version: 1, filters: [] });
  }

  publish(...messages: { topic: string; payload: string; publisher?: string; shares?: LiveRoute[] }[]): void {
    for (const { topic, payload, publisher = 'p', shares = [] } of messages) {
      const packet = { type: PacketType.PUBLISH, topic, payload: Buffer.from(payload), qos: 1, retain: false } as const;
      const builder = new RecordBatchBuilder();
      builder.add(recordOf(new PublishedMessage({ ...packet, dup: false, packetId: 0 }, publisher, 0), 0));
      const [record] = [...iterateRecords(builder.finish())];
      const bytes = Uint8Array.from(record?.encoded ?? []);
      this.channel.send({ type: 'publish', messages: [{ record: bytes, qos: 1, retain: false, shares }] });
    }
  }
}
