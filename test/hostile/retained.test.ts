import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { BrokerUnderAttack, publishing, subscribing } from './broker-under-attack.ts';
import type { RawClient } from './raw-client.ts';

const TOPICS = ['race/0', 'race/1', 'race/2', 'race/3', 'race/4'];

let broker: BrokerUnderAttack;
beforeAll(async () => {
  broker = await BrokerUnderAttack.start();
});
afterEach(async () => {
  broker.hangUp();
  await broker.stillServes();
});
afterAll(() => broker?.dispose());

/** What a fresh subscriber is given of as many topics, by topic. */
async function retained(count: number): Promise<Map<string, string>> {
  const client = await broker.client();
  client.send(subscribing(['race/+'], { qos: 1 }));
  const found = new Map<string, string>();
  while (found.size < count) {
    const packet = await client.next();
    if (packet.type !== PacketType.PUBLISH) continue;
    client.send({ type: PacketType.PUBACK, packetId: packet.packetId, reasonCode: 0 });
    found.set(packet.topic, Buffer.from(packet.payload).toString());
  }
  return found;
}

test('B32: retained messages set, cleared, expired and read by many at once: what is left is one value a topic, the same for all', async () => {
  const writers = await Promise.all(Array.from({ length: 8 }, () => broker.client()));
  const readers = await Promise.all(Array.from({ length: 6 }, () => broker.client()));
  let round = 0;
  await Promise.all([
    ...writers.map(async (writer, at) => {
      for (let i = 0; i < 60; i++) {
        const topic = TOPICS[(i + at) % TOPICS.length] as string;
        const payload = i % 3 === 0 ? Buffer.alloc(0) : Buffer.from(`${at}-${i}`);
        // Gone at once, soon, or never.
        const properties = i % 5 === 0 ? { messageExpiryIntervalS: i % 2 } : undefined;
        writer.send(publishing(topic, { qos: 1, packetId: i + 1, retain: true, payload, properties }));
        const answer = await writer.next();
        expect(answer).toMatchObject({ type: PacketType.PUBACK, packetId: i + 1 });
        round++;
      }
    }),
    ...readers.map(async (reader, at) => {
      while (round < 8 * 60) {
        reader.send(subscribing([at % 2 === 0 ? 'race/+' : '#'], { qos: 0, packetId: 1 }));
        await reader.until('SUBACK', () => reader.packets.some(({ type }) => type === PacketType.SUBACK));
        reader.send({ type: PacketType.UNSUBSCRIBE, packetId: 2, filters: [at % 2 === 0 ? 'race/+' : '#'] });
        await reader.until('UNSUBACK', () => reader.packets.some(({ type }) => type === PacketType.UNSUBACK));
        for (const packet of reader.packets)
          expect([PacketType.PUBLISH, PacketType.SUBACK, PacketType.UNSUBACK]).toContain(packet.type);
        reader.packets.length = 0;
      }
    }),
  ]);
  // One last value each, and none for the last topic.
  const [last] = writers as [RawClient];
  for (const [i, topic] of TOPICS.entries()) {
    const payload = i === 4 ? Buffer.alloc(0) : Buffer.from(`last-${i}`);
    last.send(publishing(topic, { qos: 1, packetId: i + 1, retain: true, payload }));
    expect(await last.next()).toMatchObject({ type: PacketType.PUBACK });
  }
  const expected = new Map([0, 1, 2, 3].map((i) => [`race/${i}`, `last-${i}`]));
  for (let i = 0; i < 3; i++) expect(await retained(expected.size)).toEqual(expected);
  await broker.until('there are no others', async () => (await broker.metric('sluice_retained_messages')) === 4);
}, 60_000);

test.each<[string, object]>([
  ['an expiry of 0 seconds', { messageExpiryIntervalS: 0 }],
  ['the longest expiry there is', { messageExpiryIntervalS: 0xffff_ffff }],
])('B32: a retained message with %s, and a session that ends at once', async (_, properties) => {
  const client = await broker.open();
  await client.hello('brief', 5, { properties: { sessionExpiryIntervalS: 0, receiveMaximum: 1 } });
  client.send(publishing('race/0', { qos: 1, packetId: 1, retain: true, payload: Buffer.from('x'), properties }));
  client.send(subscribing(['race/#']));
  await client.until('PUBACK and SUBACK', () => client.packets.length >= 2);
  client.send(publishing('race/0', { qos: 1, packetId: 2, retain: true }));
  client.destroy();
});
