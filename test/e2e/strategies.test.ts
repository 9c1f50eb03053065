import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { Queues } from './support/queues.ts';
import { numbered, settled, sorted, until } from './support/until.ts';

let server: Broker;
let queues: Queues;
let publisher: Client;
let workers: HandClient[] = [];

beforeAll(async () => {
  server = await startBroker();
  queues = new Queues(server);
  publisher = await Client.connect(server.mqtt);
});

afterEach(() => {
  for (const worker of workers) worker.destroy();
  workers = [];
});

afterAll(async () => {
  await publisher?.close();
  await server?.dispose();
});

/** Workers that joined one after the other. */
async function join(name: string, count: number, receiveMaximum?: number): Promise<HandClient[]> {
  const joined: HandClient[] = [];
  for (let i = 0; i < count; i++) {
    const worker = await HandClient.connect(server.mqtt, receiveMaximum === undefined ? {} : { receiveMaximum });
    await worker.subscribe(`$queue/${name}`);
    workers.push(worker);
    joined.push(worker);
    await queues.consumers(name, workers.length);
  }
  return joined;
}

async function define(name: string, strategy: string, more: Record<string, unknown> = {}): Promise<void> {
  await queues.create({ name, topic_filter: name, dispatch_strategy: strategy, ...more });
}

const held = (...all: HandClient[]): number => all.reduce((sum, worker) => sum + worker.deliveries.length, 0);

test('random: of a hundred, each of two gets some and nobody gets one twice', async () => {
  await define('random', 'random', { local_max_inflight: 100 });
  const [a, b] = (await join('random', 2)) as [HandClient, HandClient];
  await publisher.publishAll('random', numbered(100));
  await until(() => held(a, b) === 100, 'all are delivered');
  expect(sorted([...a.texts, ...b.texts])).toEqual(numbered(100));
  expect(Math.min(a.texts.length, b.texts.length)).toBeGreaterThan(20);
});

test('round_robin: an exact cycle in the order of joining', async () => {
  await define('robin', 'round_robin');
  const [a, b] = (await join('robin', 2)) as [HandClient, HandClient];
  const c = await HandClient.connect(server.mqtt);
  await c.subscribe('$queue/robin/robin');
  workers.push(c);
  await queues.consumers('robin', 3);
  for (const text of numbered(6)) await publisher.publish('robin', text);
  await until(() => held(a, b, c) === 6, 'all are delivered');
  expect([a.texts, b.texts, c.texts]).toEqual([
    ['1', '4'],
    ['2', '5'],
    ['3', '6'],
  ]);
});

test('round_robin passes over who is full, and comes back to it', async () => {
  await define('full', 'round_robin', { local_max_inflight: 2 });
  const [a, b] = (await join('full', 2)) as [HandClient, HandClient];
  await publisher.publishAll('full', numbered(10));
  await settled(() => held(a, b));
  expect([a.texts, b.texts]).toEqual([
    ['1', '3'],
    ['2', '4'],
  ]);
  b.ack(0);
  b.ack(1);
  await b.received(4);
  expect(b.texts).toEqual(['2', '4', '5', '6']);
  a.ack(0);
  await a.received(3);
  expect(a.texts).toEqual(['1', '3', '7']);
});

test('least_inflight: two unacknowledged go one each, the next to the one that acknowledged', async () => {
  await define('least', 'least_inflight');
  const both = (await join('least', 2)) as [HandClient, HandClient];
  await publisher.publish('least', '1');
  await publisher.publish('least', '2');
  await until(() => both[0].deliveries.length === 1 && both[1].deliveries.length === 1, 'one each');
  for (const [i, text] of ['3', '4', '5'].entries()) {
    const worker = both[i % 2] as HandClient;
    worker.ack(worker.deliveries.length - 1);
    await until(async () => (await queues.statistics('least')).inflight_messages === 1, 'the acknowledgement counts');
    await publisher.publish('least', text);
    await until(() => worker.texts.includes(text), `${text} goes to the one that is free`);
  }
});

test('least_inflight: a burst is shared message by message, not a batch to one', async () => {
  await define('burst', 'least_inflight', { local_max_inflight: 100 });
  const three = await join('burst', 3);
  await publisher.publishAll('burst', numbered(90));
  await until(() => held(...three) === 90, 'all are delivered');
  expect(three.map((worker) => worker.texts.length)).toEqual([30, 30, 30]);
});

describe('the window', () => {
  test.each([
    ['local_max_inflight', 3, undefined, 3],
    ['Receive Maximum', 10, 2, 2],
    ['its default', undefined, undefined, 10],
  ] as const)('is the smaller of both: %s', async (what, inflight, receiveMaximum, window) => {
    const name = `window-${what.replace(/ /g, '-')}`;
    await define(name, 'random', inflight === undefined ? {} : { local_max_inflight: inflight });
    await publisher.publishAll(name, numbered(30));
    const [worker] = (await join(name, 1, receiveMaximum)) as [HandClient];
    expect(await settled(() => worker.deliveries.length)).toBe(window);
    worker.ack(0);
    await worker.received(window + 1);
    expect(await settled(() => worker.deliveries.length)).toBe(window + 1);
    expect((await queues.statistics(name)).inflight_messages).toBe(window);
    for (let n = 1; n < 30; n++) {
      await worker.received(n + 1);
      worker.ack(n);
    }
    await queues.depth(name, 0);
    expect(worker.texts).toEqual(numbered(30));
  });

  test('changed by PUT it holds from then on', async () => {
    await define('rewindowed', 'random', { local_max_inflight: 1 });
    const [worker] = (await join('rewindowed', 1)) as [HandClient];
    await publisher.publishAll('rewindowed', numbered(10));
    expect(await settled(() => worker.deliveries.length)).toBe(1);
    await queues.update('rewindowed', { local_max_inflight: 4 });
    await worker.received(4);
    expect(await settled(() => worker.deliveries.length)).toBe(4);
  });

  test('of a client with several queues is shared by them: it is assigned no more than it may be sent', async () => {
    await define('shared-a', 'random');
    await define('shared-b', 'random');
    const hoarder = await HandClient.connect(server.mqtt, { receiveMaximum: 4 });
    workers.push(hoarder);
    for (const name of ['shared-a', 'shared-b']) await hoarder.subscribe(`$queue/${name}`);
    for (const name of ['shared-a', 'shared-b']) await publisher.publishAll(name, numbered(10, `${name} `));
    await hoarder.received(4);
    expect(await settled(() => hoarder.deliveries.length)).toBe(4);
    const joiner = await Client.connect(server.mqtt);
    for (const name of ['shared-a', 'shared-b']) await joiner.subscribe(`$queue/${name}`, 1);
    await joiner.texted(16);
    // One of the two is left: the other may use all of the window.
    await hoarder.unsubscribe('$queue/shared-a');
    await joiner.close();
    for (let n = 0; n < 4; n++) hoarder.ack(n);
    await publisher.publishAll('shared-b', numbered(10, 'more '));
    await hoarder.received(8);
    expect(await settled(() => hoarder.deliveries.length)).toBe(8);
  });

  test('of a session is shared with ordinary messages: they hold queue messages back, and all arrive in the end', async () => {
    await define('busy', 'random');
    const [worker] = (await join('busy', 1, 3)) as [HandClient];
    await worker.subscribe('ordinary', 1);
    await publisher.publishAll('ordinary', numbered(3, 'o'));
    await worker.received(3);
    await publisher.publishAll('busy', numbered(3, 'q'));
    await settled(() => worker.deliveries.length);
    expect(worker.texts).toEqual(['o1', 'o2', 'o3']);
    for (let n = 0; n < 6; n++) {
      await worker.received(n + 1);
      worker.ack(n);
    }
    expect(worker.texts.slice(3)).toEqual(['q1', 'q2', 'q3']);
  });
});

test('a late joiner gets work at once while another holds its window', async () => {
  await define('late', 'random');
  await publisher.publishAll('late', numbered(50));
  const [hoarder] = (await join('late', 1)) as [HandClient];
  expect(await settled(() => hoarder.deliveries.length)).toBe(10);
  const joiner = await Client.connect(server.mqtt);
  await joiner.subscribe('$queue/late', 1);
  expect(sorted(await joiner.texted(40))).toEqual(numbered(50).slice(10));
  expect(hoarder.texts).toEqual(numbered(10));
  await joiner.close();
});

test('a slow worker holds no more than its window, the fast one takes the rest', async () => {
  await define('slow', 'least_inflight');
  const slow = await Client.connect(server.mqtt, { workMs: 600_000 });
  const fast = await Client.connect(server.mqtt);
  await slow.subscribe('$queue/slow', 1);
  await fast.subscribe('$queue/slow', 1);
  await publisher.publishAll('slow', numbered(200));
  await fast.texted(200 - 10);
  expect(slow.received.length).toBeLessThanOrEqual(10);
  slow.destroy();
  expect(new Set(await fast.texted(200 - slow.received.length))).toBeDefined();
  await queues.depth('slow', 0);
  await fast.close();
});

test('a strategy changed by PUT acts on the next message', async () => {
  await define('switched', 'round_robin');
  const [a, b] = (await join('switched', 2)) as [HandClient, HandClient];
  for (const text of numbered(4)) await publisher.publish('switched', text);
  await until(() => held(a, b) === 4, 'shared evenly');
  a.ackAll();
  await until(async () => (await queues.statistics('switched')).inflight_messages === 2, 'a is free');
  await queues.update('switched', { dispatch_strategy: 'least_inflight' });
  await publisher.publish('switched', '5');
  await publisher.publish('switched', '6');
  await a.received(4);
  expect(a.texts).toEqual(['1', '3', '5', '6']);
});

test('one consumer gets everything in the order of publishing', async () => {
  await define('ordered', 'random');
  const consumer = await Client.connect(server.mqtt);
  await consumer.subscribe('$queue/ordered', 1);
  const stored = numbered(500);
  await Promise.all([
    publisher.publishAll('ordered', stored),
    consumer.texted(500).then((texts) => expect(texts).toEqual(stored)),
  ]);
  await consumer.close();
});

// MQTT.js sends all of them without waiting: more than any Receive Maximum below its number of packet ids allows.
test('5,000 messages published in one go reach a new client whole and in order', async () => {
  await define('backlog', 'random');
  await publisher.publishAll('backlog', numbered(5000));
  const consumer = await Client.connect(server.mqtt);
  await consumer.subscribe('$queue/backlog', 1);
  expect(await consumer.texted(5000, 20_000)).toEqual(numbered(5000));
  await queues.depth('backlog', 0);
  await consumer.close();
});
