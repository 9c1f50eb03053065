import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { type Hello, wire } from '../support/wire.ts';

describe('what a CONNECT consists of', () => {
  test.each([
    [
      'the reserved flag is set (5.0: [MQTT-3.1.2-3] [MQTT-3.1.4-1]; 3.1.1: [MQTT-3.1.2-3] [MQTT-3.1.4-1])',
      '03 00 00',
      '<c>',
    ],
    ['a will QoS without a will (5.0: [MQTT-3.1.2-11]; 3.1.1: [MQTT-3.1.2-11] [MQTT-3.1.2-13])', '0a 00 00', '<c>'],
    ['a will QoS of 3 (5.0: [MQTT-3.1.2-12]; 3.1.1: [MQTT-3.1.2-14])', '1e 00 00', '<c> W <w> <p>'],
    ['will retain without a will (5.0: [MQTT-3.1.2-13]; 3.1.1: [MQTT-3.1.2-15])', '22 00 00', '<c>'],
    ['a will flag without a will (5.0: [MQTT-3.1.2-9]; 3.1.1: [MQTT-3.1.2-9])', '06 00 00', '<c>'],
    ['a user name without its flag (5.0: [MQTT-3.1.2-16]; 3.1.1: [MQTT-3.1.2-18])', '02 00 00', '<c> <u>'],
    ['no user name, and its flag (5.0: [MQTT-3.1.2-17]; 3.1.1: [MQTT-3.1.2-19])', '82 00 00', '<c>'],
    ['a password without its flag (5.0: [MQTT-3.1.2-18]; 3.1.1: [MQTT-3.1.2-20])', '82 00 00', '<c> <u> <p>'],
    ['no password, and its flag (5.0: [MQTT-3.1.2-19]; 3.1.1: [MQTT-3.1.2-21])', 'c2 00 00', '<c> <u>'],
    ['no client identifier (5.0: [MQTT-3.1.3-3]; 3.1.1: [MQTT-3.1.3-3])', '02 00 00', ''],
    ['a client identifier that is not UTF-8 (5.0: [MQTT-3.1.3-4]; 3.1.1: [MQTT-3.1.3-4])', '02 00 00', '00 02 c3 28'],
    [
      'a will topic that is not UTF-8 (5.0: [MQTT-3.1.3-11]; 3.1.1: [MQTT-3.1.3-10])',
      '06 00 00',
      '<c> W 00 02 c3 28 <p>',
    ],
    ['a user name that is not UTF-8 (5.0: [MQTT-3.1.3-12]; 3.1.1: [MQTT-3.1.3-11])', '82 00 00', '<c> 00 02 c3 28'],
  ])('%s: refused and closed, in 3.1.1 without a word', async (_, head, payload) => {
    const client = await wire().open();
    client.raw.version = 5;
    client.write(`10 { <MQTT> 05 ${head} 00 ${payload.replace('W', '00')} }`);
    expect(await client.ended()).toEqual([expect.objectContaining({ type: PacketType.CONNACK, reasonCode: 0x81 })]);
    const old = await wire().open();
    old.raw.version = 4;
    old.write(`10 { <MQTT> 04 ${head} ${payload.replace('W', '')} }`);
    expect(await old.ended()).toEqual([]);
  });

  test('3.1.1, a password without a user name (3.1.1: [MQTT-3.1.2-22])', async () => {
    const old = await wire().open();
    old.write('10 { <MQTT> 04 42 00 00 <c> <p> }');
    expect(await old.ended()).toEqual([]);
    // MQTT 5 has taken that rule back.
    const client = await wire().open();
    expect(await client.connect({ password: 'secret' })).toMatchObject({ reasonCode: 0 });
  });

  test('everything it may have, in its order (5.0: [MQTT-3.1.3-1]; 3.1.1: [MQTT-3.1.3-1])', async () => {
    for (const version of [4, 5] as const) {
      const [topic, watcher, clientId] = [wire().name(), await wire().client(), wire().name()];
      await watcher.subscribe(topic);
      const client = await wire().open();
      client.raw.version = version;
      client.write(
        `10 { <MQTT> 0${version} ce 00 00 ${version === 5 ? '00' : ''} <${clientId}> ${version === 5 ? '00' : ''} <${topic}> <message> <user> <password> }`,
      );
      expect(await client.take(PacketType.CONNACK)).toMatchObject({ reasonCode: 0 });
      client.drop();
      expect(await watcher.delivery()).toMatchObject({ topic, payload: 'message', qos: 1 });
    }
  });
});

describe('client identifiers', () => {
  test.each([
    ['one character', 'a'],
    ['23 of those that every server allows', 'ABCDEFGHIJKLMnopqrstuv9'],
    ['more, and other ones', 'ein Gerät / № 7 +#'.repeat(20)],
  ])('%s (5.0: [MQTT-3.1.3-5]; 3.1.1: [MQTT-3.1.3-5])', async (_, clientId) => {
    for (const version of [4, 5] as const) {
      const client = await wire().client({ version, clientId });
      await client.ping();
      await client.bye();
    }
  });

  test('an empty one is replaced by one of its own, which MQTT 5 is told (5.0: [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]; 3.1.1: [MQTT-3.1.3-6])', async () => {
    const assigned: string[] = [];
    for (let i = 0; i < 5; i++) {
      const client = await wire().open();
      assigned.push((await client.connect({ clientId: '' })).properties?.assignedClientIdentifier ?? '');
    }
    expect(new Set(assigned).size).toBe(5);
    expect(assigned).not.toContain('');
    // It is as good as one of the client's choice: whoever comes with it is the same client.
    const first = await wire().open();
    await first.connect({ clientId: '' });
    await wire().client({ clientId: first.clientId });
    await first.refused(0x8e);
    // And several without one do not meet.
    const old = [await wire().client({ version: 4, clientId: '' }), await wire().client({ version: 4, clientId: '' })];
    for (const client of old) await client.ping();
    const own = await wire().open();
    expect((await own.connect()).properties?.assignedClientIdentifier).toBeUndefined();
  });

  test('an empty one without a clean session: return code 2, and closed (3.1.1: [MQTT-3.1.3-7] [MQTT-3.1.3-8] [MQTT-3.1.3-9])', async () => {
    const client = await wire().open();
    const hello: Hello = { version: 4, clientId: '', clean: false };
    expect(await client.connect(hello)).toMatchObject({ reasonCode: 2, sessionPresent: false });
    expect(await client.ended()).toEqual([]);
  });

  test('one that no server could keep: 0x81 or 0x85, and closed (5.0: [MQTT-3.1.3-8])', async () => {
    const client = await wire().open();
    client.raw.version = 5;
    client.write('10 { <MQTT> 05 02 00 00 00 00 02 61 00 }');
    const [connack, ...more] = await client.ended();
    expect(connack).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0x81 });
    expect(more).toEqual([]);
  });
});
