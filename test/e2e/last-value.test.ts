import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { Queues } from './support/queues.ts';
import { numbered, settled, sorted, until } from './support/until.ts';

const USER_KEY = 'message.headers.properties.User-Property.key';

let server: Broker;
let queues: Queues;
let publisher: Client;

beforeAll(async () => {
  server = await startBroker();
  queues = new Queues(server);
  publisher = await Client.connect(server.mqtt, { clientId: 'the-publisher' });
});

afterAll(async () => {
  await publisher?.close();
  await server?.dispose();
});

async function define(name: string, keyExpression?: string, more: Record<string, unknown> = {}): Promise<void> {
  const key = keyExpression === undefined ? {} : { key_expression: keyExpression };
  await queues.create({ name, topic_filter: `${name}/#`, is_lastvalue: true, ...key, ...more });
}

/** What a device gets that was away. */
async function returning(name: string, count: number): Promise<string[]> {
  const device = await Client.connect(server.mqtt);
  await device.subscribe(`$queue/${name}`, 1);
  await device.texted(count);
  await settled(() => device.received.length);
  await device.close();
  return sorted(device.texts);
}

async function send(name: string, key: string, text: string): Promise<void> {
  await publisher.publish(`${name}/x`, text, { userProperties: { key } });
}

test('a device that was away gets exactly the newest', async () => {
  await define('newest', USER_KEY);
  for (const text of numbered(10)) await send('newest', 'set-color', text);
  expect(await returning('newest', 1)).toEqual(['10']);
  expect(await queues.statistics('newest')).toMatchObject({ published_total: 10, overwritten_total: 9 });
});

test('a hundred messages over ten keys: one of each, the newest', async () => {
  await define('ten', USER_KEY);
  await Promise.all(numbered(100).map((text, i) => send('ten', `k${i % 10}`, text)));
  expect(await queues.statistics('ten')).toMatchObject({ depth_messages: 10, keys: 10 });
  expect(await returning('ten', 10)).toEqual(numbered(100).slice(90));
  await queues.depth('ten', 0);
  expect((await queues.statistics('ten')).keys).toBe(0);
});

test('of one packet of messages with the same key only the last remains', async () => {
  await define('turn', USER_KEY);
  await Promise.all(numbered(50).map((text) => send('turn', 'same', text)));
  expect((await queues.peek('turn')).map(({ payload_text, key }) => [payload_text, key])).toEqual([['50', 'same']]);
});

describe('the key is', () => {
  test('by default the client id of the publisher', async () => {
    await queues.create({ name: 'from', topic_filter: 'from/#', is_lastvalue: undefined });
    const other = await Client.connect(server.mqtt, { clientId: 'another', version: 4 });
    await publisher.publishAll('from/x', ['1', '2']);
    await other.publish('from/x', '3');
    expect((await queues.peek('from')).map(({ key, payload_text }) => `${key} ${payload_text}`)).toEqual([
      'the-publisher 2',
      'another 3',
    ]);
    await other.close();
  });

  test.each([
    ['message.topic', ['a', 'b', 'a'], ['2', '3']],
    ["json_value(message.payload, 'id')", ['a', 'a', 'a'], ['{"id":"p","v":3}', '{"id":"q","v":2}']],
    ["nth(2, split(message.topic, '/'))", ['a', 'b', 'b'], ['1', '3']],
    ["concat([message.from, '-', message.qos])", ['a', 'b', 'c'], ['3']],
    ["coalesce(message.headers.username, 'nobody')", ['a', 'b', 'c'], ['3']],
  ])('%s', async (expression, levels, expected) => {
    const name = `key-${expression.replace(/\W+/g, '-').replace(/-$/, '')}`;
    await define(name, expression);
    const payloads = expression.includes('json')
      ? ['{"id":"p","v":1}', '{"id":"q","v":2}', '{"id":"p","v":3}']
      : numbered(3);
    for (const [i, level] of levels.entries()) await publisher.publish(`${name}/${level}`, payloads[i] as string);
    expect(sorted((await queues.peek(name)).map(({ payload_text }) => payload_text))).toEqual(expected);
  });

  test('missing: the queue does not keep the message, everybody else gets it and the publisher is told it is well', async () => {
    await define('keyless', USER_KEY);
    const ordinary = await Client.connect(server.mqtt);
    await ordinary.subscribe('keyless/#', 1);
    await publisher.publish('keyless/x', 'no key');
    await send('keyless', 'k', 'key');
    expect(sorted(await ordinary.texted(2))).toEqual(['key', 'no key']);
    expect((await queues.peek('keyless')).map(({ payload_text }) => payload_text)).toEqual(['key']);
    await ordinary.close();
  });

  test('empty, which is a key like any other', async () => {
    await define('empty', USER_KEY);
    await send('empty', '', '1');
    await send('empty', '', '2');
    expect((await queues.peek('empty')).map(({ payload_text, key }) => [payload_text, key])).toEqual([['2', '']]);
  });

  test('refused at creation when the expression is wrong, with what is wrong with it', async () => {
    const answer = await server.rest().post('/api/v5/message_queues/queues', {
      topic_filter: 'wrong',
      key_expression: 'no_such_function(message.from)',
    });
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body)).toContain('no_such_function');
  });
});

test('a changed expression acts on later publishes', async () => {
  await define('rekeyed', 'message.payload');
  await publisher.publishAll('rekeyed/x', numbered(5));
  expect((await queues.statistics('rekeyed')).depth_messages).toBe(5);
  await queues.update('rekeyed', { key_expression: 'message.from', is_lastvalue: true });
  await publisher.publishAll('rekeyed/x', numbered(10, 'new '));
  expect(await returning('rekeyed', 6)).toEqual(['1', '2', '3', '4', '5', 'new 10']);
});

describe('a device that is there', () => {
  test('gets each new value live', async () => {
    await define('live', USER_KEY);
    const device = await Client.connect(server.mqtt);
    await device.subscribe('$queue/live', 1);
    for (const text of numbered(20)) {
      await send('live', 'k', text);
      await device.texted(Number(text));
    }
    expect(device.texts).toEqual(numbered(20));
    await queues.depth('live', 0);
    await device.close();
  });

  test('and busy: what was superseded while it worked is in no window and never comes', async () => {
    await define('superseded', USER_KEY, { local_max_inflight: 1 });
    const device = await HandClient.connect(server.mqtt);
    await device.subscribe('$queue/superseded');
    await send('superseded', 'k', '1');
    await device.received(1);
    for (const text of ['2', '3', '4']) await send('superseded', 'k', text);
    device.ack(0);
    expect(await device.received(2)).toEqual(['1', '4']);
    device.ack(1);
    await queues.depth('superseded', 0);
    device.destroy();
  });

  test('and gives an old value back: it is not delivered again, the new one is', async () => {
    await define('given-back', USER_KEY, { redispatch_interval: '1ms' });
    const device = await HandClient.connect(server.mqtt);
    await device.subscribe('$queue/given-back');
    await send('given-back', 'k', 'old');
    await device.received(1);
    await send('given-back', 'k', 'new');
    await device.received(2);
    device.ack(0, 0x83);
    expect(await settled(() => device.deliveries.length)).toBe(2);
    device.destroy();
    await queues.consumers('given-back', 0);
    const next = await HandClient.connect(server.mqtt);
    await next.subscribe('$queue/given-back');
    await next.received(1);
    expect(await settled(() => next.deliveries.length)).toBe(1);
    expect(next.deliveries[0]).toMatchObject({ text: 'new', count: 2 });
    next.destroy();
  });

  test('comes back just while new values arrive: never an older one after a newer one, the newest in the end', async () => {
    await define('racing', USER_KEY);
    for (let round = 0; round < 20; round++) {
      const texts = numbered(5, `${round}.`);
      await send('racing', 'k', texts[0] as string);
      const device = await Client.connect(server.mqtt);
      const sending = Promise.all(texts.slice(1).map((text) => send('racing', 'k', text)));
      await device.subscribe('$queue/racing', 1);
      await sending;
      await until(() => device.texts.includes(texts[4] as string), 'the newest');
      await queues.depth('racing', 0);
      expect(device.texts).toEqual(sorted(device.texts));
      await device.close();
    }
  });
});

test('one message is a value of one queue and a job of another', async () => {
  await define('both', USER_KEY);
  await queues.create({ name: 'both-jobs', topic_filter: 'both/#' });
  for (const text of ['1', '2', '3']) await send('both', 'k', text);
  expect((await queues.peek('both')).map(({ payload_text }) => payload_text)).toEqual(['3']);
  expect((await queues.peek('both-jobs')).map(({ payload_text }) => payload_text)).toEqual(['1', '2', '3']);
});
