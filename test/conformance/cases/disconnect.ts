import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { wire } from '../support/wire.ts';

const VERSIONS = [4, 5] as const;

describe('DISCONNECT', () => {
  test('of a client: what comes behind it is not processed, and the connection is closed (5.0: [MQTT-3.14.4-1] [MQTT-3.14.4-2]; 3.1.1: [MQTT-3.14.4-1] [MQTT-3.14.4-2])', async () => {
    for (const version of VERSIONS) {
      const [topic, watcher] = [wire().name(), await wire().client()];
      await watcher.subscribe(topic);
      const client = await wire().client({ version });
      // The client does not close: the server does.
      client.write(`e0 00 30 { <${topic}> ${version === 5 ? '00' : ''} } c0 00`);
      expect(await client.ended()).toEqual([]);
      expect(await watcher.settled(await wire().client())).toEqual([]);
    }
  });

  test('of the server: a reason code of its own, no Session Expiry Interval, and nothing after it (5.0: [MQTT-3.14.2-1] [MQTT-3.14.2-2] [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-4.13.2-1])', async () => {
    const client = await wire().client({ properties: { sessionExpiryIntervalS: 60 } });
    const topic = wire().name();
    await client.subscribe(topic);
    await wire().client({ clientId: client.clientId });
    await (await wire().client()).publish(topic, 'x', { qos: 1 });
    const words = await client.ended();
    expect(words).toEqual([expect.objectContaining({ type: PacketType.DISCONNECT, reasonCode: 0x8e })]);
    expect(
      (words[0] as { properties?: { sessionExpiryIntervalS?: number } }).properties?.sessionExpiryIntervalS,
    ).toBeUndefined();
  });

  test('none before a CONNACK that lets in (5.0: [MQTT-3.14.0-1])', async () => {
    const client = await wire().open();
    client.raw.version = 5;
    client.write('10 { <MQTT> 05 02 00 00 { 11 00 00 00 01 11 00 00 00 01 } <c> }');
    expect(await client.ended()).toEqual([expect.objectContaining({ type: PacketType.CONNACK, reasonCode: 0x82 })]);
  });

  test('of every reason code a client may give (5.0: [MQTT-3.14.2-1])', async () => {
    for (const reasonCode of [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]) {
      const client = await wire().client();
      client.send({
        type: PacketType.DISCONNECT,
        reasonCode,
        properties: { reasonString: 'because', userProperties: ['k', 'v'] },
      });
      expect(await client.ended()).toEqual([]);
    }
  });

  test('a session expiry raised from 0 is a protocol error', async () => {
    const client = await wire().client();
    client.write('e0 { 00 { 11 00 00 00 09 } }');
    await client.refused(0x82);
  });
});
