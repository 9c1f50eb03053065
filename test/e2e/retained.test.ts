import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MOSQUITTO, testWith } from '../harness/left-out.ts';
import { MosquittoSub, mosquittoPub } from '../harness/mosquitto.ts';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { Queues } from './support/queues.ts';
import { until } from './support/until.ts';

const TOPICS = 1_500;
const QUOTA_EXCEEDED = 0x97;

let broker: Broker;

beforeAll(async () => {
  broker = await startBroker();
}, 120_000);

afterAll(() => broker?.dispose());

async function had(filter: string, version: 4 | 5 = 5): Promise<Client> {
  const client = await Client.connect(broker.mqtt, { version });
  await client.subscribe(filter, 1);
  return client;
}

/** No subscriber is being given retained messages: nobody waits for more than is on its way to it. */
async function allRead(): Promise<void> {
  await until(async () => {
    const pages = await Promise.all(broker.rests('key').map((rest) => rest.get('/metrics')));
    return pages.every(({ body }) => /^sluice_gateway_retained_lookups 0$/m.test(body as string));
  }, 'all retained messages are read');
}

/** Everything that a new subscriber is given. */
async function retained(filter: string, end: string): Promise<string[]> {
  const client = await had(filter);
  const publisher = await Client.connect(broker.mqtt);
  await until(async () => {
    await publisher.publish(end, 'routed');
    return client.texts.includes('routed');
  }, 'the subscriber is given what comes live');
  await allRead();
  await publisher.publish(end, 'end');
  await until(() => client.texts.includes('end'), 'what comes behind it');
  await Promise.all([client.close(), publisher.close()]);
  return client.received.filter(({ retain }) => retain).map(({ topic, text }) => `${topic} ${text}`);
}

testWith(MOSQUITTO, 'mosquitto_pub -r, mosquitto_sub, and mosquitto_pub -r -n', async () => {
  for (const [topic, text, qos] of [
    ['home/a/t', 'a1', '1'],
    ['home/b/t', 'b1', '0'],
    ['home/b/t', 'b2', '2'],
    ['$dollar/x', 'd', '1'],
  ] as const) {
    expect(await mosquittoPub(broker.mqtt, topic, text, ['-r', '-q', qos])).toEqual({ code: 0, errors: '' });
  }
  const sub = await MosquittoSub.start(broker.mqtt, 'home/+/t', ['-V', '5', '-q', '2']);
  const seen = (await sub.received(2)).map(({ topic, payload, qos, retain }) => [topic, payload, qos, retain]);
  expect(seen.sort()).toEqual([
    ['home/a/t', 'a1', 1, 1],
    ['home/b/t', 'b2', 2, 1],
  ]);
  await sub.stop();
  expect(await retained('#', 'end')).not.toContain('$dollar/x d');
  expect(await retained('$dollar/#', '$dollar/end')).toEqual(['$dollar/x d']);
  for (const topic of ['home/a/t', 'home/b/t', '$dollar/x']) {
    expect(await mosquittoPub(broker.mqtt, topic, '', ['-r', '-q', '1'])).toEqual({ code: 0, errors: '' });
  }
  expect(await retained('home/#', 'home/end')).toEqual([]);
});

test('a client that publishes and subscribes on one connection finds what it retained, at QoS 0', async () => {
  const client = await Client.connect(broker.mqtt);
  const published = client.publish('own/1', 'mine', { qos: 0, retain: true });
  await client.subscribe('own/#', 1);
  await published;
  expect(await client.texted(1)).toEqual(['mine']);
  await client.publish('own/1', '', { retain: true });
  await client.close();
});

describe.each([4, 5] as const)('MQTT version %i', (version) => {
  test(`each of ${TOPICS} topics comes once to a subscriber of #, whatever happens meanwhile to others`, async () => {
    const publisher = await Client.connect(broker.mqtt, { version });
    const all = Array.from({ length: TOPICS }, (_, i) => `many${version}/${i % 50}/${i}`);
    const text = 'x'.repeat(200);
    await Promise.all(all.map((topic) => publisher.publish(topic, text, { retain: true })));
    const subscriber = await had(`many${version}/#`, version);
    await publisher.publish(`other${version}`, 'live', { retain: true });
    await subscriber.texted(TOPICS, 30_000);
    expect(subscriber.received.map(({ topic }) => topic).sort()).toEqual([...all].sort());
    expect(subscriber.received.every(({ retain }) => retain)).toBe(true);
    const some = await had(`many${version}/7/+`, version);
    expect((await some.texted(TOPICS / 50)).length).toBe(TOPICS / 50);
    await Promise.all(all.map((topic) => publisher.publish(topic, '', { retain: true })));
    expect(await retained(`many${version}/#`, `many${version}/end`)).toEqual([]);
    await Promise.all([publisher.close(), subscriber.close(), some.close()]);
  });
});

test('a message that is retained and wanted by a queue goes to both, and the rest of its life travels with it', async () => {
  const queues = new Queues(broker);
  const name = await queues.create({ name: 'both', topic_filter: 'both/+' });
  const publisher = await Client.connect(broker.mqtt);
  await publisher.publish('both/1', 'x', { retain: true, expirySeconds: 100, userProperties: { k: 'v' } });
  await queues.depth(name, 1);
  const client = await had('both/1');
  await client.texted(1);
  expect(client.received[0]).toMatchObject({ text: 'x', retain: true, properties: { userProperties: { k: 'v' } } });
  const leftS = client.received[0]?.properties.messageExpiryInterval ?? 0;
  expect(leftS).toBeGreaterThan(60);
  expect(leftS).toBeLessThanOrEqual(100);
  await publisher.publish('both/1', '', { retain: true });
  await queues.depth(name, 2);
  expect(await retained('both/#', 'both/end')).toEqual([]);
  await Promise.all([publisher.close(), client.close()]);
});

test('retained messages are there after a restart, and so is their end', async () => {
  const publisher = await Client.connect(broker.mqtt);
  for (const topic of ['stays/1', 'stays/2', 'stays/3']) await publisher.publish(topic, topic, { retain: true });
  await publisher.publish('stays/2', '', { retain: true });
  publisher.destroy();
  await broker.stop('all');
  await broker.restart('all');
  expect((await retained('stays/#', 'stays/end')).sort()).toEqual(['stays/1 stays/1', 'stays/3 stays/3']);
}, 60_000);

test('no more than the limits: the publisher is told, and what is there stays', async () => {
  const small = await startBroker({ flags: ['--set', 'retained.maxCount=16', '--set', 'retained.maxMessageSize=4KB'] });
  try {
    const client = await HandClient.connect(small.mqtt);
    const codes = new Set<number>();
    for (let i = 0; i < 64; i++) codes.add(await client.publishQoS1(`limit/${i}`, 'x', true));
    expect(codes).toContain(QUOTA_EXCEEDED);
    expect(await client.publishQoS1('large', 'x'.repeat(5000), true)).toBe(QUOTA_EXCEEDED);
    client.destroy();
    const subscriber = await Client.connect(small.mqtt);
    await subscriber.subscribe('limit/#', 1);
    await subscriber.texted(1);
    expect(subscriber.received.length).toBeLessThanOrEqual(16);
    await subscriber.close();
  } finally {
    await small.dispose();
  }
}, 120_000);

test('the management API lists, shows and removes what is retained', async () => {
  const publisher = await Client.connect(broker.mqtt);
  for (const i of [1, 2, 3]) await publisher.publish(`api/${i}`, `text ${i}`, { retain: true });
  await publisher.close();
  const rest = broker.rest();
  const topicsOf = async (): Promise<string[]> => {
    const { body } = await rest.get(`/api/v5/mqtt/retainer/messages?topic=${encodeURIComponent('api/#')}`);
    return (body as { data: { topic: string }[] }).data.map(({ topic }) => topic).sort();
  };
  expect(await topicsOf()).toEqual(['api/1', 'api/2', 'api/3']);
  const one = `/api/v5/mqtt/retainer/message/${encodeURIComponent('api/2')}`;
  expect((await rest.get(one)).body).toMatchObject({ topic: 'api/2', payload_text: 'text 2' });
  expect((await rest.delete(one)).status).toBe(204);
  expect((await rest.get(one)).status).toBe(404);
  expect(await topicsOf()).toEqual(['api/1', 'api/3']);
  expect((await retained('api/+', 'api/end')).sort()).toEqual(['api/1 text 1', 'api/3 text 3']);
});
