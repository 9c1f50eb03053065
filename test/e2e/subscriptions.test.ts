import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { Queues } from './support/queues.ts';
import { numbered, settled, sorted } from './support/until.ts';

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

describe('what was published before anybody subscribed', () => {
  test.each([4, 5] as const)('is stored and delivered, MQTT version %i', async (version) => {
    const name = await queues.create({ topic_filter: `smoke${version}/#` });
    await publisher.publishAll(`smoke${version}/x`, numbered(100));
    expect((await queues.statistics(name)).depth_messages).toBe(100);
    const consumer = await Client.connect(server.mqtt, { version });
    expect(await consumer.subscribe(`$q/smoke${version}/#`)).toBe(0);
    expect(await consumer.texted(100)).toEqual(numbered(100));
    await queues.depth(name, 0);
    await consumer.close();
  });
});

describe('several queues on one topic', () => {
  test('each gets every message', async () => {
    await queues.create({ name: 'first', topic_filter: 'many/+' });
    await queues.create({ name: 'second', topic_filter: 'many/+' });
    await queues.create({ name: 'third', topic_filter: 'many/#' });
    await publisher.publishAll('many/x', numbered(10));
    for (const name of ['first', 'second', 'third']) {
      const consumer = await Client.connect(server.mqtt);
      await consumer.subscribe(`$queue/${name}`, 1);
      expect(await consumer.texted(10)).toEqual(numbered(10));
      await consumer.close();
      await queues.depth(name, 0);
    }
  });

  test('one of them refusing refuses the publish', async () => {
    await queues.create({ name: 'roomy', topic_filter: 'partly/full' });
    await queues.create({ name: 'full', topic_filter: 'partly/full', limits: { max_message_count: 1 } });
    await publisher.publish('partly/full', '1');
    await expect(publisher.publish('partly/full', '2')).rejects.toMatchObject({ code: 0x97 });
  });
});

describe('queues made by subscribing to them', () => {
  afterAll(() => queues.configure({ auto_create: { regular: false, lastvalue: false } }));

  test('off by default: the subscription waits', async () => {
    const consumer = await Client.connect(server.mqtt);
    await consumer.subscribe('$queue/unmade/auto/unmade');
    expect((await queues.names()).filter((name) => name === 'unmade')).toEqual([]);
    await consumer.close();
  });

  test('auto_create: a filter in the subscription makes the queue, once, whoever else asks for it', async () => {
    await queues.configure({ auto_create: { regular: { dispatch_strategy: 'round_robin' }, lastvalue: false } });
    const consumers = await Promise.all([Client.connect(server.mqtt), Client.connect(server.mqtt)]);
    for (const consumer of consumers) {
      expect(await consumer.subscribe('$queue/made/auto/+', 1)).toBe(1);
      await consumer.subscribe('$q/auto/filter');
    }
    await queues.exists('made', { topic_filter: 'auto/+', is_lastvalue: false, dispatch_strategy: 'round_robin' });
    await queues.exists('/auto/filter', { topic_filter: 'auto/filter' });
    await publisher.publishAll('auto/x', numbered(4));
    const texts = await Promise.all(consumers.map((consumer) => consumer.texted(2)));
    expect(sorted(texts.flat())).toEqual(sorted(numbered(4)));
    for (const consumer of consumers) await consumer.close();
  });

  test('auto_create of last-value queues keeps the newest of each client', async () => {
    await queues.configure({ auto_create: { regular: false, lastvalue: {} } });
    const device = await Client.connect(server.mqtt);
    await device.subscribe('$queue/newest/auto/newest', 1);
    await queues.exists('newest', { is_lastvalue: true, key_expression: 'message.from' });
    await device.close();
  });
});

describe('a queue that comes, goes and comes again', () => {
  test('subscribed before it exists: delivers once it does', async () => {
    const consumer = await Client.connect(server.mqtt);
    await consumer.subscribe('$q/later/#');
    await consumer.subscribe('$queue/named-later');
    await publisher.publish('later/1', 'too early');
    await queues.create({ topic_filter: 'later/#' });
    await queues.create({ name: 'named-later', topic_filter: 'named/later' });
    await publisher.publish('later/1', 'a');
    await publisher.publish('named/later', 'b');
    expect(sorted(await consumer.texted(2))).toEqual(['a', 'b']);
    await consumer.close();
  });

  test('deleted and re-created: no old messages, and the subscription recovers', async () => {
    const name = await queues.create({ name: 'phoenix', topic_filter: 'phoenix/#' });
    await publisher.publishAll('phoenix/x', numbered(5, 'old '));
    const consumer = await Client.connect(server.mqtt);
    await queues.remove(name);
    await consumer.subscribe('$queue/phoenix', 1);
    await publisher.publish('phoenix/x', 'lost');
    await queues.create({ name: 'phoenix', topic_filter: 'phoenix/#' });
    await publisher.publish('phoenix/x', 'new');
    expect(await consumer.texted(1)).toEqual(['new']);
    await queues.remove(name);
    await queues.create({ name: 'phoenix', topic_filter: 'phoenix/#' });
    await publisher.publish('phoenix/x', 'newer');
    expect(await consumer.texted(2)).toEqual(['new', 'newer']);
    expect(await settled(() => consumer.received.length)).toBe(2);
    await consumer.close();
  });

  test('deleted with messages in the hands of a worker: their acknowledgement harms nobody', async () => {
    await queues.create({ name: 'torn', topic_filter: 'torn' });
    const consumer = await Client.connect(server.mqtt, { workMs: 100 });
    await consumer.subscribe('$queue/torn', 1);
    await publisher.publishAll('torn', ['1', '2']);
    await consumer.texted(1);
    await queues.remove('torn');
    await queues.create({ name: 'torn', topic_filter: 'torn' });
    await publisher.publish('torn', 'new');
    await queues.depth('torn', 0);
    expect(consumer.texts).toContain('new');
    expect((await queues.statistics('torn')).accepted_total).toBe(1);
    await consumer.close();
  });

  test('a filter that is not the queue’s waits until it is', async () => {
    await queues.create({ name: 'conflicting', topic_filter: 'one/#' });
    const matching = await Client.connect(server.mqtt);
    const waiting = await Client.connect(server.mqtt);
    await matching.subscribe('$queue/conflicting/one/#', 1);
    await waiting.subscribe('$queue/conflicting/two/#', 1);
    await publisher.publish('one/x', 'to the first');
    expect(await matching.texted(1)).toEqual(['to the first']);
    expect(waiting.texts).toEqual([]);
    await queues.remove('conflicting');
    await queues.create({ name: 'conflicting', topic_filter: 'two/#' });
    await publisher.publish('two/x', 'to the second');
    expect(await waiting.texted(1)).toEqual(['to the second']);
    expect(matching.texts).toHaveLength(1);
    await Promise.all([matching.close(), waiting.close()]);
  });

  test('a name no queue can have is refused, instead of waiting for ever', async () => {
    const consumer = await Client.connect(server.mqtt);
    await expect(consumer.subscribe('$queue/-bad name-', 1)).rejects.toThrow('Topic Filter invalid');
    expect(consumer.isConnected).toBe(true);
    await consumer.close();
  });
});

describe('the QoS of a delivery', () => {
  test('is 1 for $q/, whatever was asked', async () => {
    await queues.create({ topic_filter: 'qos/legacy' });
    for (const qos of [0, 1, 2] as const) {
      const consumer = await Client.connect(server.mqtt, { version: qos === 2 ? 5 : 4 });
      expect(await consumer.subscribe('$q/qos/legacy', qos)).toBe(qos);
      await publisher.publish('qos/legacy', 'x', { qos: 2 });
      await consumer.texted(1);
      expect(consumer.received[0]?.qos).toBe(1);
      await queues.depth('/qos/legacy', 0);
      await consumer.close();
    }
  });

  test('is min(1, granted) for $queue/; at QoS 0 sent counts as accepted, and more than a window arrives', async () => {
    await queues.create({ name: 'graded', topic_filter: 'qos/named' });
    for (const qos of [0, 1, 2] as const) {
      const consumer = await Client.connect(server.mqtt);
      expect(await consumer.subscribe('$queue/graded', qos)).toBe(qos);
      await publisher.publishAll('qos/named', numbered(50));
      await consumer.texted(50);
      expect(new Set(consumer.received.map((message) => message.qos))).toEqual(new Set([Math.min(1, qos)]));
      await queues.depth('graded', 0);
      await consumer.close();
    }
  });
});

describe('a delivery carries', () => {
  test('the subscription identifier', async () => {
    await queues.create({ name: 'identified', topic_filter: 'id/#' });
    const consumer = await Client.connect(server.mqtt);
    await consumer.subscribe('$queue/identified', 1, 42);
    await publisher.publish('id/x', 'a');
    await consumer.texted(1);
    expect(consumer.received[0]?.properties.subscriptionIdentifier).toBe(42);
    await consumer.close();
  });

  test('its topic and user properties, no retain flag, no duplicate flag', async () => {
    await queues.create({ topic_filter: 'carry/+/x' });
    const consumer = await Client.connect(server.mqtt);
    await consumer.subscribe('$q/carry/+/x');
    await publisher.publish('carry/a/x', 'v', { retain: true, userProperties: { k: ['1', '2'], other: 'ü' } });
    await consumer.texted(1);
    expect(consumer.received[0]).toMatchObject({ topic: 'carry/a/x', retain: false, dup: false });
    expect({ ...consumer.received[0]?.properties.userProperties }).toEqual({ k: ['1', '2'], other: 'ü' });
    const late = await Client.connect(server.mqtt);
    await late.subscribe('carry/#', 1);
    await late.texted(1);
    expect(late.received[0]?.retain).toBe(true);
    await Promise.all([consumer.close(), late.close()]);
  });
});

describe('others who want the topic', () => {
  test('ordinary and shared subscribers get everything live, whatever the queue does', async () => {
    await queues.create({ topic_filter: 'crowd/#' });
    const connect = () => Client.connect(server.mqtt);
    const [ordinary, shareA, shareB, worker] = await Promise.all([connect(), connect(), connect(), connect()]);
    await ordinary.subscribe('crowd/+', 1);
    await shareA.subscribe('$share/g/crowd/#', 1);
    await shareB.subscribe('$share/g/crowd/#', 1);
    await worker.subscribe('$q/crowd/#');
    await publisher.publishAll('crowd/x', numbered(40));
    expect(sorted(await ordinary.texted(40))).toEqual(numbered(40));
    await settled(() => shareA.received.length + shareB.received.length);
    expect(sorted([...shareA.texts, ...shareB.texts])).toEqual(numbered(40));
    expect(await worker.texted(40)).toEqual(numbered(40));
    await Promise.all([ordinary, shareA, shareB, worker].map((client) => client.close()));
  });

  test('a wildcard on the first level does not take topics that begin with $', async () => {
    const name = await queues.create({ name: 'all', topic_filter: '#' });
    await publisher.publish('$internal/x', 'hidden');
    await publisher.publish('plain/x', 'seen');
    const texts = (await queues.peek(name)).map((message) => message.payload_text);
    await queues.remove(name);
    expect(texts).toEqual(['seen']);
  });
});

test('nothing comes after UNSUBSCRIBE, and the rest is for others', async () => {
  const name = await queues.create({ topic_filter: 'leaving' });
  const consumer = await Client.connect(server.mqtt);
  await consumer.subscribe('$q/leaving');
  await publisher.publish('leaving', '1');
  await consumer.texted(1);
  await consumer.unsubscribe('$q/leaving');
  await publisher.publish('leaving', '2');
  expect(await settled(() => consumer.received.length)).toBe(1);
  expect((await queues.statistics(name)).consumers).toBe(0);
  const next = await Client.connect(server.mqtt);
  await next.subscribe('$q/leaving');
  expect(await next.texted(1)).toEqual(['2']);
  await Promise.all([consumer.close(), next.close()]);
});

test('subscribing again, and by another name, adds what it should: one client may be two consumers', async () => {
  const name = await queues.create({ name: 'twice', topic_filter: 'twice' });
  const consumer = await Client.connect(server.mqtt);
  await consumer.subscribe('$queue/twice', 1);
  await consumer.subscribe('$queue/twice', 1);
  await queues.consumers(name, 1);
  await consumer.subscribe('$queue/twice/twice', 1);
  await queues.consumers(name, 2);
  await publisher.publishAll('twice', numbered(20));
  expect(sorted(await consumer.texted(20))).toEqual(numbered(20));
  expect(await settled(() => consumer.received.length)).toBe(20);
  await consumer.close();
});
