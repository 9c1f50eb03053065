import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PacketType, type Subscription } from '@sluice/mqtt/codec/packet';
import { FILTERS_A_STEP } from '@sluice/mqtt/protocol/long-request';
import type { RawClient } from './doubles/raw-client.ts';
import { collect, TestGateway, until } from './doubles/test-gateway.ts';

/** A client with so many subscriptions that its end takes several turns: what belongs to others does not wait for them. */
const COUNT = 6 * FILTERS_A_STEP;
const pass = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await TestGateway.start();
});
afterEach(() => gateway.stop());

const asking = (filter: string): Subscription => ({
  filter,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 2,
});

async function large(more: string[] = [], hello: Parameters<RawClient['hello']>[1] = {}): Promise<RawClient> {
  const raw = await gateway.raw();
  await raw.hello('large', hello);
  const subscriptions = [...more, ...Array.from({ length: COUNT }, (_, i) => `t/${i}/+`)].map(asking);
  raw.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions });
  while ((await raw.next()).type !== PacketType.SUBACK);
  return raw;
}

describe('the end of a client with thousands of subscriptions', () => {
  test('gives what it held back at once, and is published to nobody from then on', async () => {
    const other = await gateway.connect();
    const seen = collect(other);
    await other.subscribeAsync(['$share/g/jobs', 'wills/large'], { qos: 1 });
    const publisher = await gateway.connect();
    const raw = await large(['$share/g/jobs', '$q/fleet'], {
      will: { topic: 'wills/large', payload: Buffer.from('bye'), qos: 1, retain: false },
    });
    const queue = gateway.queues.last;
    raw.destroy();
    while (gateway.gateway.counts().sessions === 3) await pass();
    expect(queue.log).toContain('detach');
    expect(gateway.gateway.counts().liveSubscriptions).toBe(2);
    expect(gateway.gauge('subscriptions', { kind: 'plain' })).toBe(1);
    expect(gateway.gauge('subscriptions', { kind: 'shared' })).toBe(1);
    expect(gateway.gauge('subscriptions', { kind: 'queue' })).toBe(0);
    for (let i = 0; i < 4; i++) await publisher.publishAsync('jobs', `${i}`, { qos: 1 });
    await until(
      () => seen.length,
      (n) => n === 5,
    );
  });

  test('leaves alone what it subscribes to when it is back at once', async () => {
    await large();
    const second = await large();
    const publisher = await gateway.connect();
    const topics = [0, FILTERS_A_STEP, COUNT - 1].map((i) => `t/${i}/x`);
    for (const topic of topics) await publisher.publishAsync(topic, 'once', { qos: 1 });
    for (const topic of topics) expect(await second.next()).toMatchObject({ type: PacketType.PUBLISH, topic });
    second.send({ type: PacketType.PINGREQ });
    expect(await second.next()).toMatchObject({ type: PacketType.PINGRESP });
    expect(gateway.gateway.counts()).toMatchObject({ sessions: 2, liveSubscriptions: COUNT });
  });

  test('does not hold up the end of the gateway', async () => {
    const raw = await large();
    raw.destroy();
    while (gateway.gateway.counts().sessions === 1) await pass();
    await gateway.stop();
    expect(gateway.gateway.counts()).toMatchObject({ connections: 0, liveSubscriptions: 0 });
  });
});
