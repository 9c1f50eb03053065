import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { wire } from '../support/wire.ts';

const VERSIONS = [4, 5] as const;

describe('PUBLISH', () => {
  test('answered by its QoS: nothing, PUBACK, PUBREC (5.0: [MQTT-3.3.4-1] [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.3-8]; 3.1.1: [MQTT-3.3.4-1] [MQTT-2.3.1-6])', async () => {
    for (const version of VERSIONS) {
      const client = await wire().client({ version });
      const topic = wire().name();
      client.sendPublish(topic, 'x');
      client.sendPublish(topic, 'x', { qos: 1, packetId: 41 });
      client.sendPublish(topic, 'x', { qos: 2, packetId: 42 });
      expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, packetId: 41 });
      expect(await client.next()).toMatchObject({ type: PacketType.PUBREC, packetId: 42 });
      await client.ping();
      expect(client.raw.packets).toEqual([]);
    }
  });

  test('its answers have reason codes of theirs (5.0: [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.7.2-1] [MQTT-3.6.2-1])', async () => {
    const client = await wire().client();
    const topic = wire().name();
    expect([0x00, 0x10]).toContain(await client.publish(topic, 'x', { qos: 1 }));
    expect([0x00, 0x10]).toContain(await client.publish(topic, 'x', { qos: 2 }));
    expect(await client.publish('$SYS/x', 'x', { qos: 1 })).toBe(0x87);
    expect(await client.publish('$SYS/x', 'x', { qos: 2 })).toBe(0x87);
    client.send({ type: PacketType.PUBREL, packetId: 4711, reasonCode: 0 });
    expect(await client.take(PacketType.PUBCOMP)).toMatchObject({ packetId: 4711, reasonCode: 0x92 });
    client.send({ type: PacketType.PUBREC, packetId: 4711, reasonCode: 0 });
    expect(await client.take(PacketType.PUBREL)).toMatchObject({ packetId: 4711, reasonCode: 0x92 });
  });

  test.each([
    ['PUBACK (5.0: [MQTT-3.4.2-1])', '40 { 00 01 03 }'],
    ['PUBREC (5.0: [MQTT-3.5.2-1])', '50 { 00 01 03 }'],
    ['PUBREL (5.0: [MQTT-3.6.2-1])', '62 { 00 01 03 }'],
    ['PUBCOMP (5.0: [MQTT-3.7.2-1])', '70 { 00 01 03 }'],
  ])('a client’s %s with a reason code of nobody ends the connection', async (_, bytes) => {
    const client = await wire().client();
    client.write(bytes);
    await client.refused(0x82);
  });

  test('QoS 0 on the wire: no identifier, no DUP (5.0: [MQTT-2.2.1-2] [MQTT-3.3.1-2] [MQTT-4.3.1-1]; 3.1.1: [MQTT-2.3.1-5] [MQTT-3.3.1-2] [MQTT-4.3.1-1])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client()];
      const client = await wire().client({ version });
      await client.subscribe(topic, { qos: 0 });
      const bytes: number[] = [];
      client.raw.tap = (chunk) => bytes.push(...chunk);
      publisher.sendPublish(topic, 'hi');
      await client.held();
      const expected = [0x30, topic.length + 4 + (version === 5 ? 1 : 0), 0, topic.length, ...Buffer.from(topic)];
      expect(bytes).toEqual([...expected, ...(version === 5 ? [0] : []), ...Buffer.from('hi')]);
    }
  });

  test('what a publisher says of DUP does not travel (5.0: [MQTT-3.3.1-3]; 3.1.1: [MQTT-3.3.1-3])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client({ version })];
      const client = await wire().client({ version });
      await client.subscribe(topic);
      for (const qos of [1, 2] as const) {
        await publisher.publish(topic, 'x', { qos, dup: true });
        expect(await client.delivery()).toMatchObject({ qos, dup: false });
      }
    }
  });

  test('deliveries have identifiers that are not 0 and not in use, and no DUP at first (5.0: [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2]; 3.1.1: [MQTT-2.3.1-4] [MQTT-2.3.1-1] [MQTT-4.3.2-1])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client()];
      const client = await wire().client({ version });
      await client.subscribe(topic);
      const held: number[] = [];
      for (let i = 0; i < 30; i++) publisher.sendPublish(topic, `${i}`, { qos: i % 2 === 0 ? 1 : 2 });
      for (let i = 0; i < 30; i++) {
        const { packetId, qos, dup } = await client.held();
        expect([qos, dup]).toEqual([i % 2 === 0 ? 1 : 2, false]);
        expect(packetId).toBeGreaterThan(0);
        held.push(packetId);
      }
      expect(new Set(held).size).toBe(30);
    }
  });

  test('in the order they were published, by topic and QoS (5.0: [MQTT-4.6.0-5] [MQTT-4.6.0-6]; 3.1.1: [MQTT-4.6.0-5] [MQTT-4.6.0-6])', async () => {
    for (const version of VERSIONS) {
      for (const qos of [0, 1, 2] as const) {
        const [topic, publisher] = [wire().name(), await wire().client({ version })];
        const client = await wire().client({ version });
        await client.subscribe(topic);
        const numbers = Array.from({ length: 200 }, (_, i) => `${i}`);
        for (const number of numbers) publisher.sendPublish(topic, number, { qos });
        const came: string[] = [];
        while (came.length < numbers.length) came.push((await client.delivery()).payload);
        expect(came).toEqual(numbers);
      }
    }
  });

  test('a topic that matches the subscription, spelled as it was published (5.0: [MQTT-3.3.2-3] [MQTT-4.7.3-4]; 3.1.1: [MQTT-3.3.2-3] [MQTT-4.7.3-4])', async () => {
    const [root, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client();
    // Composed and decomposed, upper and lower case, empty levels and blanks are all different.
    const topics = ['Ä', 'A\u0308', 'ä', '', ' ', 'a b', 'x/', '/x', 'x//y'].map((level) => `${root}/${level}`);
    for (const topic of topics) {
      await client.subscribe(topic);
      for (const other of topics) await publisher.publish(other, other, { qos: 1 });
      expect(await client.delivery()).toMatchObject({ topic, payload: topic });
      expect(await client.settled(publisher)).toEqual([]);
      await client.unsubscribe(topic);
    }
  });

  test('U+FEFF is a character like others, at every place (5.0: [MQTT-1.5.4-3]; 3.1.1: [MQTT-1.5.3-3])', async () => {
    for (const version of VERSIONS) {
      const [root, publisher] = [wire().name(), await wire().client({ version })];
      const client = await wire().client({ version });
      const topic = `\ufeff${root}/\ufeff/x\ufeff`;
      await client.subscribe(topic);
      await publisher.publish(topic, 'x', { qos: 1 });
      await publisher.publish(topic.replaceAll('\ufeff', ''), 'y', { qos: 1 });
      expect(await client.delivery()).toMatchObject({ topic, payload: 'x' });
      expect(await client.settled(publisher)).toEqual([]);
    }
  });

  test('what is not allowed is refused, or ends the connection in 3.1.1 (3.1.1: [MQTT-3.3.5-2])', async () => {
    const client = await wire().client({ version: 4 });
    client.sendPublish('$SYS/x', 'x', { qos: 1 });
    await client.refused(0x87);
  });
});
