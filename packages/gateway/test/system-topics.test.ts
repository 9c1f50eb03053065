import { expect, test } from '@jest/globals';
import { PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import { TestGateway } from './doubles/test-gateway.ts';

const subscribing = (filter: string) => ({
  type: PacketType.SUBSCRIBE,
  packetId: 1,
  subscriptions: [{ filter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
});

async function said(gateway: TestGateway, filter: string): Promise<string[]> {
  const raw = await gateway.raw();
  await raw.hello('reader');
  raw.send(subscribing(filter) as never);
  raw.send({ type: PacketType.PINGREQ });
  const found: string[] = [];
  for (let packet = await raw.next(); packet.type !== PacketType.PINGRESP; packet = await raw.next()) {
    if (packet.type !== PacketType.PUBLISH) continue;
    expect((packet as PublishPacket).retain).toBe(true);
    found.push(`${packet.topic} ${Buffer.from(packet.payload).toString()}`);
  }
  return found;
}

test('a subscription finds what matches, once, and counts are those of the metrics', async () => {
  const gateway = await TestGateway.start();
  try {
    expect(await said(gateway, '$SYS/broker/clients/+')).toEqual([
      '$SYS/broker/clients/connected 1',
      '$SYS/broker/clients/active 1',
      '$SYS/broker/clients/maximum 1',
      '$SYS/broker/clients/total 1',
    ]);
    gateway.clock.shiftMs += 5_000;
    expect(await said(gateway, '$SYS/broker/uptime')).toEqual(['$SYS/broker/uptime 5 seconds']);
    expect(await said(gateway, '$SYS/brokers/#')).toHaveLength(17);
    expect(await said(gateway, '$SYS/nothing')).toEqual([]);
  } finally {
    await gateway.stop();
  }
});

test('an interval of 0: nothing is said and nothing is found', async () => {
  const gateway = await TestGateway.start({ systemIntervalMs: 0 });
  try {
    expect(await said(gateway, '$SYS/#')).toEqual([]);
  } finally {
    await gateway.stop();
  }
});
