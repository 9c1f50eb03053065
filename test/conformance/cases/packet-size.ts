import { describe, expect, test } from '@jest/globals';
import { encodedSizeBytes } from '@sluice/mqtt/codec/encoder';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { type WireClient, wire } from '../support/wire.ts';

const limited = async (maximumPacketSizeBytes: number, near?: WireClient): Promise<WireClient> =>
  wire().client({ properties: { maximumPacketSizeBytes }, near });

describe('Maximum Packet Size', () => {
  test('of a client: what is larger is dropped as if it had been delivered, the rest comes (5.0: [MQTT-3.1.2-24] [MQTT-3.1.2-25])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client({ properties: { maximumPacketSizeBytes: 100, receiveMaximum: 1 } });
    await client.subscribe(topic);
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish(topic, 'x'.repeat(200), { qos });
      await publisher.publish(topic, 'small', { qos });
      expect(await client.delivery()).toMatchObject({ payload: 'small', qos });
    }
    // Exactly as large as allowed is not larger.
    const exact =
      100 -
      encodedSizeBytes(
        { type: PacketType.PUBLISH, topic, payload: new Uint8Array(0), qos: 1, retain: false, dup: false, packetId: 1 },
        5,
      );
    await publisher.publish(topic, 'y'.repeat(exact + 1), { qos: 1 });
    await publisher.publish(topic, 'z'.repeat(exact), { qos: 1 });
    expect((await client.delivery()).payload).toBe('z'.repeat(exact));
  });

  test.each([
    ['SUBACK (5.0: [MQTT-3.9.2-1])', async (client: WireClient) => client.subscribe('$queue/-bad')],
    [
      'PUBACK (5.0: [MQTT-3.4.2-2])',
      async (client: WireClient) => {
        client.sendPublish('$SYS/x', '', { qos: 1 });
        return client.take(PacketType.PUBACK);
      },
    ],
    [
      'PUBREC (5.0: [MQTT-3.5.2-2])',
      async (client: WireClient) => {
        client.sendPublish('$SYS/x', '', { qos: 2 });
        return client.take(PacketType.PUBREC);
      },
    ],
    [
      'PUBCOMP (5.0: [MQTT-3.7.2-2])',
      async (client: WireClient) => {
        client.send({ type: PacketType.PUBREL, packetId: 9, reasonCode: 0 });
        return client.take(PacketType.PUBCOMP);
      },
    ],
    [
      'PUBREL (5.0: [MQTT-3.6.2-2])',
      async (client: WireClient) => {
        client.send({ type: PacketType.PUBREC, packetId: 9, reasonCode: 0 });
        return client.take(PacketType.PUBREL);
      },
    ],
    ['UNSUBACK (5.0: [MQTT-3.11.2-1])', async (client: WireClient) => client.unsubscribe('nobody/subscribed/this')],
    [
      'DISCONNECT (5.0: [MQTT-3.14.2-3])',
      async (client: WireClient) => {
        client.write('c0 01 00');
        return client.take(PacketType.DISCONNECT);
      },
    ],
  ])('%s loses its reason string rather than exceed it', async (_, ask) => {
    const full = await ask(await wire().client());
    expect(full.properties?.reasonString).toEqual(expect.any(String));
    const short = await ask(await limited(encodedSizeBytes(full, 5) - 1));
    expect(short.properties?.reasonString).toBeUndefined();
    expect({ ...short, properties: undefined }).toEqual({ ...full, properties: undefined });
    expect((await ask(await limited(encodedSizeBytes(full, 5)))).properties).toEqual(full.properties);
  });

  test('CONNACK loses its reason string rather than exceed it (5.0: [MQTT-3.2.2-19])', async () => {
    const ask = async (maximumPacketSizeBytes?: number) => {
      const client = await wire().open();
      const properties = maximumPacketSizeBytes === undefined ? {} : { maximumPacketSizeBytes };
      return client.connect({ will: { topic: '$SYS/x' }, properties });
    };
    const full = await ask();
    expect(full.properties?.reasonString).toEqual(expect.any(String));
    expect((await ask(encodedSizeBytes(full, 5))).properties).toEqual(full.properties);
    const short = await ask(encodedSizeBytes(full, 5) - 1);
    expect(short).toMatchObject({ reasonCode: 0x87 });
    expect(short.properties?.reasonString).toBeUndefined();
  });

  test('of a client: an answer that it does not take, even without words, ends the connection (5.0: [MQTT-3.1.2-24])', async () => {
    const client = await limited(40);
    const filters = Array.from({ length: 50 }, (_, i) => wire().name() + i);
    client.send({
      type: PacketType.SUBSCRIBE,
      packetId: 7,
      subscriptions: filters.map((filter) => {
        return { filter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 };
      }),
    });
    await client.refused(0x95);
  });

  test('of a client: where no CONNACK fits the CONNECT is refused, without a word if that does not fit (5.0: [MQTT-3.1.2-24])', async () => {
    const asking = async (maximumPacketSizeBytes: number): Promise<WireClient> => {
      const client = await wire().open();
      client.hello({ properties: { maximumPacketSizeBytes } });
      return client;
    };
    expect(await (await asking(8)).ended()).toMatchObject([{ type: PacketType.CONNACK, reasonCode: 0x95 }]);
    expect(await (await asking(4)).ended()).toEqual([]);
  });

  test('of the server: a larger packet ends the connection at its fixed header (5.0: [MQTT-3.2.2-15])', async () => {
    const client = await wire().open();
    const maximum = (await client.connect()).properties?.maximumPacketSizeBytes ?? 0;
    expect(maximum).toBeGreaterThan(0);
    const remaining = maximum - 4;
    const length = [0, 7, 14, 21].map((shift) => ((remaining >> shift) & 0x7f) | (shift < 21 ? 0x80 : 0));
    client.write(`30 ${Buffer.from(length).toString('hex')}`);
    await client.refused(0x95);
  });
});
