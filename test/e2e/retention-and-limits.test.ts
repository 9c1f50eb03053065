import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { Queues } from './support/queues.ts';
import { numbered, settled, until } from './support/until.ts';

let server: Broker;
let queues: Queues;
let publisher: Client;

beforeAll(async () => {
  server = await startBroker();
  queues = new Queues(server);
  publisher = await Client.connect(server.mqtt);
});

afterAll(async () => {
  await publisher?.close();
  await server?.dispose();
});

async function stored(name: string): Promise<string[]> {
  return (await queues.peek(name)).map(({ payload_text }) => payload_text);
}

describe('time', () => {
  test('what is older than the retention period is gone, what is newer is delivered', async () => {
    await queues.create({ name: 'aging', topic_filter: 'aging', data_retention_period: '2s' });
    const consumer = await Client.connect(server.mqtt);
    await publisher.publishAll('aging', numbered(10, 'old '));
    await queues.depth('aging', 0);
    expect((await queues.statistics('aging')).expired_total).toBe(10);
    await publisher.publishAll('aging', numbered(5, 'new '));
    await consumer.subscribe('$queue/aging', 1);
    expect(await consumer.texted(5)).toEqual(numbered(5, 'new '));
    expect(await settled(() => consumer.received.length)).toBe(5);
    await consumer.close();
  });

  test('a period made shorter acts on what is stored', async () => {
    await queues.create({ name: 'shortened', topic_filter: 'shortened', data_retention_period: '1h' });
    await publisher.publishAll('shortened', numbered(3));
    await queues.older('shortened', 1.1);
    expect((await queues.statistics('shortened')).depth_messages).toBe(3);
    await queues.update('shortened', { data_retention_period: '1s' });
    await queues.depth('shortened', 0);
  });

  test('what a worker holds when its time is over may still be acknowledged, and comes to nobody else', async () => {
    await queues.create({ name: 'held', topic_filter: 'held', data_retention_period: '2s' });
    const worker = await HandClient.connect(server.mqtt);
    const next = await Client.connect(server.mqtt);
    await worker.subscribe('$queue/held');
    await publisher.publish('held', '1');
    await worker.received(1);
    await queues.depth('held', 0);
    worker.ack(0);
    await publisher.publish('held', '2');
    await worker.received(2);
    worker.destroy();
    await next.subscribe('$queue/held', 1);
    expect(await next.texted(1)).toEqual(['2']);
    await next.close();
  });

  test('Message Expiry Interval: not delivered when it is over, else what is left of it', async () => {
    await queues.create({ name: 'expiring', topic_filter: 'expiring' });
    await publisher.publish('expiring', 'gone', { expirySeconds: 1 });
    await publisher.publish('expiring', 'left', { expirySeconds: 100 });
    await publisher.publish('expiring', 'for ever');
    await queues.older('expiring', 2.1);
    const consumer = await Client.connect(server.mqtt);
    await consumer.subscribe('$queue/expiring', 1);
    expect(await consumer.texted(2)).toEqual(['left', 'for ever']);
    const [left, forEver] = consumer.received.map(({ properties }) => properties.messageExpiryInterval);
    expect(left).toBeGreaterThanOrEqual(90);
    expect(left).toBeLessThanOrEqual(98);
    expect(forEver).toBeUndefined();
    await queues.depth('expiring', 0);
    expect((await queues.statistics('expiring')).expired_total).toBe(1);
    await consumer.close();
  });
});

describe('limits that refuse', () => {
  test('by count: 0x97 for MQTT 5, and again room once something is consumed', async () => {
    await queues.create({ name: 'counted', topic_filter: 'counted', limits: { max_shard_message_count: 3 } });
    await publisher.publishAll('counted', numbered(3));
    await expect(publisher.publish('counted', '4')).rejects.toMatchObject({ code: 0x97 });
    await expect(publisher.publish('counted', '4', { qos: 2 })).rejects.toMatchObject({ code: 0x97 });
    expect(await stored('counted')).toEqual(['1', '2', '3']);
    expect((await queues.statistics('counted')).refused_total).toBe(2);
    const worker = await HandClient.connect(server.mqtt);
    await worker.subscribe('$queue/counted');
    await worker.received(3);
    worker.ack(0);
    await queues.depth('counted', 2);
    await publisher.publish('counted', '5');
    expect(await worker.received(4)).toEqual(['1', '2', '3', '5']);
    worker.destroy();
  });

  test('MQTT 3.1.1 is disconnected instead, with what stood before acknowledged', async () => {
    await queues.create({ name: 'counted4', topic_filter: 'counted4', limits: { max_message_count: 2 } });
    const old = await Client.connect(server.mqtt, { version: 4 });
    await old.publishAll('counted4', numbered(2));
    void old.publish('counted4', '3').catch(() => {});
    await old.closed();
    expect(await stored('counted4')).toEqual(['1', '2']);
  });

  test('a publish at QoS 0 into a full queue is dropped and counted, the connection stays', async () => {
    await queues.create({ name: 'counted0', topic_filter: 'counted0', limits: { max_message_count: 1 } });
    const old = await Client.connect(server.mqtt, { version: 4 });
    await old.publish('counted0', '1');
    await old.publish('counted0', '2', { qos: 0 });
    await until(async () => (await queues.statistics('counted0')).refused_total === 1, 'it is counted');
    expect(old.isConnected).toBe(true);
    await old.close();
  });

  test('by bytes', async () => {
    await queues.create({ name: 'weighed', topic_filter: 'weighed', limits: { max_shard_message_bytes: '100KB' } });
    const large = Buffer.alloc(40 * 1024, 'x');
    await publisher.publish('weighed', large);
    await publisher.publish('weighed', large);
    await expect(publisher.publish('weighed', large)).rejects.toMatchObject({ code: 0x97 });
    await publisher.publish('weighed', 'a small one fits');
    expect((await queues.statistics('weighed')).depth_messages).toBe(3);
  });

  test('raised by PUT they let more in at once', async () => {
    await queues.create({ name: 'raised', topic_filter: 'raised', limits: { max_message_count: 1 } });
    await publisher.publish('raised', '1');
    await expect(publisher.publish('raised', '2')).rejects.toMatchObject({ code: 0x97 });
    await queues.update('raised', { limits: { max_message_count: 2 } });
    await publisher.publish('raised', '2');
  });

  test('of a last-value queue: a newer value of a known key always fits', async () => {
    const limits = { max_message_count: 2 };
    await queues.create({
      name: 'keyed',
      topic_filter: 'keyed',
      is_lastvalue: true,
      key_expression: 'substr(message.payload, 0, 1)',
      limits,
    });
    await publisher.publishAll('keyed', ['a1', 'b1', 'a2', 'b2']);
    await expect(publisher.publish('keyed', 'c1')).rejects.toMatchObject({ code: 0x97 });
    expect((await stored('keyed')).sort()).toEqual(['a2', 'b2']);
  });
});

describe('limits that drop the oldest', () => {
  test('by count: publishers are never refused, the newest remain', async () => {
    const limits = { max_message_count: 10, overflow: 'drop_oldest' };
    await queues.create({ name: 'sliding', topic_filter: 'sliding', limits });
    await publisher.publishAll('sliding', numbered(100));
    await queues.depth('sliding', 10);
    expect(await stored('sliding')).toEqual(numbered(100).slice(90));
    expect((await queues.statistics('sliding')).dropped_total).toBe(90);
    const consumer = await Client.connect(server.mqtt);
    await consumer.subscribe('$queue/sliding', 1);
    expect(await consumer.texted(10)).toEqual(numbered(100).slice(90));
    await consumer.close();
  });

  test('by bytes', async () => {
    const limits = { max_message_bytes: '100KB', overflow: 'drop_oldest' };
    await queues.create({ name: 'sliding-bytes', topic_filter: 'sliding-bytes', limits });
    for (const text of numbered(5)) await publisher.publish('sliding-bytes', Buffer.alloc(40 * 1024, text));
    await queues.depth('sliding-bytes', 2);
    expect((await queues.statistics('sliding-bytes')).depth_bytes).toBeLessThan(100 * 1024);
  });

  test('lowered by PUT they act on what is stored', async () => {
    await queues.create({ name: 'lowered', topic_filter: 'lowered' });
    await publisher.publishAll('lowered', numbered(20));
    await queues.update('lowered', { limits: { max_message_count: 5, overflow: 'drop_oldest' } });
    await queues.depth('lowered', 5);
    expect(await stored('lowered')).toEqual(numbered(20).slice(15));
  });

  test('what a worker holds may be dropped; its answer is stale and harmless', async () => {
    const limits = { max_message_count: 2, overflow: 'drop_oldest' };
    await queues.create({ name: 'dropped-held', topic_filter: 'dropped-held', limits });
    await publisher.publishAll('dropped-held', ['1', '2']);
    const worker = await HandClient.connect(server.mqtt);
    await worker.subscribe('$queue/dropped-held');
    await worker.received(2);
    await publisher.publishAll('dropped-held', ['3', '4']);
    await worker.received(4);
    worker.ackAll();
    await queues.depth('dropped-held', 0);
    expect(await queues.statistics('dropped-held')).toMatchObject({ accepted_total: 2, dropped_total: 2 });
    worker.destroy();
  });
});
