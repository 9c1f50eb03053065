import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { timePasses } from '../support/time-passes.ts';
import { wire } from '../support/wire.ts';

describe('properties of a message', () => {
  test('arrive as they were sent, user properties in their order and repeated (5.0: [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client();
    await client.subscribe(topic);
    const properties = {
      payloadFormatIndicator: 1,
      contentType: 'text/plain; charset=utf-8',
      responseTopic: 'answers/here',
      correlationData: new Uint8Array([0, 1, 255]),
      userProperties: ['z', '1', 'a', '2', 'z', '1', '', '', '__proto__', 'x'],
    } as const;
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish(topic, 'x', {
        qos,
        properties: { ...properties, userProperties: [...properties.userProperties] },
      });
      const { correlationData, ...came } = (await client.delivery()).properties;
      expect(came).toEqual({ ...properties, correlationData: undefined });
      expect([...(correlationData ?? [])]).toEqual([0, 1, 255]);
    }
    await publisher.publish(topic, 'x', { qos: 1, properties: { payloadFormatIndicator: 0 } });
    expect((await client.delivery()).properties.payloadFormatIndicator).toBe(0);
  });

  test('what is left of its time travels with it (5.0: [MQTT-3.3.2-6])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client({ properties: { receiveMaximum: 1 } });
    await client.subscribe(topic);
    await publisher.publish(topic, 'first', { qos: 1 });
    const first = await client.held();
    await publisher.publish(topic, 'second', { qos: 1, properties: { messageExpiryIntervalS: 100 } });
    await timePasses(1_200);
    client.send({ type: PacketType.PUBACK, packetId: first.packetId, reasonCode: 0 });
    expect([98, 99]).toContain((await client.delivery()).properties.messageExpiryIntervalS);
  });

  test('one whose time was over before its delivery began is not delivered (5.0: [MQTT-3.3.2-5])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client({ properties: { receiveMaximum: 1 } });
    await client.subscribe(topic);
    await publisher.publish(topic, 'first', { qos: 1 });
    const first = await client.held();
    await publisher.publish(topic, 'too late', { qos: 1, properties: { messageExpiryIntervalS: 1 } });
    await publisher.publish(topic, 'third', { qos: 1 });
    await timePasses(1_100);
    client.send({ type: PacketType.PUBACK, packetId: first.packetId, reasonCode: 0 });
    expect(await client.delivery()).toMatchObject({ payload: 'third' });
  });
});

describe('a payload that is said to be text', () => {
  const isText = '{ 01 01 }';
  const notText = 'c3 28';

  test('and is not: 0x99 in its answer, in a DISCONNECT at QoS 0; nobody gets it', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(topic);
    const client = await wire().client();
    client.write(`32 { <${topic}> 00 07 ${isText} ${notText} }`);
    expect(await client.take(PacketType.PUBACK)).toMatchObject({ packetId: 7, reasonCode: 0x99 });
    client.write(`34 { <${topic}> 00 08 ${isText} ${notText} }`);
    expect(await client.take(PacketType.PUBREC)).toMatchObject({ packetId: 8, reasonCode: 0x99 });
    client.write(`30 { <${topic}> ${isText} ${notText} }`);
    await client.refused(0x99);
    expect(await watcher.settled(await wire().client())).toEqual([]);
  });

  test('and is, with U+0000 and everything else that payloads may have; or says nothing of the kind', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(topic);
    const client = await wire().client();
    client.write(`30 { <${topic}> ${isText} 61 00 c3 a4 f0 9f 98 80 } 30 { <${topic}> 00 ${notText} }`);
    client.write(`30 { <${topic}> { 01 00 } ${notText} }`);
    expect((await watcher.delivery()).payload).toBe('a\0ä😀');
    expect((await watcher.delivery()).properties.payloadFormatIndicator).toBeUndefined();
    expect((await watcher.delivery()).properties.payloadFormatIndicator).toBe(0);
  });

  test('a will that is not refuses its CONNECT', async () => {
    const client = await wire().open();
    client.raw.version = 5;
    client.write(`10 { <MQTT> 05 06 00 00 00 <c> ${isText} <w> 00 02 ${notText} }`);
    expect(await client.ended()).toEqual([expect.objectContaining({ type: PacketType.CONNACK, reasonCode: 0x99 })]);
  });
});

describe('topic aliases of a client', () => {
  test('every one up to the announced maximum is taken (5.0: [MQTT-3.3.2-12])', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(`${topic}/+`);
    const client = await wire().open();
    const maximum = (await client.connect()).properties?.topicAliasMaximum ?? 0;
    expect(maximum).toBeGreaterThan(0);
    for (let topicAlias = 1; topicAlias <= maximum; topicAlias++) {
      client.sendPublish(`${topic}/${topicAlias}`, '', { properties: { topicAlias } });
      client.sendPublish('', 'again', { properties: { topicAlias } });
    }
    for (let topicAlias = 1; topicAlias <= maximum; topicAlias++) {
      for (const payload of ['', 'again']) {
        const came = await watcher.delivery();
        expect(came).toMatchObject({ topic: `${topic}/${topicAlias}`, payload });
        expect(came.properties.topicAlias).toBeUndefined();
      }
    }
  });

  test.each([
    ['0 (5.0: [MQTT-3.3.2-8])', () => 0],
    ['above the maximum (5.0: [MQTT-3.3.2-9] [MQTT-3.2.2-17] [MQTT-3.2.2-18])', (maximum: number) => maximum + 1],
  ])('%s ends the connection', async (_, of) => {
    const client = await wire().open();
    const maximum = (await client.connect()).properties?.topicAliasMaximum ?? 0;
    client.sendPublish('x', '', { properties: { topicAlias: of(maximum) } });
    await client.refused(0x94);
  });

  test('do not outlive their connection, in a session that goes on neither (5.0: [MQTT-3.3.2-7])', async () => {
    const first = await wire().client();
    first.sendPublish(wire().name(), '', { properties: { topicAlias: 1 } });
    await first.ping();
    const second = await wire().client({ clientId: first.clientId, clean: false, near: first });
    second.sendPublish('', '', { properties: { topicAlias: 1 } });
    await second.refused(0x82);
  });
});

describe('topic aliases of the server', () => {
  test('are within the client’s maximum, and stand for their topic (5.0: [MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-8])', async () => {
    const [root, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client({ properties: { topicAliasMaximum: 2 } });
    await client.subscribe(`${root}/#`, { qos: 0 });
    const known = new Map<number, string>();
    const topics = ['a', 'b', 'c', 'a', 'b', 'c', 'a', 'a', 'b'].map((level) => `${root}/a-long-level/${level}`);
    for (const topic of topics) publisher.sendPublish(topic, topic);
    let used = 0;
    for (const topic of topics) {
      const { topic: said, payload, properties } = await client.held();
      const { topicAlias } = properties;
      if (topicAlias !== undefined) {
        expect(topicAlias).toBeGreaterThan(0);
        expect(topicAlias).toBeLessThanOrEqual(2);
        if (said !== '') known.set(topicAlias, said);
        used++;
      }
      expect(said === '' ? known.get(topicAlias ?? 0) : said).toBe(topic);
      expect(payload).toBe(topic);
    }
    expect(used).toBeGreaterThan(0);
  });

  test.each([
    ['absent', undefined],
    ['0', 0],
  ])('none for a client whose maximum is %s (5.0: [MQTT-3.1.2-27])', async (_, topicAliasMaximum) => {
    const [topic, publisher] = [`${wire().name()}/a-long-topic`, await wire().client()];
    const client = await wire().client({ properties: topicAliasMaximum === undefined ? {} : { topicAliasMaximum } });
    await client.subscribe(topic, { qos: 0 });
    for (let i = 0; i < 3; i++) publisher.sendPublish(topic, `${i}`);
    for (let i = 0; i < 3; i++) {
      const { topic: said, properties } = await client.held();
      expect([said, properties.topicAlias]).toEqual([topic, undefined]);
    }
  });
});

describe('what a client asks to be told', () => {
  test('Response Information only when it is asked for (5.0: [MQTT-3.1.2-28])', async () => {
    for (const requestResponseInformation of [undefined, 0] as const) {
      const client = await wire().open();
      const { properties } = await client.connect({
        properties: requestResponseInformation === undefined ? {} : { requestResponseInformation },
      });
      expect(properties?.responseInformation).toBeUndefined();
    }
  });

  test('Response Information when it is asked for and there is one', async () => {
    const client = await wire().open();
    const { properties } = await client.connect({ properties: { requestResponseInformation: 1 } });
    expect(properties?.responseInformation).toBe('answers/here/');
  });

  test('reasons in words only where they are wanted, DISCONNECT apart (5.0: [MQTT-3.1.2-29])', async () => {
    for (const wanted of [1, 0] as const) {
      const client = await wire().client({ properties: { requestProblemInformation: wanted } });
      const suback = await client.subscribe('$queue/-bad');
      client.sendPublish('$SYS/x', '', { qos: 1 });
      client.sendPublish('$SYS/x', '', { qos: 2 });
      client.send({ type: PacketType.PUBREL, packetId: 4711, reasonCode: 0 });
      client.send({ type: PacketType.PUBREC, packetId: 4711, reasonCode: 0 });
      const answers = [
        suback,
        await client.take(PacketType.PUBACK),
        await client.take(PacketType.PUBREC),
        await client.take(PacketType.PUBCOMP),
        await client.take(PacketType.PUBREL),
      ];
      for (const { type, properties } of answers) {
        expect([type, properties?.reasonString !== undefined]).toEqual([type, wanted === 1]);
        expect(properties?.userProperties).toBeUndefined();
      }
      client.write('c0 01 00');
      const [last] = await client.ended();
      expect(last).toMatchObject({ type: PacketType.DISCONNECT, properties: { reasonString: expect.any(String) } });
    }
  });
});
