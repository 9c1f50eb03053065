import { describe, expect, test } from '@jest/globals';
import { type WireClient, wire } from '../support/wire.ts';

const VERSIONS = [4, 5] as const;

/**
 * What a client that subscribes now is sent: topic, payload, QoS, and that all of it has RETAIN. The stores are read after
 * the SUBACK, so that nothing more comes is seen by waiting a little.
 */
async function retainedFor(filter: string, count: number, near?: WireClient): Promise<string[]> {
  const late = await wire().client({ near });
  await late.subscribe(filter);
  const found: string[] = [];
  while (found.length < count) {
    const { topic, payload, qos, retain } = await late.delivery();
    expect(retain).toBe(true);
    found.push(`${topic} ${payload} ${qos}`);
  }
  await new Promise((resolve) => setTimeout(resolve, STILL_MS));
  expect(late.raw.packets).toEqual([]);
  return found.sort();
}

const STILL_MS = 200;

describe('retained messages', () => {
  test('the last one of each topic, with its QoS, for whoever subscribes later (5.0: [MQTT-3.3.1-5] [MQTT-3.3.1-9]; 3.1.1: [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8])', async () => {
    for (const version of VERSIONS) {
      const [root, publisher] = [wire().name(), await wire().client({ version })];
      await publisher.publish(`${root}/a`, 'old', { qos: 1, retain: true });
      await publisher.publish(`${root}/a`, 'new', { qos: 2, retain: true });
      await publisher.publish(`${root}/b`, 'b', { qos: 1, retain: true });
      expect(await retainedFor(`${root}/+`, 2)).toEqual([`${root}/a new 2`, `${root}/b b 1`]);
    }
  });

  test('at QoS 0 they replace what was there (3.1.1: [MQTT-3.3.1-7])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client({ version: 4 })];
    await publisher.publish(topic, 'old', { qos: 1, retain: true });
    publisher.sendPublish(topic, 'new', { retain: true });
    await publisher.ping();
    // Nobody is told when a QoS 0 message is stored: other gateways may not see it yet.
    expect(await retainedFor(topic, 1, publisher)).toEqual([`${topic} new 0`]);
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
      expect(await retainedFor(topic, 0)).toEqual([]);
    }
  });

  test('a message without RETAIN leaves them as they are (5.0: [MQTT-3.3.1-8]; 3.1.1: [MQTT-3.3.1-12])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client({ version })];
      await publisher.publish(topic, 'unkept', { qos: 1 });
      expect(await retainedFor(topic, 0)).toEqual([]);
      await publisher.publish(topic, 'kept', { qos: 1, retain: true });
      await publisher.publish(topic, 'passing', { qos: 1 });
      await publisher.publish(topic, '', { qos: 1 });
      expect(await retainedFor(topic, 1)).toEqual([`${topic} kept 1`]);
    }
  });

  test('they are nobody’s: the end of a session does not touch them (3.1.1: [MQTT-3.1.2.7])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client({ version: 4 })];
    await publisher.publish(topic, 'kept', { qos: 1, retain: true });
    await publisher.bye();
    await (await wire().client({ version: 4, clientId: publisher.clientId })).bye();
    expect(await retainedFor(topic, 1)).toEqual([`${topic} kept 1`]);
  });

  test('Retain Handling 0 sends them each time, 1 to a new subscription, 2 never (5.0: [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    await publisher.publish(topic, 'kept', { qos: 1, retain: true });
    const client = await wire().client();
    const sent = async (retainHandling: 0 | 1 | 2): Promise<number> => {
      await client.subscribe(topic, { retainHandling });
      await new Promise((resolve) => setTimeout(resolve, STILL_MS));
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
