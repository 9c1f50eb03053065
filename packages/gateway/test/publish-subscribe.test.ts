import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { collect, TestGateway, until } from './doubles/test-gateway.ts';

describe.each([
  ['3.1.1 over TCP', 4, false],
  ['5.0 over TCP', 5, false],
  ['3.1.1 over WebSocket', 4, true],
  ['5.0 over WebSocket', 5, true],
] as const)('MQTT %s', (_name, protocolVersion, ws) => {
  let gateway: TestGateway;
  beforeEach(async () => {
    gateway = await TestGateway.start();
  });
  afterEach(() => gateway.stop());

  test.each([0, 1, 2] as const)('a message at QoS %d arrives once, unchanged', async (qos) => {
    const subscriber = await gateway.connect({ protocolVersion, ws });
    const received = collect(subscriber);
    await subscriber.subscribeAsync('fleet/+/image', { qos });
    const publisher = await gateway.connect({ protocolVersion, ws });
    await publisher.publishAsync('fleet/7/image', 'pixels', { qos });
    await publisher.publishAsync('fleet/7/other', 'nobody', { qos });
    await publisher.publishAsync('fleet/8/image', 'more', { qos });
    await until(
      () => received.length,
      (n) => n === 2,
    );
    expect(received.map((r) => [r.topic, r.payload, r.packet.qos, r.packet.retain, r.packet.dup])).toEqual([
      ['fleet/7/image', 'pixels', qos, false, false],
      ['fleet/8/image', 'more', qos, false, false],
    ]);
  });

  test('packets split and merged over chunks, a large one among them', async () => {
    const client = await gateway.connect({ protocolVersion, ws });
    const received = collect(client);
    await client.subscribeAsync('t/#', { qos: 1 });
    const large = 'x'.repeat(700_000);
    const sent: Promise<unknown>[] = [];
    for (let i = 0; i < 200; i++) sent.push(client.publishAsync(`t/${i}`, i === 100 ? large : String(i), { qos: 1 }));
    await Promise.all(sent);
    await until(
      () => received.length,
      (n) => n === 200,
    );
    expect(received.map((r) => r.topic)).toEqual(Array.from({ length: 200 }, (_, i) => `t/${i}`));
    expect(received[100]?.payload).toBe(large);
  });

  test('unsubscribed is unsubscribed', async () => {
    const client = await gateway.connect({ protocolVersion, ws });
    const received = collect(client);
    await client.subscribeAsync(['a', 'b'], { qos: 1 });
    await client.unsubscribeAsync('a');
    await client.publishAsync('a', '1', { qos: 1 });
    await client.publishAsync('b', '2', { qos: 1 });
    await until(
      () => received.length,
      (n) => n === 1,
    );
    expect(received[0]?.topic).toBe('b');
  });
});
