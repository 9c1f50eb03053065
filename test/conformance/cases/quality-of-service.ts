import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { timePasses } from '../support/time-passes.ts';
import { type Hello, wire } from '../support/wire.ts';

const VERSIONS = [4, 5] as const;

describe('QoS 1 from a client', () => {
  test('after its PUBACK an identifier means a new message, whatever DUP says (5.0: [MQTT-4.3.2-5]; 3.1.1: [MQTT-4.3.2-2])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client({ version })];
      const client = await wire().client();
      await client.subscribe(topic);
      await publisher.publish(topic, 'one', { qos: 1, packetId: 7 });
      await publisher.publish(topic, 'two', { qos: 1, packetId: 7, dup: true });
      expect((await client.delivery()).payload).toBe('one');
      expect((await client.delivery()).payload).toBe('two');
    }
  });

  test('packets with identifier 0 end the connection (5.0: [MQTT-2.2.1-3]; 3.1.1: [MQTT-2.3.1-1])', async () => {
    for (const [new5, new4] of [
      ['32 { <t> 00 00 00 }', '32 { <t> 00 00 }'],
      ['34 { <t> 00 00 00 }', '34 { <t> 00 00 }'],
      ['82 { 00 00 00 <t> 00 }', '82 { 00 00 <t> 00 }'],
      ['a2 { 00 00 00 <t> }', 'a2 { 00 00 <t> }'],
    ] as const) {
      const client = await wire().client();
      client.write(new5);
      await client.refused(0x82);
      const old = await wire().client({ version: 4 });
      old.write(new4);
      await old.refused(0);
    }
  });

  test('a client that uses an identifier again before its answer is answered for each (5.0: [MQTT-2.2.1-3]; 3.1.1: [MQTT-2.3.1-2] [MQTT-2.3.1-3])', async () => {
    for (const version of VERSIONS) {
      const client = await wire().client({ version });
      const topic = wire().name();
      for (let i = 0; i < 3; i++) client.sendPublish(topic, 'x', { qos: 1, packetId: 9, dup: i > 0 });
      for (let i = 0; i < 3; i++) expect(await client.take(PacketType.PUBACK)).toMatchObject({ packetId: 9 });
    }
  });
});

describe('QoS 2 from a client', () => {
  test('until PUBREL a repetition is answered and nobody gets it, afterwards it is new (5.0: [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12]; 3.1.1: [MQTT-4.3.3-2])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client({ version })];
      const client = await wire().client();
      await client.subscribe(topic);
      for (const dup of [false, true, true]) {
        publisher.sendPublish(topic, 'first', { qos: 2, packetId: 7, dup });
        expect(await publisher.take(PacketType.PUBREC)).toMatchObject({ packetId: 7 });
      }
      publisher.send({ type: PacketType.PUBREL, packetId: 7, reasonCode: 0 });
      expect(await publisher.take(PacketType.PUBCOMP)).toMatchObject({ packetId: 7, reasonCode: 0 });
      await publisher.publish(topic, 'second', { qos: 2, packetId: 7, dup: true });
      expect((await client.delivery()).payload).toBe('first');
      expect((await client.delivery()).payload).toBe('second');
      expect(await client.settled(publisher)).toEqual([]);
    }
  });

  test('after a PUBREC that refuses, the identifier means a new message (5.0: [MQTT-4.3.3-9])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client();
    await client.subscribe(topic);
    expect(await publisher.publish('$SYS/x', 'no', { qos: 2, packetId: 7 })).toBe(0x87);
    expect(await publisher.publish(topic, 'yes', { qos: 2, packetId: 7 })).toBe(0);
    expect((await client.delivery()).payload).toBe('yes');
  });

  test('the exchange is finished also when the message has expired (5.0: [MQTT-4.3.3-13])', async () => {
    const publisher = await wire().client();
    const properties = { messageExpiryIntervalS: 1 };
    const packetId = publisher.sendPublish(wire().name(), 'x', { qos: 2, properties });
    await publisher.take(PacketType.PUBREC);
    await timePasses(1_100);
    publisher.sendPublish(wire().name(), 'x', { qos: 2, packetId, dup: true, properties });
    expect(await publisher.take(PacketType.PUBREC)).toMatchObject({ packetId });
    publisher.send({ type: PacketType.PUBREL, packetId, reasonCode: 0 });
    expect(await publisher.take(PacketType.PUBCOMP)).toMatchObject({ packetId, reasonCode: 0 });
  });
});

describe('deliveries', () => {
  test('QoS 2: PUBREL with the same identifier for each PUBREC, the next PUBREC as well (5.0: [MQTT-4.3.3-4]; 3.1.1: [MQTT-4.3.3-1])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client()];
      const client = await wire().client({ version });
      await client.subscribe(topic);
      await publisher.publish(topic, 'x', { qos: 2 });
      const { packetId } = await client.held();
      for (let i = 0; i < 2; i++) {
        client.send({ type: PacketType.PUBREC, packetId, reasonCode: 0 });
        expect(await client.take(PacketType.PUBREL)).toMatchObject({ packetId, reasonCode: 0 });
      }
      client.send({ type: PacketType.PUBCOMP, packetId, reasonCode: 0 });
      await client.ping();
    }
  });

  test('a session that goes on sends again what has no answer: PUBLISH with DUP or PUBREL, same identifiers, in their order (5.0: [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6]; 3.1.1: [MQTT-4.4.0-1] [MQTT-3.3.1-1])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client()];
      const properties = version === 5 ? { sessionExpiryIntervalS: 60 } : undefined;
      const kept: Hello = { version, clientId: wire().name(), clean: false, properties, near: publisher };
      const first = await wire().client(kept);
      await first.subscribe(topic);
      for (const [payload, qos] of [
        ['a', 1],
        ['b', 1],
        ['c', 2],
        ['d', 2],
      ] as const)
        publisher.sendPublish(topic, payload, { qos });
      const held = [await first.held(), await first.held(), await first.held(), await first.held()];
      // Of the third the client has said that it has it.
      const received = held[2]?.packetId ?? 0;
      first.send({ type: PacketType.PUBREC, packetId: received, reasonCode: 0 });
      await first.take(PacketType.PUBREL);
      const second = await wire().client(kept);
      expect(await second.take(PacketType.PUBREL)).toMatchObject({ packetId: received });
      second.send({ type: PacketType.PUBCOMP, packetId: received, reasonCode: 0 });
      for (const { payload, packetId, qos } of [held[0], held[1], held[3]].flatMap((one) => one ?? [])) {
        expect(await second.delivery()).toMatchObject({ payload, packetId, qos, dup: true });
      }
      expect(await second.settled(publisher)).toEqual([]);
    }
  });

  test('nothing is sent again while the connection lasts (5.0: [MQTT-4.4.0-1])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client();
    await client.subscribe(topic);
    await publisher.publish(topic, 'x', { qos: 1 });
    await client.held();
    await timePasses(1_500);
    expect(await client.settled(publisher)).toEqual([]);
  });

  test('a refusal acknowledges: it is not sent again, neither now nor to the session that goes on (5.0: [MQTT-4.4.0-2])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const first = await wire().client({ near: publisher });
    await first.subscribe(topic);
    publisher.sendPublish(topic, 'one', { qos: 1 });
    publisher.sendPublish(topic, 'two', { qos: 2 });
    first.send({ type: PacketType.PUBACK, packetId: (await first.held()).packetId, reasonCode: 0x80 });
    first.send({ type: PacketType.PUBREC, packetId: (await first.held()).packetId, reasonCode: 0x83 });
    await first.ping();
    const second = await wire().client({ clientId: first.clientId, clean: false, near: publisher });
    expect(await second.settled(publisher)).toEqual([]);
  });

  test('what was sent does not expire: it is sent again (5.0: [MQTT-4.3.3-7])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const first = await wire().client({ near: publisher });
    await first.subscribe(topic);
    publisher.sendPublish(topic, 'x', { qos: 2, properties: { messageExpiryIntervalS: 1 } });
    const { packetId } = await first.held();
    await timePasses(1_200);
    const second = await wire().client({ clientId: first.clientId, clean: false, near: publisher });
    expect(await second.delivery()).toMatchObject({ payload: 'x', packetId, dup: true });
  });

  test('acknowledgements in any order, twice or for nothing do no harm (5.0: [MQTT-4.5.0-2] [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4]; 3.1.1: [MQTT-4.5.0-2] [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client()];
      const client = await wire().client({ version });
      await client.subscribe(topic);
      for (let i = 0; i < 6; i++) publisher.sendPublish(topic, `${i}`, { qos: i < 3 ? 1 : 2 });
      const held: number[] = [];
      for (let i = 0; i < 6; i++) held.push((await client.held()).packetId);
      for (const packetId of [held[2], held[0], held[1], held[1]])
        client.send({ type: PacketType.PUBACK, packetId: packetId as number, reasonCode: 0 });
      for (const packetId of [held[5], held[3], held[4]]) {
        client.send({ type: PacketType.PUBREC, packetId: packetId as number, reasonCode: 0 });
        expect(await client.take(PacketType.PUBREL)).toMatchObject({ packetId });
      }
      for (const packetId of held.slice(3).reverse())
        client.send({ type: PacketType.PUBCOMP, packetId, reasonCode: 0 });
      await client.ping();
      await publisher.publish(topic, 'next', { qos: 2 });
      expect((await client.delivery()).payload).toBe('next');
    }
  });

  test('a publisher that sends again in another order is answered in that order (5.0: [MQTT-4.6.0-1]; 3.1.1: [MQTT-4.6.0-1])', async () => {
    for (const version of VERSIONS) {
      const client = await wire().client({ version });
      const topic = wire().name();
      const order = [3, 1, 2, 5, 4];
      for (const packetId of order) client.sendPublish(topic, 'x', { qos: 1, packetId, dup: true });
      for (const packetId of order) expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, packetId });
    }
  });
});
