import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { wire } from '../support/wire.ts';

const VERSIONS = [4, 5] as const;

describe('UNSUBSCRIBE', () => {
  test('one UNSUBACK with its identifier, in MQTT 5 a code for each filter (5.0: [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-2.2.1-6]; 3.1.1: [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-2.3.1-7])', async () => {
    for (const version of VERSIONS) {
      const [root, publisher] = [wire().name(), await wire().client()];
      const client = await wire().client({ version });
      await client.subscribe([`${root}/a`, `${root}/b/#`, `${root}/c`]);
      client.send({
        type: PacketType.UNSUBSCRIBE,
        packetId: 0xabcd,
        filters: [`${root}/a`, `${root}/nobody`, `${root}/b/#`],
      });
      expect(await client.next()).toMatchObject({
        type: PacketType.UNSUBACK,
        packetId: 0xabcd,
        reasonCodes: version === 5 ? [0, 0x11, 0] : [],
      });
      // And for nothing at all.
      client.send({ type: PacketType.UNSUBSCRIBE, packetId: 1, filters: ['nobody'] });
      expect(await client.next()).toMatchObject({ type: PacketType.UNSUBACK, packetId: 1 });
      for (const topic of ['a', 'b/x', 'c']) await publisher.publish(`${root}/${topic}`, topic, { qos: 1 });
      expect((await client.delivery()).payload).toBe('c');
      expect(await client.settled(publisher)).toEqual([]);
    }
  });

  test('a filter is compared as it is written, not for what it matches (5.0: [MQTT-3.10.4-1]; 3.1.1: [MQTT-3.10.4-1])', async () => {
    for (const version of VERSIONS) {
      const [root, publisher] = [wire().name(), await wire().client()];
      const client = await wire().client({ version });
      await client.subscribe(`${root}/+`);
      await client.unsubscribe(`${root}/#`, `${root}/x`, '#', `${root}/+/`, `${root.toUpperCase()}/+`);
      await publisher.publish(`${root}/x`, 'still', { qos: 1 });
      expect((await client.delivery()).payload).toBe('still');
      await client.unsubscribe(`${root}/+`);
      await publisher.publish(`${root}/x`, 'no more', { qos: 1 });
      expect(await client.settled(publisher)).toEqual([]);
    }
  });

  test('nothing new is added, what was begun is finished (5.0: [MQTT-3.10.4-2] [MQTT-3.10.4-3]; 3.1.1: [MQTT-3.10.4-2] [MQTT-3.10.4-3])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client()];
      const client = await wire().client({ version });
      await client.subscribe(topic);
      publisher.sendPublish(topic, 'one', { qos: 1 });
      publisher.sendPublish(topic, 'two', { qos: 2 });
      const [one, two] = [await client.held(), await client.held()];
      await client.unsubscribe(topic);
      await publisher.publish(topic, 'new', { qos: 1 });
      client.send({ type: PacketType.PUBACK, packetId: one.packetId, reasonCode: 0 });
      client.send({ type: PacketType.PUBREC, packetId: two.packetId, reasonCode: 0 });
      expect(await client.next()).toMatchObject({ type: PacketType.PUBREL, packetId: two.packetId, reasonCode: 0 });
      client.send({ type: PacketType.PUBCOMP, packetId: two.packetId, reasonCode: 0 });
      expect(await client.settled(publisher)).toEqual([]);
    }
  });
});
