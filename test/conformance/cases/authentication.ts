import { describe, expect, test } from '@jest/globals';
import { PacketType, type Properties } from '@sluice/mqtt/codec/packet';
import { ScramClient } from '../support/scram-client.ts';
import { type Hello, USER, type WireClient, wire } from '../support/wire.ts';

const METHOD = 'SCRAM-SHA-256';
let nonces = 0;

const scram = (password = USER.password): ScramClient => new ScramClient(USER.username, password, `nonce${++nonces}`);

/** CONNECT and the server's first AUTH. */
async function asked(as: ScramClient, hello: Hello = {}): Promise<{ client: WireClient; challenge: Properties }> {
  const client = await wire().open();
  client.hello({ ...hello, properties: { authenticationMethod: METHOD, authenticationData: as.first() } });
  const { reasonCode, properties = {} } = await client.take(PacketType.AUTH);
  expect([reasonCode, properties.authenticationMethod]).toEqual([0x18, METHOD]);
  return { client, challenge: properties };
}

function answer(client: WireClient, reasonCode: number, data: Uint8Array, method = METHOD): void {
  const properties = { authenticationMethod: method, authenticationData: data };
  client.send({ type: PacketType.AUTH, reasonCode, properties });
}

async function admitted(hello: Hello = {}): Promise<WireClient> {
  const as = scram();
  const { client, challenge } = await asked(as, hello);
  answer(client, 0x18, as.final(challenge.authenticationData ?? Buffer.of()));
  const { reasonCode, properties = {} } = await client.take(PacketType.CONNACK);
  expect([reasonCode, properties.authenticationMethod]).toEqual([0, METHOD]);
  expect(as.isServer(properties.authenticationData)).toBe(true);
  return client;
}

describe('enhanced authentication', () => {
  test('a method that is not offered: 0x8C, and closed (5.0: [MQTT-4.12.0-1])', async () => {
    const client = await wire().open();
    const properties = { authenticationMethod: 'nobody offers this' };
    expect(await client.connect({ properties })).toMatchObject({ reasonCode: 0x8c });
    expect(await client.ended()).toEqual([]);
  });

  test('without a method there is no AUTH and no method in the CONNACK (5.0: [MQTT-4.12.0-6])', async () => {
    const client = await wire().open();
    const connack = await client.connect({ ...USER });
    expect(connack).toMatchObject({ reasonCode: 0 });
    expect(connack.properties?.authenticationMethod).toBeUndefined();
    expect(connack.properties?.authenticationData).toBeUndefined();
    await client.ping();
    expect(client.raw.packets.filter(({ type }) => type === PacketType.AUTH)).toEqual([]);
  });

  test('SCRAM-SHA-256: AUTH 0x18 both ways, and a CONNACK that proves the server (5.0: [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5])', async () => {
    const client = await admitted();
    const topic = wire().name();
    await client.subscribe(topic);
    await client.publish(topic, 'x', { qos: 1 });
    expect(await client.delivery()).toMatchObject({ payload: 'x' });
  });

  test('a wrong password: a CONNACK that refuses, and closed (5.0: [MQTT-4.12.0-4])', async () => {
    const as = scram('pen');
    const { client, challenge } = await asked(as);
    answer(client, 0x18, as.final(challenge.authenticationData ?? Buffer.of()));
    expect(await client.take(PacketType.CONNACK)).toMatchObject({ reasonCode: 0x87, sessionPresent: false });
    expect(await client.ended()).toEqual([]);
  });

  test('nothing but AUTH and DISCONNECT before CONNACK (5.0: [MQTT-3.1.2-30])', async () => {
    const { client } = await asked(scram());
    client.send({ type: PacketType.PINGREQ });
    expect(await client.take(PacketType.CONNACK)).toMatchObject({ reasonCode: 0x82 });
    expect(await client.ended()).toEqual([]);
    const other = (await asked(scram())).client;
    await other.bye();
    expect(other.raw.packets).toEqual([]);
  });

  test('AUTH with another method, or of another kind, is a protocol error (5.0: [MQTT-4.12.0-3] [MQTT-4.12.0-5])', async () => {
    for (const [reasonCode, method] of [
      [0x18, 'another'],
      [0x19, METHOD],
    ] as const) {
      const { client } = await asked(scram());
      answer(client, reasonCode, Buffer.of(), method);
      expect(await client.take(PacketType.CONNACK)).toMatchObject({ reasonCode: 0x82 });
      expect(await client.ended()).toEqual([]);
    }
  });

  test('before it is over packets stay small: nobody makes the server keep a megabyte', async () => {
    const { client } = await asked(scram());
    answer(client, 0x18, Buffer.alloc(65_000));
    expect(await client.take(PacketType.CONNACK)).toMatchObject({ reasonCode: 0x87 });
    const other = (await asked(scram())).client;
    other.write('f0 80 80 40');
    expect((await other.ended()).filter(({ type }) => type !== PacketType.CONNACK)).toEqual([]);
  });

  test('once more on an open connection, which goes on meanwhile (5.0: [MQTT-4.12.1-1])', async () => {
    const client = await admitted();
    for (let i = 0; i < 2; i++) {
      const as = scram();
      answer(client, 0x19, as.first());
      const { properties: challenge } = await client.take(PacketType.AUTH);
      await client.ping();
      answer(client, 0x18, as.final(challenge?.authenticationData ?? Buffer.of()));
      const { reasonCode, properties } = await client.take(PacketType.AUTH);
      expect([reasonCode, properties?.authenticationMethod]).toEqual([0, METHOD]);
      expect(as.isServer(properties?.authenticationData)).toBe(true);
    }
    await client.ping();
  });

  test('and with another method, or a wrong password: told by DISCONNECT, closed, and the will is due (5.0: [MQTT-4.12.1-1] [MQTT-4.12.1-2])', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(topic);
    const client = await admitted({ will: { topic, payload: 'sent away' } });
    const as = scram('pen');
    answer(client, 0x19, as.first());
    const { properties: challenge } = await client.take(PacketType.AUTH);
    answer(client, 0x18, as.final(challenge?.authenticationData ?? Buffer.of()));
    await client.refused(0x87);
    expect(await watcher.delivery()).toMatchObject({ payload: 'sent away' });
    const other = await admitted();
    answer(other, 0x19, scram().first(), 'another');
    await other.refused(0x82);
  });
});
