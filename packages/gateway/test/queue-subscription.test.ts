import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PacketType, type PublishPacket, type Subscription } from '@sluice/mqtt/codec/packet';
import type { RawClient } from './doubles/raw-client.ts';
import { collect, TestGateway, until } from './doubles/test-gateway.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await TestGateway.start();
});
afterEach(() => gateway.stop());

const asking = (filter: string, qos: 0 | 1 | 2): Subscription => ({
  filter,
  qos,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
});

async function subscribe(raw: RawClient, filter: string, qos: 0 | 1 | 2, identifier?: number): Promise<number> {
  raw.send({
    type: PacketType.SUBSCRIBE,
    packetId: 1,
    subscriptions: [asking(filter, qos)],
    properties: identifier === undefined ? undefined : { subscriptionIdentifiers: [identifier] },
  });
  const suback = await raw.next();
  if (suback.type !== PacketType.SUBACK) throw new Error('not a SUBACK');
  return suback.reasonCodes[0] ?? -1;
}

describe.each([4, 5] as const)('a queue subscription of MQTT %d', (protocolVersion) => {
  let raw: RawClient;
  beforeEach(async () => {
    raw = await gateway.raw();
    await raw.hello('worker', { protocolVersion });
  });

  test.each([
    ['$q/fleet/+/image', { by: 'filter', filter: 'fleet/+/image' }],
    ['$queue/jobs', { by: 'name', name: 'jobs', filter: undefined }],
    ['$queue/jobs/fleet/#', { by: 'name', name: 'jobs', filter: 'fleet/#' }],
  ] as const)('%s attaches', async (filter, reference) => {
    expect(await subscribe(raw, filter, 2)).toBe(2);
    expect(gateway.queues.last.reference).toEqual(reference);
    expect(gateway.queues.last.consumer.clientId).toBe('worker');
  });

  test.each([
    ['$q/a', 0, 1],
    ['$q/a', 1, 1],
    ['$q/a', 2, 1],
    ['$queue/jobs', 0, 0],
    ['$queue/jobs', 1, 1],
    ['$queue/jobs', 2, 1],
  ] as const)('%s asked at QoS %d delivers at QoS %d', async (filter, asked, delivered) => {
    expect(await subscribe(raw, filter, asked)).toBe(asked);
    gateway.queues.last.deliver({ topic: 'a', payload: 'x' });
    const packet = (await raw.next()) as PublishPacket;
    expect(packet).toMatchObject({ topic: 'a', qos: delivered, dup: false, retain: false });
    expect(gateway.queues.last.log).toEqual(delivered === 0 ? ['accept 0'] : []);
    if (delivered === 0) return;
    raw.send({ type: PacketType.PUBACK, packetId: packet.packetId, reasonCode: 0 });
    await until(
      () => gateway.queues.last.log.join(),
      (log) => log === 'accept 0',
    );
  });

  test('names and filters that are none are refused', async () => {
    const refused = protocolVersion === 5 ? 0x8f : 0x80;
    expect(await subscribe(raw, '$queue/-jobs', 1)).toBe(refused);
    expect(await subscribe(raw, '$queue/', 1)).toBe(refused);
    expect(await subscribe(raw, '$q/$share/g/t', 1)).toBe(refused);
    expect(gateway.queues.attachments).toEqual([]);
  });

  test('the same again is no second attachment, and changes the options', async () => {
    await subscribe(raw, '$queue/jobs', 0);
    await subscribe(raw, '$queue/jobs', 1);
    expect(gateway.queues.attachments.length).toBe(1);
    gateway.queues.last.deliver({ topic: 'a' });
    expect(await raw.next()).toMatchObject({ qos: 1 });
  });

  test('unsubscribing detaches; a late acknowledgement reaches nobody', async () => {
    await subscribe(raw, '$queue/jobs', 1);
    gateway.queues.last.deliver({ topic: 'a' });
    const { packetId } = (await raw.next()) as PublishPacket;
    raw.send({ type: PacketType.UNSUBSCRIBE, packetId: 2, filters: ['$queue/jobs'] });
    expect(await raw.next()).toMatchObject({ type: PacketType.UNSUBACK });
    raw.send({ type: PacketType.PUBACK, packetId, reasonCode: 0 });
    raw.send({ type: PacketType.PINGREQ });
    await raw.next();
    expect(gateway.queues.last.log).toEqual(['detach']);
    // A new subscription is a new attachment, and the freed packet id is usable.
    await subscribe(raw, '$queue/jobs', 1);
    gateway.queues.last.deliver({ topic: 'b' });
    expect(await raw.next()).toMatchObject({ topic: 'b' });
  });

  test('the end of the connection detaches', async () => {
    await subscribe(raw, '$queue/jobs', 1);
    gateway.queues.last.deliver({ topic: 'a' });
    await raw.next();
    raw.destroy();
    await until(() => gateway.queues.last.detached);
    expect(gateway.queues.last.log).toEqual(['detach']);
    gateway.queues.last.deliver({ topic: 'late' });
  });
});

test('MQTT 5 settles by reason code: errors and 0x10 reject', async () => {
  const raw = await gateway.raw();
  await raw.hello('worker');
  await subscribe(raw, '$queue/jobs', 1);
  gateway.queues.last.deliver({ topic: 'a' }, { topic: 'b' }, { topic: 'c' });
  const reasonCodes = [0x00, 0x10, 0x83];
  for (const reasonCode of reasonCodes) {
    const { packetId } = (await raw.next()) as PublishPacket;
    raw.send({ type: PacketType.PUBACK, packetId, reasonCode });
  }
  await until(
    () => gateway.queues.last.log.length,
    (n) => n === 3,
  );
  expect(gateway.queues.last.log).toEqual(['accept 0', 'reject 1', 'reject 2']);
});

test('a delivery carries what was published, what is left of its life, and how often it was tried', async () => {
  const raw = await gateway.raw();
  await raw.hello('worker');
  await subscribe(raw, '$queue/jobs', 1, 42);
  const properties = {
    contentType: 'image/jpeg',
    payloadFormatIndicator: 0 as const,
    responseTopic: 'answers',
    correlationData: Uint8Array.from([1, 2, 3]),
    userProperties: ['b', '1', 'a', '2', 'b', '3'],
  };
  const expiresAtMs = gateway.clock.nowMs() + 9_500;
  gateway.queues.last.deliver(
    { topic: 'fleet/7', payload: Uint8Array.from([0, 255]), properties, expiresAtMs },
    { topic: 'fleet/8', properties, count: 3 },
    { topic: 'fleet/9', count: 2 },
  );
  const first = (await raw.next()) as PublishPacket;
  expect(first.topic).toBe('fleet/7');
  expect([...first.payload]).toEqual([0, 255]);
  expect({ ...first.properties, correlationData: [...(first.properties?.correlationData ?? [])] }).toEqual({
    ...properties,
    correlationData: [1, 2, 3],
    messageExpiryIntervalS: 10,
    subscriptionIdentifiers: [42],
  });
  expect(((await raw.next()) as PublishPacket).properties?.userProperties).toEqual([
    ...properties.userProperties,
    'sluice-delivery-count',
    '3',
  ]);
  expect(((await raw.next()) as PublishPacket).properties?.userProperties).toEqual(['sluice-delivery-count', '2']);
});

test('the window is the client Receive Maximum; what does not fit waits for acknowledgements', async () => {
  const raw = await gateway.raw();
  await raw.hello('worker', { properties: { receiveMaximum: 2 } });
  await subscribe(raw, '$queue/jobs', 1);
  expect(gateway.queues.last.window).toBe(2);
  await subscribe(raw, 'live', 1);
  const publisher = await gateway.connect();
  await publisher.publishAsync('live', 'x', { qos: 1 });
  const live = (await raw.next()) as PublishPacket;
  gateway.queues.last.deliver({ topic: 'a' }, { topic: 'b' });
  expect(await raw.next()).toMatchObject({ topic: 'a' });
  raw.send({ type: PacketType.PINGREQ });
  expect(await raw.next()).toMatchObject({ type: PacketType.PINGRESP });
  raw.send({ type: PacketType.PUBACK, packetId: live.packetId, reasonCode: 0 });
  expect(await raw.next()).toMatchObject({ topic: 'b' });
});

test('a worker whose session was taken over goes on where it was', async () => {
  const first = await gateway.raw();
  await first.hello('worker');
  await subscribe(first, '$queue/jobs', 1);
  gateway.queues.last.deliver({ topic: 'a' });
  await first.next();
  const second = await gateway.raw();
  expect(await second.hello('worker', { cleanStart: false })).toMatchObject({ sessionPresent: true });
  const again = (await second.next()) as PublishPacket;
  expect(again).toMatchObject({ topic: 'a', dup: true });
  second.send({ type: PacketType.PUBACK, packetId: again.packetId, reasonCode: 0 });
  await until(() => gateway.queues.last.log.includes('accept 0'));
  expect(gateway.queues.attachments.length).toBe(1);
  second.destroy();
  await until(() => gateway.queues.last.detached);
});

test('MQTT.js takes deliveries of a queue like any other', async () => {
  const worker = await gateway.connect({ protocolVersion: 4 });
  const received = collect(worker);
  await worker.subscribeAsync('$q/jobs/#', { qos: 1 });
  gateway.queues.last.deliver({ topic: 'jobs/1', payload: 'one' }, { topic: 'jobs/2', payload: 'two' });
  await until(
    () => gateway.queues.last.log.length,
    (n) => n === 2,
  );
  expect(received.map((r) => r.payload)).toEqual(['one', 'two']);
  expect(gateway.queues.last.log).toEqual(['accept 0', 'accept 1']);
});
