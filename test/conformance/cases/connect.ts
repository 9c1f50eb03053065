import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { wire } from '../support/wire.ts';

const VERSIONS = [4, 5] as const;

describe('CONNECT', () => {
  test.each([
    ['PUBLISH', '30 { <t> }'],
    ['SUBSCRIBE', '82 { 00 01 <t> 00 }'],
    ['PINGREQ', 'c0 00'],
    ['DISCONNECT', 'e0 00'],
    ['AUTH', 'f0 { 18 { 15 <m> } }'],
  ])(
    '%s comes first: closed without a word (5.0: [MQTT-3.1.0-1] [MQTT-3.14.0-1]; 3.1.1: [MQTT-3.1.0-1])',
    async (_, bytes) => {
      const client = await wire().open();
      client.write(bytes);
      expect(await client.ended()).toEqual([]);
    },
  );

  test('a second one ends the connection (5.0: [MQTT-3.1.0-2]; 3.1.1: [MQTT-3.1.0-2])', async () => {
    for (const version of VERSIONS) {
      const client = await wire().client({ version });
      client.write(version === 5 ? '10 { <MQTT> 05 02 00 00 00 <c> }' : '10 { <MQTT> 04 02 00 00 <c> }');
      await client.refused(0x82);
    }
  });

  test.each([
    ['5.0, another name (5.0: [MQTT-3.1.2-1])', 5, '10 { <MQTX> 05 02 00 00 00 <c> }', 0x01],
    ['5.0, level 6 (5.0: [MQTT-3.1.2-2])', 5, '10 { <MQTT> 06 02 00 00 00 <c> }', 0x01],
    ['3.1.1, another name (3.1.1: [MQTT-3.1.2-1])', 4, '10 { <MQTX> 04 02 00 00 <c> }', 0x01],
    ['3.1.1, level 6 (3.1.1: [MQTT-3.1.2-2] [MQTT-3.2.2-4] [MQTT-3.2.2-5])', 4, '10 { <MQTT> 06 02 00 00 <c> }', 0x01],
  ] as const)(
    '%s: return code 1, which every version understands, and closed',
    async (_, version, bytes, reasonCode) => {
      const client = await wire().open();
      client.raw.version = version === 5 ? 4 : version;
      client.write(bytes);
      expect(await client.ended()).toEqual([
        expect.objectContaining({ type: PacketType.CONNACK, sessionPresent: false, reasonCode }),
      ]);
    },
  );

  test('success is one CONNACK before everything else (5.0: [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2]; 3.1.1: [MQTT-3.1.4-4] [MQTT-3.2.0-1])', async () => {
    for (const version of VERSIONS) {
      const client = await wire().open();
      client.raw.version = version;
      client.write(
        version === 5
          ? '10 { <MQTT> 05 02 00 00 00 <> } 82 { 00 01 00 <t> 00 } c0 00'
          : '10 { <MQTT> 04 02 00 00 <> } 82 { 00 01 <t> 00 } c0 00',
      );
      await client.raw.until('three answers', () => client.raw.packets.length === 3);
      expect(client.raw.packets.map(({ type }) => type)).toEqual([
        PacketType.CONNACK,
        PacketType.SUBACK,
        PacketType.PINGRESP,
      ]);
      expect(client.raw.packets[0]).toMatchObject({ reasonCode: 0, sessionPresent: false });
      client.raw.packets.length = 0;
      await client.ping();
    }
  });

  test('the CONNACK on the wire: flags 0, and properties even when there are none to say (5.0: [MQTT-3.2.2-1] [MQTT-2.2.2-1])', async () => {
    for (const version of VERSIONS) {
      const client = await wire().open();
      const bytes: number[] = [];
      const { tap } = client.raw;
      client.raw.tap = (chunk) => {
        bytes.push(...chunk);
        tap?.(chunk);
      };
      await client.connect({ version });
      // Type, length, flags, reason code, and in MQTT 5 the length of the properties: everything that follows.
      expect(bytes.slice(0, 4)).toEqual([0x20, bytes.length - 2, 0, 0]);
      if (version === 5) expect(bytes[4]).toBe(bytes.length - 5);
    }
  });

  test('all QoS levels are there: no Maximum QoS is announced, QoS 2 is taken (5.0: [MQTT-3.2.2-9])', async () => {
    const client = await wire().open();
    expect((await client.connect()).properties?.maximumQoS).toBeUndefined();
    const topic = wire().name();
    expect((await client.subscribe(topic)).reasonCodes).toEqual([2]);
    expect(await client.publish(topic, 'x', { qos: 2 })).toBe(0);
    expect(await client.delivery()).toMatchObject({ qos: 2 });
  });

  test('what comes behind a refused one is not processed (5.0: [MQTT-3.1.4-6] [MQTT-3.2.2-7] [MQTT-3.2.2-6]; 3.1.1: [MQTT-3.1.4-5])', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(topic);
    for (const version of VERSIONS) {
      const client = await wire().open();
      client.raw.version = version;
      // A will into a topic that nobody may publish to, and a publish behind it.
      client.write(
        version === 5
          ? `10 { <MQTT> 05 06 00 00 00 <c> 00 <$SYS/x> <w> } 30 { <${topic}> 00 }`
          : `10 { <MQTT> 04 06 00 00 <c> <$SYS/x> <w> } 30 { <${topic}> }`,
      );
      const reasonCode = version === 5 ? 0x87 : 5;
      expect(await client.ended()).toEqual([
        expect.objectContaining({ type: PacketType.CONNACK, sessionPresent: false, reasonCode }),
      ]);
    }
    expect(await watcher.settled(await wire().client())).toEqual([]);
  });

  test('a check that fails refuses it and ends the connection (5.0: [MQTT-3.1.4-2] [MQTT-4.13.2-1] [MQTT-3.2.2-8]; 3.1.1: [MQTT-3.2.2-6])', async () => {
    const client = await wire().open();
    expect(await client.connect({ will: { topic: 'a/+' } })).toMatchObject({ reasonCode: 0x90 });
    expect(await client.ended()).toEqual([]);
    // MQTT 3.1.1 has no return code for it.
    const old = await wire().open();
    await expect(old.connect({ version: 4, will: { topic: 'a/+' } })).rejects.toThrow('closed without');
  });

  test('a second connection of a client sends the first away (5.0: [MQTT-3.1.4-3] [MQTT-3.1.3-2]; 3.1.1: [MQTT-3.1.4-2] [MQTT-3.1.3-2])', async () => {
    for (const version of VERSIONS) {
      const first = await wire().client({ version });
      const other = await wire().client({ version });
      await wire().client({ version, clientId: first.clientId });
      await first.refused(0x8e);
      await other.ping();
    }
  });
});

describe('Keep Alive', () => {
  test('silence for one and a half times as long ends the connection, packets keep it (5.0: [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT-3.1.2-20]; 3.1.1: [MQTT-3.1.2-24] [MQTT-3.1.2-23])', async () => {
    const silent = await Promise.all(VERSIONS.map((version) => wire().client({ version, keepAliveS: 1 })));
    const talking = await wire().client({ keepAliveS: 1 });
    const startMs = performance.now();
    const timer = setInterval(() => talking.send({ type: PacketType.PINGREQ }), 400);
    await Promise.all(silent.map((client) => client.refused(0x8d)));
    clearInterval(timer);
    expect(performance.now() - startMs).toBeGreaterThan(1_400);
    await talking.ping();
  });

  test('a longer one than allowed is answered by Server Keep Alive, another one is not (5.0: [MQTT-3.1.2-21] [MQTT-3.2.2-21])', async () => {
    // None at all is more than the longest there is.
    expect((await (await wire().open()).connect({ keepAliveS: 0 })).properties?.serverKeepAliveS).toBe(65_535);
    expect((await (await wire().open()).connect({ keepAliveS: 60 })).properties?.serverKeepAliveS).toBeUndefined();
  });
});
