import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { wire } from '../support/wire.ts';

describe('Receive Maximum', () => {
  test('of a client: never more unacknowledged deliveries, and everything else goes on (5.0: [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client({ properties: { receiveMaximum: 3 } });
    await client.subscribe(topic);
    for (let i = 0; i < 9; i++) publisher.sendPublish(topic, `${i}`, { qos: i % 3 === 2 ? 2 : 1 });
    const held = [await client.held(), await client.held(), await client.held()];
    expect(held.map(({ payload }) => payload)).toEqual(['0', '1', '2']);
    // QoS 0, pings, subscriptions and publishes are not held back, and no fourth delivery comes.
    await publisher.publish(topic, 'now', { qos: 0 });
    expect(await client.held()).toMatchObject({ payload: 'now', qos: 0 });
    await client.ping();
    expect(await client.publish(wire().name(), 'x', { qos: 2 })).toBeLessThan(0x80);
    expect(await client.settled(publisher)).toEqual([]);
    // PUBREC alone gives no place back, PUBACK and PUBCOMP do.
    client.send({ type: PacketType.PUBREC, packetId: held[2]?.packetId ?? 0, reasonCode: 0 });
    await client.take(PacketType.PUBREL);
    expect(await client.settled(publisher)).toEqual([]);
    client.send({ type: PacketType.PUBACK, packetId: held[0]?.packetId ?? 0, reasonCode: 0 });
    expect((await client.held()).payload).toBe('3');
    client.send({ type: PacketType.PUBCOMP, packetId: held[2]?.packetId ?? 0, reasonCode: 0 });
    expect((await client.held()).payload).toBe('4');
    // A PUBREC that refuses gives its place back at once.
    client.send({ type: PacketType.PUBACK, packetId: held[1]?.packetId ?? 0, reasonCode: 0 });
    const last = await client.held();
    expect(last).toMatchObject({ payload: '5', qos: 2 });
    client.send({ type: PacketType.PUBREC, packetId: last.packetId, reasonCode: 0x80 });
    expect((await client.held()).payload).toBe('6');
  });

  test('a Receive Maximum of 0 refuses the CONNECT (5.0: [MQTT-4.9.0-1])', async () => {
    const client = await wire().open();
    client.raw.version = 5;
    client.write('10 { <MQTT> 05 02 00 00 { 21 00 00 } <c> }');
    expect(await client.ended()).toEqual([expect.objectContaining({ type: PacketType.CONNACK, reasonCode: 0x82 })]);
  });

  test('of the server: more unfinished publishes end the connection (5.0: [MQTT-3.3.4-7])', async () => {
    const client = await wire().open();
    const maximum = (await client.connect()).properties?.receiveMaximum ?? 0;
    expect(maximum).toBeGreaterThan(0);
    const topic = wire().name();
    // QoS 2 publishes count until their PUBREL.
    if (maximum === 65_535) {
      // There are no more packet identifiers than that, so nobody can exceed it.
      for (let packetId = 1; packetId <= 500; packetId++) client.sendPublish(topic, '', { qos: 2, packetId });
      await client.ping();
      return;
    }
    for (let packetId = 1; packetId <= maximum + 1; packetId++) client.sendPublish(topic, '', { qos: 2, packetId });
    await client.raw.untilClosed();
    expect(client.raw.packets.at(-1)).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x93 });
  });
});
