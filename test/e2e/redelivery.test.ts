import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { PAHO, testWith } from '../harness/left-out.ts';
import { PahoClient } from '../harness/paho.ts';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { Queues } from './support/queues.ts';
import { numbered, settled, sorted, until } from './support/until.ts';

const REFUSED = 0x83;
/** Beyond every wait here: what comes although the interval is this one, came without waiting for it. */
const NEVER = '1h';

let server: Broker;
let queues: Queues;
let publisher: Client;
let workers: HandClient[] = [];
let name = '';

beforeAll(async () => {
  server = await startBroker();
  queues = new Queues(server);
  publisher = await Client.connect(server.mqtt);
});

beforeEach(() => {
  name = `q-${randomUUID()}`;
});

afterEach(() => {
  for (const worker of workers) worker.destroy();
  workers = [];
});

afterAll(async () => {
  await publisher?.close();
  await server?.dispose();
});

async function define(more: Record<string, unknown> = {}): Promise<void> {
  await queues.create({ name, topic_filter: name, dispatch_strategy: 'round_robin', ...more });
}

async function join(version: 4 | 5 = 5): Promise<HandClient> {
  const worker = await HandClient.connect(server.mqtt, { version });
  await worker.subscribe(`$queue/${name}`);
  workers.push(worker);
  await queues.consumers(name, workers.length);
  return worker;
}

describe('PUBACK with an error code', () => {
  test.each(['random', 'round_robin', 'least_inflight'])(
    '%s: moves the message to the other at once, whatever the interval, with its count',
    async (strategy) => {
      await define({ dispatch_strategy: strategy, redispatch_interval: NEVER });
      const both = [await join(), await join()];
      await publisher.publish(name, 'poison');
      await until(() => both.some((worker) => worker.deliveries.length === 1), 'somebody has it');
      const rejecter = both.find((worker) => worker.deliveries.length === 1) as HandClient;
      const other = both.find((worker) => worker !== rejecter) as HandClient;
      expect(rejecter.deliveries[0]?.count).toBe(1);
      rejecter.ack(0, REFUSED);
      await other.received(1);
      expect(other.deliveries[0]).toMatchObject({ text: 'poison', count: 2 });
      expect(other.deliveries[0]?.packet.dup).toBe(false);
      other.ack(0);
      await queues.depth(name, 0);
      expect((await queues.statistics(name)).returned_total).toBe(1);
      expect(rejecter.deliveries).toHaveLength(1);
    },
  );

  test('the same from MQTT.js, with the reason code its users choose', async () => {
    await define({ redispatch_interval: NEVER });
    const refusing = await Client.connect(server.mqtt, { answer: () => REFUSED });
    await refusing.subscribe(`$queue/${name}`, 1);
    await queues.consumers(name, 1);
    const taking = await Client.connect(server.mqtt);
    await taking.subscribe(`$queue/${name}`, 1);
    await queues.consumers(name, 2);
    await publisher.publishAll(name, numbered(10));
    expect(sorted(await taking.texted(10))).toEqual(numbered(10));
    await queues.depth(name, 0);
    const again = taking.received.filter(({ properties }) => properties.userProperties !== undefined);
    for (const { properties } of again) expect(properties.userProperties?.['sluice-delivery-count']).toBe('2');
    expect(again).toHaveLength(refusing.received.length);
    await Promise.all([refusing.close(), taking.close()]);
  });

  test('a sole rejecter gets it again, not before redispatch_interval, and is counted every time', async () => {
    // Of two that differ by nothing else, one waits for longer than the other takes for all its turns.
    const slow = name;
    await define({ redispatch_interval: NEVER });
    const waiting = await join();
    await publisher.publish(slow, 'poison');
    await waiting.received(1);
    waiting.ack(0, REFUSED);
    name = `${slow}-quick`;
    workers = [];
    await define({ redispatch_interval: '300ms' });
    const worker = await join();
    workers.push(waiting);
    await publisher.publish(name, 'poison');
    for (let n = 0; n < 3; n++) {
      await worker.received(n + 1);
      worker.ack(n, REFUSED);
    }
    await worker.received(4);
    expect(worker.deliveries.map(({ count }) => count)).toEqual([1, 2, 3, 4]);
    expect((await queues.statistics(name)).depth_messages).toBe(1);
    expect(waiting.deliveries.map(({ count }) => count)).toEqual([1]);
    expect(await queues.statistics(slow)).toMatchObject({ depth_messages: 1, returned_total: 1 });
  });

  test('a poison message holds up nobody else', async () => {
    await define({ redispatch_interval: '50ms', local_max_inflight: 1 });
    const worker = await join();
    await publisher.publishAll(name, ['poison', ...numbered(5)]);
    const done: string[] = [];
    for (let n = 0; done.length < 5; n++) {
      await worker.received(n + 1);
      const text = worker.texts[n] as string;
      if (text !== 'poison') done.push(text);
      worker.ack(n, text === 'poison' ? REFUSED : 0);
    }
    expect(done).toEqual(numbered(5));
  });

  test('an acknowledgement given twice, or for another packet, changes nothing', async () => {
    await define();
    const worker = await join();
    await publisher.publishAll(name, ['1', '2']);
    await worker.received(2);
    worker.ack(0);
    worker.ack(0);
    await queues.depth(name, 1);
    expect((await queues.statistics(name)).accepted_total).toBe(1);
    expect(worker.isClosed).toBe(false);
  });
});

describe('a worker that goes', () => {
  const WAYS: [string, (worker: HandClient) => unknown][] = [
    ['DISCONNECT', (worker) => worker.close()],
    ['UNSUBSCRIBE', (worker) => worker.unsubscribe(`$queue/${name}`)],
    ['a socket that breaks', (worker) => worker.destroy()],
  ];

  test.each(WAYS)('%s: what it held is with the others at once, counted', async (_way, leave) => {
    await define({ redispatch_interval: NEVER });
    await publisher.publishAll(name, numbered(5));
    const leaving = await join();
    await leaving.received(5);
    leaving.ack(0);
    const staying = await join();
    leave(leaving);
    expect(await staying.received(4)).toEqual(['2', '3', '4', '5']);
    expect(staying.deliveries.map(({ count }) => count)).toEqual([2, 2, 2, 2]);
    staying.ackAll();
    await queues.depth(name, 0);
  });

  test.each([4, 5] as const)('MQTT version %i, nobody else there: the next who comes gets it', async (version) => {
    await define();
    await publisher.publishAll(name, numbered(3));
    const leaving = await join(version);
    await leaving.received(3);
    leaving.destroy();
    workers = [];
    await queues.consumers(name, 0);
    const next = await join(version);
    expect(await next.received(3)).toEqual(numbered(3));
    // MQTT 3.1.1 has no properties to say it with.
    expect(next.deliveries.map(({ count }) => count)).toEqual(version === 5 ? [2, 2, 2] : [1, 1, 1]);
  });

  testWith(PAHO, 'SIGKILL in the middle of a job: another gets the job at once', async () => {
    await define({ dispatch_strategy: 'least_inflight', redispatch_interval: NEVER });
    const dying = await PahoClient.connect({ ...server.mqtt, clientId: 'dying', version: 4 });
    dying.work(60);
    await dying.subscribe(`$queue/${name}`, 1);
    await publisher.publishAll(name, numbered(3));
    await dying.received(1);
    const living = await Client.connect(server.mqtt);
    await living.subscribe(`$queue/${name}`, 1);
    await dying.kill();
    expect(sorted(await living.texted(3))).toEqual(numbered(3));
    await living.close();
  });

  test('a client that is offline gets nothing and keeps nothing from others', async () => {
    await define();
    const session = { clientId: 'offline', sessionExpirySeconds: 60, clean: false };
    const offline = await Client.connect(server.mqtt, session);
    await offline.subscribe(`$queue/${name}`, 1);
    const staying = await Client.connect(server.mqtt);
    await staying.subscribe(`$queue/${name}`, 1);
    await queues.consumers(name, 2);
    offline.destroy();
    await queues.consumers(name, 1);
    await publisher.publishAll(name, numbered(10));
    expect(await staying.texted(10)).toEqual(numbered(10));
    await staying.close();
  });
});

test('a late acknowledgement for what others have by now is ignored', async () => {
  await define();
  const worker = await join();
  await publisher.publish(name, '1');
  await worker.received(1);
  await worker.unsubscribe(`$queue/${name}`);
  const [other] = [await HandClient.connect(server.mqtt)];
  workers.push(other);
  await other.subscribe(`$queue/${name}`);
  await other.received(1);
  worker.ack(0);
  await settled(() => other.deliveries.length);
  expect((await queues.statistics(name)).depth_messages).toBe(1);
  other.ack(0);
  await queues.depth(name, 0);
});

test('only the last of a hundred is acknowledged: ninety-nine come back, in order', async () => {
  await define({ local_max_inflight: 100 });
  await publisher.publishAll(name, numbered(100));
  const worker = await join();
  await worker.received(100);
  worker.ack(99);
  await queues.depth(name, 99);
  worker.destroy();
  workers = [];
  const next = await join();
  expect(await next.received(99)).toEqual(numbered(99));
});

test('a client that takes its own session over starts anew, nothing is lost or held twice', async () => {
  await define();
  await publisher.publishAll(name, numbered(3));
  const first = await HandClient.connect(server.mqtt, { clientId: 'same' });
  await first.subscribe(`$queue/${name}`);
  await first.received(3);
  const second = await HandClient.connect(server.mqtt, { clientId: 'same' });
  await until(() => first.isClosed, 'the first is put out');
  await second.subscribe(`$queue/${name}`);
  expect(await second.received(3)).toEqual(numbered(3));
  second.ackAll();
  await queues.depth(name, 0);
  second.destroy();
});
