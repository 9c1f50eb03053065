import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Broker, isCluster, startBroker, type Which } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { Queues } from './support/queues.ts';
import { numbered, settled, until } from './support/until.ts';

let server: Broker;
let queues: Queues;

beforeEach(async () => {
  server = await startBroker();
  queues = new Queues(server);
});

afterEach(() => server?.dispose());

async function publishAll(
  topic: string,
  texts: readonly string[],
  userProperties?: Record<string, string>,
): Promise<void> {
  const publisher = await Client.connect(server.mqtt);
  await publisher.publishAll(topic, texts, userProperties === undefined ? {} : { userProperties });
  await publisher.close();
}

/** A cluster is more than one process: all of them may end, or one. */
const WHICH: readonly Which[] = isCluster() ? ['one', 'all'] : ['all'];

describe.each(WHICH.flatMap((which) => [['SIGTERM', which] as const, ['SIGKILL', which] as const]))(
  'after %s of %s',
  (signal, which) => {
    const restart = async (): Promise<void> => {
      if (signal === 'SIGTERM') await server.stop(which);
      await server.restart(which);
    };

    test('definitions, messages, their order and the figures are as they were', async () => {
      const regular = { topic_filter: 'jobs', dispatch_strategy: 'least_inflight', data_retention_period: '1h' };
      await queues.create({ ...regular, limits: { max_message_count: 150 } });
      await queues.create({
        name: 'commands',
        topic_filter: 'c/#',
        is_lastvalue: true,
        key_expression: 'message.topic',
      });
      await queues.create({ name: 'removed', topic_filter: 'jobs' });
      await publishAll('jobs', numbered(100));
      await publishAll('c/1', ['old', 'new']);
      await queues.remove('removed');
      const before = await server.rest().get('/api/v5/message_queues/queues');
      const figures = await queues.statistics('/jobs');
      await restart();
      expect((await server.rest().get('/api/v5/message_queues/queues')).body).toEqual(before.body);
      const { lag_seconds: _before, ...same } = figures;
      const { lag_seconds: _after, ...again } = await queues.statistics('/jobs');
      const timeless = (all: object): object =>
        Object.fromEntries(Object.entries(all).filter(([name]) => !/age|oldest|leader/.test(name)));
      expect(timeless(again)).toEqual(timeless(same));
      const consumer = await Client.connect(server.mqtt);
      await consumer.subscribe('$q/jobs');
      expect(await consumer.texted(100)).toEqual(numbered(100));
      const device = await Client.connect(server.mqtt);
      await device.subscribe('$queue/commands', 1);
      expect(await device.texted(1)).toEqual(['new']);
      expect(await settled(() => device.received.length)).toBe(1);
      await Promise.all([consumer.close(), device.close()]);
    });

    test('what was given back before is counted, what was acknowledged does not come again', async () => {
      await queues.create({ name: 'counted', topic_filter: 'counted' });
      await publishAll('counted', numbered(5));
      const worker = await HandClient.connect(server.mqtt);
      await worker.subscribe('$queue/counted');
      await worker.received(5);
      worker.ack(2);
      await queues.depth('counted', 4);
      worker.destroy();
      await until(async () => (await queues.statistics('counted')).returned_total === 4, 'it is written down');
      await restart();
      const next = await HandClient.connect(server.mqtt);
      await next.subscribe('$queue/counted');
      expect(await next.received(4)).toEqual(['1', '2', '4', '5']);
      expect(next.deliveries.map(({ count }) => count)).toEqual([2, 2, 2, 2]);
      expect(await settled(() => next.deliveries.length)).toBe(4);
      next.destroy();
    });

    test('keys of last-value queues still supersede, limits still hold, new offsets follow the old', async () => {
      await queues.create({ name: 'lv', topic_filter: 'lv', is_lastvalue: true, key_expression: 'message.topic' });
      await queues.create({ name: 'two', topic_filter: 'two', limits: { max_message_count: 2 } });
      await publishAll('lv', ['before']);
      await publishAll('two', ['1', '2']);
      await restart();
      await publishAll('lv', ['after']);
      expect((await queues.peek('lv')).map(({ payload_text, offset }) => [payload_text, offset])).toEqual([
        ['after', 1],
      ]);
      await expect(publishAll('two', ['3'])).rejects.toMatchObject({ code: 0x97 });
    });
  },
);

test('SIGTERM right after the last acknowledgement: nothing that was acknowledged comes again', async () => {
  await queues.create({ name: 'orderly', topic_filter: 'orderly' });
  await publishAll('orderly', numbered(200));
  const worker = await HandClient.connect(server.mqtt);
  await worker.subscribe('$queue/orderly');
  for (let n = 0; n < 200; n++) {
    await worker.received(n + 1);
    worker.ack(n);
  }
  // Behind the acknowledgements on the same connection: when it is answered, they were read.
  await worker.unsubscribe('$queue/orderly');
  await server.stop();
  await server.restart();
  expect((await queues.statistics('orderly')).depth_messages).toBe(0);
});

test('SIGTERM drains: it answers what it has accepted, tells MQTT 5 clients why, and exits with 0', async () => {
  await queues.create({ name: 'drained', topic_filter: 'drained' });
  const publisher = await Client.connect(server.mqtt);
  let acknowledged = 0;
  const all = numbered(500).map((text) =>
    publisher.publish('drained', text).then(
      () => acknowledged++,
      () => {},
    ),
  );
  await until(() => acknowledged > 0, 'the first is acknowledged');
  await server.stop();
  void all;
  await until(() => !publisher.isConnected, 'the client is told');
  await server.restart();
  const { depth_messages: depth } = await queues.statistics('drained');
  expect(depth).toBeGreaterThanOrEqual(acknowledged);
  publisher.destroy();
});

test('subscribers of before come back by themselves to a queue that goes on', async () => {
  await queues.create({ topic_filter: 'ongoing' });
  await publishAll('ongoing', ['1']);
  await server.restart();
  await publishAll('ongoing', ['2']);
  await server.restart();
  const consumer = await Client.connect(server.mqtt, { version: 4 });
  await consumer.subscribe('$q/ongoing');
  expect(await consumer.texted(2)).toEqual(['1', '2']);
  await consumer.close();
});
