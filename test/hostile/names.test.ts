import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { BrokerUnderAttack, publishing, subscribing } from './broker-under-attack.ts';

/**
 * B1: names that mean something to JavaScript, in every place where a client names anything. One of them crashed another
 * broker and its whole cluster.
 */
const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'prototype', '__defineGetter__'];
const QUEUES = '/api/v5/message_queues/queues';

let broker: BrokerUnderAttack;
beforeAll(async () => {
  broker = await BrokerUnderAttack.start({ flags: ['--set', 'queues.maxCount=1000'] });
});
afterEach(async () => {
  broker.hangUp();
  await broker.stillServes();
});
afterAll(() => broker?.dispose());

describe.each([4, 5] as const)('over MQTT %s', (version) => {
  test.each(NAMES)('B1: client id, user name, filters, group, retained topic and will called %s', async (name) => {
    const watcher = await broker.client(version);
    watcher.send(subscribing([`${name}/will`], { qos: 0 }));
    await watcher.next();
    const client = await broker.open();
    const will = { topic: `${name}/will`, payload: Buffer.from(name), qos: 0, retain: false, properties: undefined };
    const connack = await client.hello(name, version, { username: name, will: will as never });
    expect(connack).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0 });
    client.send(subscribing([name, `${name}/+`, `$share/${name}/${name}`], { qos: 0 }));
    expect(await client.next()).toMatchObject({ reasonCodes: [0, 0, 0] });
    client.send(publishing(name, { retain: true, payload: Buffer.from('x') }));
    for (let copies = 0; copies < 2; copies++) expect(await client.next()).toMatchObject({ topic: name });
    const late = await broker.client(version);
    late.send(subscribing([name], { qos: 0 }));
    await late.next();
    expect(await late.next()).toMatchObject({ topic: name, retain: true });
    client.send({ type: PacketType.UNSUBSCRIBE, packetId: 2, filters: [name, `$share/${name}/${name}`] });
    expect(await client.next()).toMatchObject({ type: PacketType.UNSUBACK });
    client.send(publishing(name, { retain: true }));
    client.socket.destroy();
    expect(await watcher.next()).toMatchObject({ topic: `${name}/will`, payload: Buffer.from(name) });
  });
});

test.each(NAMES)('B1: a queue for the filter %s, keyed by the user property of that name', async (name) => {
  const body = { topic_filter: `lv/${name}`, is_lastvalue: true, key_expression: userProperty(name) };
  const created = await broker.rest.post(QUEUES, body);
  expect([created.status, created.body]).toEqual([200, expect.objectContaining({ topic_filter: `lv/${name}` })]);
  const client = await broker.client();
  for (const [id, key] of [name, 'other', name].entries()) {
    const properties = { userProperties: [name, key] };
    client.send(publishing(`lv/${name}`, { qos: 1, packetId: id + 1, payload: Buffer.from(`${id}`), properties }));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, reasonCode: 0 });
  }
  client.send(subscribing([`$q/lv/${name}`]));
  await client.next();
  const received = [await client.next(), await client.next()].map((packet) => {
    if (packet.type !== PacketType.PUBLISH) throw new Error(`type ${packet.type}`);
    client.send({ type: PacketType.PUBACK, packetId: packet.packetId, reasonCode: 0 });
    return Buffer.from(packet.payload).toString();
  });
  expect(received.sort()).toEqual(['1', '2']);
  expect((await broker.rest.delete(`${QUEUES}/${encodeURIComponent(`/lv/${name}`)}`)).status).toBe(204);
});

test.each(NAMES.filter((name) => !name.startsWith('_')))('B1: a queue named %s', async (name) => {
  expect((await broker.rest.get(`${QUEUES}/${name}`)).status).toBe(404);
  const created = await broker.rest.post(QUEUES, { name, topic_filter: 'named', is_lastvalue: false });
  expect(created.status).toBe(200);
  expect((await broker.rest.get(`${QUEUES}/${name}`)).body).toMatchObject({ name, topic_filter: 'named' });
  const client = await broker.client();
  client.send(subscribing([`$queue/${name}`, `$queue/${name}/named`]));
  expect(await client.next()).toMatchObject({ reasonCodes: [1, 1] });
  client.send(publishing('named', { qos: 1, packetId: 9 }));
  await client.until('PUBACK and delivery', () => client.packets.length === 2);
  expect((await broker.rest.delete(`${QUEUES}/${name}`)).status).toBe(204);
});

test.each(['__proto__', '__defineGetter__'])(
  'B1: a queue cannot be named %s, and asking for one finds nothing',
  async (name) => {
    expect((await broker.rest.post(QUEUES, { name, topic_filter: 't' })).status).toBe(400);
    expect((await broker.rest.get(`${QUEUES}/${name}`)).status).toBe(404);
    expect((await broker.rest.get(`${QUEUES}/${name}/stats`)).status).toBe(404);
    expect((await broker.rest.delete(`${QUEUES}/${name}`)).status).toBe(404);
  },
);

test('B1: fields of a body called __proto__ and constructor are unknown fields, and change nothing', async () => {
  const { host, port } = broker.server.address('http');
  for (const field of ['__proto__', 'constructor', 'prototype']) {
    const response = await fetch(`http://${host}:${port}${QUEUES}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Basic ${btoa('harness:harness-secret')}` },
      body: `{"topic_filter":"polluted","${field}":{"is_lastvalue":false,"polluted":true}}`,
    });
    expect(response.status).toBe(400);
    expect(((await response.json()) as { message: string }).message).toContain(`"${field}" is not a known field`);
  }
});

test('B12: line breaks, quotes and braces in names stay inside their log line and their metric label', async () => {
  const name = 'x"} 1\nsluice_forged_total{a="\r\n\u0085\u2028\\';
  await broker.createQueue({ topic_filter: `t/${name}`, is_lastvalue: true, key_expression: userProperty('none') });
  const client = await broker.open();
  expect(await client.hello(name, 5, { username: name })).toMatchObject({ reasonCode: 0 });
  client.send(publishing(`t/${name}`, { qos: 1, packetId: 1 }));
  expect(await client.next()).toMatchObject({ type: PacketType.PUBACK });
  await broker.untilRisen(0, 1, 'sluice_gateway_key_failures_total');
  const page = String((await broker.server.rest('anonymous').get('/metrics')).body);
  for (const line of page.split('\n').filter((each) => each !== '' && !each.startsWith('#'))) {
    expect(line).toMatch(/^sluice_\w+(\{(\w+="([^"\\]|\\.)*",?)+\})? \S+$/);
    expect(line).not.toMatch(/^sluice_forged/);
  }
  for (const line of broker.server.log.split('\n').filter((each) => each !== '' && !each.startsWith('ready '))) {
    expect(() => JSON.parse(line)).not.toThrow();
  }
});

function userProperty(name: string): string {
  return `message.headers.properties.User-Property.${name}`;
}
