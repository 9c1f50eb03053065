import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { wire } from '../support/wire.ts';

const VERSIONS = [4, 5] as const;

describe('SUBSCRIBE', () => {
  test('one SUBACK with its identifier, and a code for each filter in their order (5.0: [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT-2.2.1-6]; 3.1.1: [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT-2.3.1-7])', async () => {
    for (const version of VERSIONS) {
      const [root, publisher] = [wire().name(), await wire().client()];
      const client = await wire().client({ version });
      const asked = [
        ['a', 2],
        ['$queue/-bad', 1],
        ['b/+', 0],
        ['c/#', 1],
        ['$queue/-bad', 0],
      ] as const;
      const filters = asked.map(([filter]) => (filter.startsWith('$') ? filter : `${root}/${filter}`));
      client.send({
        type: PacketType.SUBSCRIBE,
        packetId: 0xfffe,
        subscriptions: asked.map(([, qos], i) => ({
          filter: filters[i] as string,
          qos,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 0,
        })),
      });
      const refused = version === 5 ? 0x8f : 0x80;
      expect(await client.next()).toMatchObject({
        type: PacketType.SUBACK,
        packetId: 0xfffe,
        reasonCodes: [2, refused, 0, 1, refused],
      });
      for (const topic of ['a', 'b/x', 'c/x/y']) await publisher.publish(`${root}/${topic}`, topic, { qos: 2 });
      for (const [payload, qos] of [
        ['a', 2],
        ['b/x', 0],
        ['c/x/y', 1],
      ] as const)
        expect(await client.delivery()).toMatchObject({ payload, qos });
    }
  });

  test('a delivery has the smaller of the published and the granted QoS (5.0: [MQTT-3.8.4-8]; 3.1.1: [MQTT-3.8.4-6])', async () => {
    for (const version of VERSIONS) {
      const [root, publisher] = [wire().name(), await wire().client({ version })];
      const client = await wire().client({ version });
      for (const granted of [0, 1, 2] as const) {
        expect((await client.subscribe(`${root}/${granted}`, { qos: granted })).reasonCodes).toEqual([granted]);
        for (const published of [0, 1, 2] as const) {
          await publisher.publish(`${root}/${granted}`, '', { qos: published });
          expect((await client.delivery()).qos).toBe(Math.min(granted, published));
        }
      }
    }
  });

  test('the same filter again replaces the subscription, options and identifier with it (5.0: [MQTT-3.8.4-3]; 3.1.1: [MQTT-3.8.4-3])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client()];
      const client = await wire().client({ version });
      await publisher.publish(topic, 'kept', { qos: 1, retain: true });
      const five = version === 5;
      await client.subscribe(topic, { qos: 0, ...(five ? { identifier: 1, retainAsPublished: true } : {}) });
      expect(await client.delivery()).toMatchObject({ payload: 'kept', qos: 0, retain: true });
      await client.subscribe(topic, { qos: 2, ...(five ? { identifier: 2 } : {}) });
      expect(await client.delivery()).toMatchObject({ payload: 'kept', qos: 1, retain: true });
      await publisher.publish(topic, 'next', { qos: 2, retain: true });
      const next = await client.delivery();
      expect(next).toMatchObject({ payload: 'next', qos: 2, retain: false });
      if (five) expect(next.properties.subscriptionIdentifiers).toEqual([2]);
      expect(await client.settled(publisher)).toEqual([]);
    }
  });

  test('nothing is lost while a subscription is replaced, and retained messages come again (5.0: [MQTT-3.8.4-4])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client();
    await publisher.publish(topic, 'kept', { qos: 1, retain: true });
    await client.subscribe(topic, { qos: 1 });
    expect((await client.delivery()).payload).toBe('kept');
    const live: string[] = [];
    for (let i = 0; i < 50; i++) {
      publisher.sendPublish(topic, `${i}`, { qos: 1 });
      if (i % 10 !== 5) continue;
      await client.subscribe(topic, { qos: 1 });
      for (let next = await client.delivery(); !next.retain; next = await client.delivery()) live.push(next.payload);
    }
    while (live.length < 50) live.push((await client.delivery()).payload);
    expect(live).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`));
  });

  test('No Local keeps a client’s own messages from it, on this connection and on the next (5.0: [MQTT-3.8.3-3])', async () => {
    const [topic, other] = [wire().name(), await wire().client()];
    const client = await wire().client({ near: other });
    await client.subscribe(topic, { noLocal: true });
    await client.publish(topic, 'own', { qos: 1 });
    await other.publish(topic, 'theirs', { qos: 1 });
    expect((await client.delivery()).payload).toBe('theirs');
    const second = await wire().client({ clientId: client.clientId, clean: false, near: other });
    await second.publish(topic, 'own again', { qos: 1 });
    expect(await second.settled(other)).toEqual([]);
  });

  test('overlapping ones: a copy each, with its identifier, and the highest QoS among them (5.0: [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-5]; 3.1.1: [MQTT-3.3.5-1])', async () => {
    const [root, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client();
    await client.subscribe(`${root}/+`, { qos: 1, identifier: 1 });
    await client.subscribe(`${root}/#`, { qos: 2, identifier: 268_435_455 });
    await client.subscribe(`${root}/x`, { qos: 0 });
    await publisher.publish(`${root}/x`, 'x', { qos: 2 });
    const copies = [await client.delivery(), await client.delivery(), await client.delivery()];
    expect(copies.map(({ qos, properties }) => [qos, properties.subscriptionIdentifiers]).sort()).toEqual([
      [0, undefined],
      [1, [1]],
      [2, [268_435_455]],
    ]);
    const old = await wire().client({ version: 4 });
    await old.subscribe([`${root}/y`], { qos: 1 });
    await old.subscribe([`${root}/#`], { qos: 2 });
    await publisher.publish(`${root}/y`, 'y', { qos: 2 });
    expect([(await old.delivery()).qos, (await old.delivery()).qos].sort()).toEqual([1, 2]);
  });
});
