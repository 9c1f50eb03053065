import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { IPublishPacket, MqttClient } from 'mqtt';
import mqtt from 'mqtt';
import { MOSQUITTO, testWith } from '../harness/left-out.ts';
import { mosquittoPub } from '../harness/mosquitto.ts';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { Queues } from './support/queues.ts';
import { numbered, until } from './support/until.ts';

let server: Broker;
let queues: Queues;

beforeAll(async () => {
  server = await startBroker({ flags: ['--ws', '127.0.0.1:0'] });
  queues = new Queues(server);
});

afterAll(() => server?.dispose());

async function stored(name: string): Promise<string[]> {
  return (await queues.peek(name)).map(({ payload_text }) => payload_text);
}

describe.each([4, 5] as const)('MQTT version %i', (version) => {
  test.each([0, 1, 2] as const)('a publish at QoS %i is stored once', async (qos) => {
    const name = await queues.create({ name: `v${version}-q${qos}`, topic_filter: `v${version}/q${qos}` });
    const publisher = await Client.connect(server.mqtt, { version });
    await publisher.publishAll(`v${version}/q${qos}`, numbered(20), { qos });
    await queues.depth(name, 20);
    expect(await stored(name)).toEqual(numbered(20));
    await publisher.close();
  });

  test('a QoS 2 publish that is sent again on its connection is stored once, whatever stage it is at', async () => {
    const topic = `v${version}/again`;
    const name = await queues.create({ name: `v${version}-again`, topic_filter: topic });
    const publisher = await HandClient.connect(server.mqtt, { version });
    await publisher.publishQoS2(topic, 'once', 7, false);
    await publisher.publishQoS2(topic, 'once', 7, true);
    await publisher.releaseQoS2(7);
    await publisher.releaseQoS2(7);
    await publisher.publishQoS2(topic, 'another', 7, false);
    await publisher.releaseQoS2(7);
    expect(await stored(name)).toEqual(['once', 'another']);
    publisher.destroy();
  });
});

test('a publish that a queue alone wants is a success, one that nobody wants says so', async () => {
  await queues.create({ topic_filter: 'wanted' });
  const publisher = await HandClient.connect(server.mqtt);
  expect(await publisher.publishQoS1('wanted', 'x')).toBe(0x00);
  expect(await publisher.publishQoS1('unwanted', 'x')).toBe(0x10);
  publisher.destroy();
});

test('a binary and an empty payload arrive as they were', async () => {
  const name = await queues.create({ name: 'binary', topic_filter: 'binary' });
  const publisher = await Client.connect(server.mqtt);
  const payload = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  await publisher.publish('binary', payload);
  await publisher.publish('binary', '');
  const peeked = (await queues.peek(name)) as unknown as { payload: string; payload_size: number }[];
  expect(Buffer.from(peeked[0]?.payload ?? '', 'base64')).toEqual(payload);
  expect(peeked[1]?.payload_size).toBe(0);
  await publisher.close();
});

test('images arrive in queues and at live subscribers as they were, with all that travels with them', async () => {
  await queues.create({ name: 'images', topic_filter: 'images/+' });
  const { host, port } = server.mqtt;
  const clients = await Promise.all(
    [1, 2, 3].map(() => mqtt.connectAsync({ host, port, protocolVersion: 5, reconnectPeriod: 0 })),
  );
  const [publisher, worker, onlooker] = clients as [MqttClient, MqttClient, MqttClient];
  const arrived = [worker, onlooker].map((client) => {
    const packets: IPublishPacket[] = [];
    client.on('message', (_topic, _payload, packet) => packets.push(packet));
    return packets;
  });
  await worker.subscribeAsync('$q/images/+', { qos: 1 });
  await onlooker.subscribeAsync('images/+', { qos: 1 });
  const payloads = Array.from({ length: 8 }, (_, i) => randomBytes(70_000 + i * 30_011));
  const propertiesOf = (i: number) => ({
    userProperties: { number: String(i) },
    ...(i % 3 === 0 ? { correlationData: Buffer.from(`job ${i}`) } : {}),
  });
  // One of them is retained: it goes into two partitions, or twice into one.
  await Promise.all(
    payloads.map((payload, i) =>
      publisher.publishAsync(`images/${i}`, payload, { qos: 1, retain: i === 4, properties: propertiesOf(i) }),
    ),
  );
  for (const packets of arrived) {
    await until(() => packets.length >= payloads.length, 'all images');
    packets.sort((a, b) => (a.topic < b.topic ? -1 : 1));
    expect(packets.map(({ topic }) => topic)).toEqual(payloads.map((_, i) => `images/${i}`));
    packets.forEach(({ payload, properties }, i) => {
      expect((payload as Buffer).equals(payloads[i] as Buffer)).toBe(true);
      expect(properties?.userProperties).toEqual({ number: String(i) });
      expect(properties?.correlationData?.toString()).toBe(i % 3 === 0 ? `job ${i}` : undefined);
    });
  }
  await Promise.all(clients.map((client) => client.endAsync()));
});

test('a will enters the queues of its topic', async () => {
  const name = await queues.create({ name: 'wills', topic_filter: 'wills/#' });
  const dying = await HandClient.connect(server.mqtt, { will: { topic: 'wills/a', payload: 'I am gone' } });
  dying.destroy();
  await queues.depth(name, 1);
  expect(await stored(name)).toEqual(['I am gone']);
});

describe('over WebSocket', () => {
  test.each([4, 5] as const)('MQTT version %i: publish and consume', async (version) => {
    await queues.create({ name: `ws${version}`, topic_filter: `ws${version}` });
    const at = server.address('ws');
    const publisher = await Client.connect(at, { version, transport: 'ws' });
    await publisher.publishAll(`ws${version}`, numbered(50));
    const consumer = await Client.connect(at, { version, transport: 'ws' });
    await consumer.subscribe(`$q/ws${version}`);
    expect(await consumer.texted(50)).toEqual(numbered(50));
    await queues.depth(`ws${version}`, 0);
    await Promise.all([publisher.close(), consumer.close()]);
  });
});

testWith(MOSQUITTO, 'mosquitto_pub hears of a full queue by its reason code', async () => {
  await queues.create({ topic_filter: 'tiny', limits: { max_message_count: 1 } });
  const five = ['-q', '1', '-V', '5'];
  expect(await mosquittoPub(server.mqtt, 'tiny', '1', five)).toEqual({ code: 0, errors: '' });
  const refused = await mosquittoPub(server.mqtt, 'tiny', '2', five);
  expect(refused.errors + refused.code).toMatch(/quota exceeded|151/i);
});
