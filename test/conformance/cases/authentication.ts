import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { wire } from '../support/wire.ts';

describe('enhanced authentication', () => {
  test('a method that is not offered: 0x8C, and closed (5.0: [MQTT-4.12.0-1])', async () => {
    const client = await wire().open();
    expect(await client.connect({ properties: { authenticationMethod: 'nobody offers this' } })).toMatchObject({
      reasonCode: 0x8c,
    });
    expect(await client.ended()).toEqual([]);
  });

  test('without a method there is no AUTH and no method in the CONNACK (5.0: [MQTT-4.12.0-6])', async () => {
    const client = await wire().open();
    const connack = await client.connect({ username: 'somebody', password: 'secret' });
    expect(connack.properties?.authenticationMethod).toBeUndefined();
    expect(connack.properties?.authenticationData).toBeUndefined();
    await client.ping();
    expect(client.raw.packets.filter(({ type }) => type === PacketType.AUTH)).toEqual([]);
  });
});
