import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { wire } from '../support/wire.ts';

describe('shared subscriptions', () => {
  test.each([
    ['no name (5.0: [MQTT-4.8.2-1])', '$share//t'],
    ['no filter (5.0: [MQTT-4.8.2-2])', '$share/g/'],
    ['no / behind the name (5.0: [MQTT-4.8.2-2])', '$share/g'],
    ['+ in the name (5.0: [MQTT-4.8.2-2])', '$share/g+/t'],
    ['# in the name (5.0: [MQTT-4.8.2-2])', '$share/#/t'],
  ])('%s: refused', async (_, filter) => {
    const client = await wire().client();
    client.write(`82 { 00 01 00 <${filter}> 00 }`);
    await client.refused(0x8f);
  });

  test('one member gets each message, with the QoS granted to it (5.0: [MQTT-4.8.2-3])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const members = [await wire().client(), await wire().client()];
    for (const [i, member] of members.entries()) await member.subscribe(`$share/g/${topic}`, { qos: i as 0 | 1 });
    for (let i = 0; i < 10; i++) await publisher.publish(topic, `${i}`, { qos: 2 });
    const came: string[] = [];
    for (const [i, member] of members.entries()) {
      for (const packet of await member.settled(publisher)) {
        if (packet.type !== PacketType.PUBLISH) continue;
        expect(packet.qos).toBe(i);
        came.push(Buffer.from(packet.payload).toString());
      }
    }
    expect(came.sort()).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`));
  });

  test('a refusal discards the message: nobody else gets it (5.0: [MQTT-4.8.2-6])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const first = await wire().client();
    await first.subscribe(`$share/g/${topic}`);
    publisher.sendPublish(topic, 'one', { qos: 1 });
    publisher.sendPublish(topic, 'two', { qos: 2 });
    const [one, two] = [await first.held(), await first.held()];
    const second = await wire().client();
    await second.subscribe(`$share/g/${topic}`);
    first.send({ type: PacketType.PUBACK, packetId: one.packetId, reasonCode: 0x80 });
    first.send({ type: PacketType.PUBREC, packetId: two.packetId, reasonCode: 0x80 });
    await first.ping();
    expect(await second.settled(publisher)).toEqual([]);
    expect(await first.settled(publisher)).toEqual([]);
  });

  test('a QoS 2 delivery that was begun goes to nobody else when its client’s session ends (5.0: [MQTT-4.8.2-5])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const first = await wire().client({ near: publisher });
    await first.subscribe(`$share/g/${topic}`);
    publisher.sendPublish(topic, 'x', { qos: 2 });
    await first.held();
    const second = await wire().client({ near: publisher });
    await second.subscribe(`$share/g/${topic}`);
    await first.bye();
    expect(await second.settled(publisher)).toEqual([]);
  });

  test('No Local on one is a protocol error (5.0: [MQTT-3.8.3-4])', async () => {
    const client = await wire().client();
    client.write('82 { 00 01 00 <$share/g/t> 04 }');
    await client.refused(0x82);
  });
});
