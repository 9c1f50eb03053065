import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { type WireClient, wire } from '../support/wire.ts';

/** MQTT 3.1 numbers no statements; what differs from 3.1.1 is named here. */
async function client31(hello: { clientId?: string; flags?: string; rest?: string } = {}): Promise<WireClient> {
  const { clientId = wire().name(), flags = '02', rest = '' } = hello;
  const client = await wire().open();
  client.raw.version = 4;
  client.clientId = clientId;
  client.write(`10 { <MQIsdp> 03 ${flags} 00 00 <${clientId}> ${rest} }`);
  return client;
}

describe('MQTT 3.1', () => {
  test('speaks with clients of every version, at every QoS, with will and retain', async () => {
    const [topic, other] = [wire().name(), await wire().client()];
    await other.subscribe(topic);
    const client = await client31({ flags: '0e', rest: `<${topic}> <gone>` });
    expect(await client.take(PacketType.CONNACK)).toMatchObject({ reasonCode: 0, sessionPresent: false });
    await client.subscribe(topic);
    for (const qos of [0, 1, 2] as const) {
      await client.publish(topic, `${qos}`, { qos });
      expect(await client.delivery()).toMatchObject({ payload: `${qos}`, qos, retain: false });
      expect(await other.delivery()).toMatchObject({ payload: `${qos}`, qos });
    }
    await client.ping();
    await client.unsubscribe(topic);
    client.drop();
    expect(await other.delivery()).toMatchObject({ payload: 'gone', qos: 1 });
  });

  test('client identifiers longer than 23 characters are let in, an empty one is not', async () => {
    const client = await client31({ clientId: 'longer-than-twenty-three-characters' });
    expect(await client.take(PacketType.CONNACK)).toMatchObject({ reasonCode: 0 });
    await client.ping();
    const nobody = await client31({ clientId: '' });
    expect(await nobody.ended()).toEqual([expect.objectContaining({ type: PacketType.CONNACK, reasonCode: 2 })]);
  });

  test('DUP on what is sent again and answered: SUBSCRIBE, UNSUBSCRIBE, PUBREL', async () => {
    const client = await client31();
    await client.take(PacketType.CONNACK);
    client.write('8a { 00 01 <t> 01 } aa { 00 02 <t> } 6a { 00 03 }');
    for (const type of [PacketType.SUBACK, PacketType.UNSUBACK, PacketType.PUBCOMP]) await client.take(type);
    // MQTT 3.1.1 has taken it back.
    const later = await wire().client({ version: 4 });
    later.write('8a { 00 01 <t> 01 }');
    await later.refused(0x81);
  });

  test('a user name flag without a user name, which it allows', async () => {
    const client = await client31({ flags: 'c2' });
    expect(await client.take(PacketType.CONNACK)).toMatchObject({ reasonCode: 0 });
  });

  test('a session that goes on is not announced: the flag is younger', async () => {
    const topic = wire().name();
    const first = await client31({ flags: '00' });
    await first.take(PacketType.CONNACK);
    await first.subscribe(topic, { qos: 1 });
    const second = await wire().open(first);
    second.raw.version = 4;
    second.write(`10 { <MQIsdp> 03 00 00 00 <${first.clientId}> }`);
    expect(await second.take(PacketType.CONNACK)).toMatchObject({ reasonCode: 0, sessionPresent: false });
    await second.publish(topic, 'still', { qos: 1 });
    expect(await second.delivery()).toMatchObject({ payload: 'still' });
  });

  test.each([
    ['its name with the level of 3.1.1', '10 { <MQIsdp> 04 02 00 00 <c> }'],
    ['its level with the name of 3.1.1', '10 { <MQTT> 03 02 00 00 <c> }'],
  ])('%s: return code 1', async (_, bytes) => {
    const client = await wire().open();
    client.raw.version = 4;
    client.write(bytes);
    expect(await client.ended()).toEqual([expect.objectContaining({ type: PacketType.CONNACK, reasonCode: 1 })]);
  });
});
