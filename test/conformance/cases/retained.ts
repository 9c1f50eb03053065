import { describe, expect, test } from '@jest/globals';
import { type Options, type WireClient, wire } from '../support/wire.ts';

const VERSIONS = [4, 5] as const;

/** What a client that subscribes now is sent: topic, payload, QoS, and that all of it has RETAIN. */
async function retainedFor(publisher: WireClient, filter: string, options: Options = {}): Promise<string[]> {
  const late = await wire().client({ near: publisher });
  await late.subscribe(filter, options);
  const found: string[] = [];
  for (const packet of await late.settled(publisher)) {
    if (packet.type !== 3) continue;
    expect(packet.retain).toBe(true);
    found.push(`${packet.topic} ${Buffer.from(packet.payload).toString()} ${packet.qos}`);
  }
  return found.sort();
}

describe('retained messages', () => {
  test('the last one of each topic, with its QoS, for whoever subscribes later (5.0: [MQTT-3.3.1-5] [MQTT-3.3.1-9]; 3.1.1: [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8])', async () => {
    for (const version of VERSIONS) {
      const [root, publisher] = [wire().name(), await wire().client({ version })];
      await publisher.publish(`${root}/a`, 'old', { qos: 1, retain: true });
      await publisher.publish(`${root}/a`, 'new', { qos: 2, retain: true });
      await publisher.publish(`${root}/b`, 'b', { qos: 1, retain: true });
      expect(await retainedFor(publisher, `${root}/+`)).toEqual([`${root}/a new 2`, `${root}/b b 1`]);
    }
  });

  test('at QoS 0 they replace what was there (3.1.1: [MQTT-3.3.1-7])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client({ version: 4 })];
    await publisher.publish(topic, 'old', { qos: 1, retain: true });
    publisher.sendPublish(topic, 'new', { retain: true });
    await publisher.ping();
    expect(await retainedFor(publisher, topic)).toEqual([`${topic} new 0`]);
  });

  test('an empty one is delivered, removes what was there, and is not kept (5.0: [MQTT-3.3.1-6] [MQTT-3.3.1-7]; 3.1.1: [MQTT-3.3.1-10] [MQTT-3.3.1-11])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client({ version })];
      const live = await wire().client({ version });
      await live.subscribe(topic);
      await publisher.publish(topic, 'kept', { qos: 1, retain: true });
      await publisher.publish(topic, '', { qos: 1, retain: true });
      expect(await live.delivery()).toMatchObject({ payload: 'kept' });
      expect(await live.delivery()).toMatchObject({ payload: '', retain: false });
      expect(await retainedFor(publisher, topic)).toEqual([]);
    }
  });

  test('a message without RETAIN leaves them as they are (5.0: [MQTT-3.3.1-8]; 3.1.1: [MQTT-3.3.1-12])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client({ version })];
      await publisher.publish(topic, 'unkept', { qos: 1 });
      expect(await retainedFor(publisher, topic)).toEqual([]);
      await publisher.publish(topic, 'kept', { qos: 1, retain: true });
      await publisher.publish(topic, 'passing', { qos: 1 });
      await publisher.publish(topic, '', { qos: 1 });
      expect(await retainedFor(publisher, topic)).toEqual([`${topic} kept 1`]);
    }
  });

  test('they are nobody’s: the end of a session does not touch them (3.1.1: [MQTT-3.1.2.7])', async () => {
    const [topic, reader] = [wire().name(), await wire().client()];
    const publisher = await wire().client({ version: 4, near: reader });
    await publisher.publish(topic, 'kept', { qos: 1, retain: true });
    await publisher.bye();
    await (await wire().client({ version: 4, clientId: publisher.clientId, near: reader })).bye();
    expect(await retainedFor(reader, topic)).toEqual([`${topic} kept 1`]);
  });

  test('Retain Handling 0 sends them each time, 1 to a new subscription, 2 never (5.0: [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    await publisher.publish(topic, 'kept', { qos: 1, retain: true });
    const client = await wire().client({ near: publisher });
    const sent = async (retainHandling: 0 | 1 | 2): Promise<number> => {
      await client.subscribe(topic, { retainHandling });
      return (await client.settled(publisher)).length;
    };
    expect([await sent(2), await sent(1), await sent(0), await sent(0), await sent(1)]).toEqual([0, 0, 1, 1, 0]);
    await client.unsubscribe(topic);
    expect(await sent(1)).toBe(1);
  });

  test('to a subscription that was there RETAIN is 0, unless it asked for it as published (5.0: [MQTT-3.3.1-12] [MQTT-3.3.1-13]; 3.1.1: [MQTT-3.3.1-9])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const [plain, asPublished, old] = [
      await wire().client(),
      await wire().client(),
      await wire().client({ version: 4 }),
    ];
    await plain.subscribe(topic);
    await asPublished.subscribe(topic, { retainAsPublished: true });
    await old.subscribe(topic);
    for (const retain of [true, false]) {
      await publisher.publish(topic, 'x', { qos: 1, retain });
      expect((await plain.delivery()).retain).toBe(false);
      expect((await old.delivery()).retain).toBe(false);
      expect((await asPublished.delivery()).retain).toBe(retain);
    }
  });
});
