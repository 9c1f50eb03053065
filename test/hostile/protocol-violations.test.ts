import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Packet, PacketType } from '@sluice/mqtt/codec/packet';
import { bytesOf } from '../../packages/mqtt/test/codec/packet-notation.ts';
import { BrokerUnderAttack, publishing, subscribing } from './broker-under-attack.ts';
import type { RawClient, Transport } from './raw-client.ts';

const ERRORS = 'sluice_gateway_protocol_errors_total';

let broker: BrokerUnderAttack;
beforeAll(async () => {
  broker = await BrokerUnderAttack.start();
});
afterEach(async () => {
  broker.hangUp();
  await broker.stillServes();
});
afterAll(() => broker?.dispose());

const ping = async (client: RawClient): Promise<void> => {
  client.send({ type: PacketType.PINGREQ });
  expect((await client.next()).type).toBe(PacketType.PINGRESP);
};

/** In the notation of the codec's tables: `<text>` has its length, `{ … }` too. */
describe('before CONNECT: closed without a word, and counted', () => {
  test.each([
    ['B3: PUBACK', '40 { 00 01 }', 'protocol_error'],
    ['B3: SUBSCRIBE', '82 { 00 01 <t> 00 }', 'protocol_error'],
    ['B3: PINGREQ', 'c0 00', 'protocol_error'],
    ['B3: PUBLISH', '30 { <t> }', 'protocol_error'],
    ['B3: DISCONNECT', 'e0 00', 'protocol_error'],
    ['B3: AUTH', 'f0 { 18 { 15 <m> } }', 'protocol_error'],
    ['B17: CONNACK', '20 { 00 00 }', 'protocol_error'],
    ['B17: PINGRESP', 'd0 00', 'protocol_error'],
    ['B2: CONNECT that claims 256 MB', '10 ff ff ff 7f 00 04', 'packet_too_large'],
    ['B2: CONNECT that claims 150 KB', '10 f0 93 09 00 04', 'packet_too_large'],
    ['B4: a remaining length of five bytes', '10 ff ff ff ff 01', 'malformed_packet'],
    ['B4: a remaining length of five bytes that is 0', '10 80 80 80 80 00', 'malformed_packet'],
    ['an HTTP request', '47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a 0d 0a', 'malformed_packet'],
    ['a TLS hello', '16 03 01 02 00 01 00 01 fc 03 03', 'malformed_packet'],
  ])('%s', async (_title, notation, kind) => {
    for (const transport of ['tcp', 'ws'] satisfies Transport[]) {
      const before = await broker.metric(ERRORS, { kind });
      const client = await broker.open(transport);
      client.write(bytesOf(notation));
      await client.untilClosed();
      expect(client.packets).toEqual([]);
      await broker.untilRisen(before, 1, ERRORS, { kind });
    }
  });
});

describe('CONNECT that is refused', () => {
  test.each([
    ['B11: v5, a client id with U+0000', 5, '10 { <MQTT> 05 02 00 00 00 00 02 61 00 }', 0x81],
    ['B11: v5, a client id that is half a surrogate', 5, '10 { <MQTT> 05 02 00 00 00 00 03 ed a0 80 }', 0x81],
    ['B11: v5, a user name that is not UTF-8', 5, '10 { <MQTT> 05 82 00 00 00 <c> 00 02 c3 28 }', 0x81],
    ['B4: v5, a property length of five bytes', 5, '10 { <MQTT> 05 02 00 00 80 80 80 80 01 <c> }', 0x81],
    ['B40: v5, Receive Maximum 0', 5, '10 { <MQTT> 05 02 00 00 { 21 00 00 } <c> }', 0x82],
    ['B40: v5, Maximum Packet Size 0', 5, '10 { <MQTT> 05 02 00 00 { 27 00 00 00 00 } <c> }', 0x82],
    ['B13: v5, a property of another packet', 5, '10 { <MQTT> 05 02 00 00 { 23 00 01 } <c> }', 0x81],
    ['B13: v5, a property twice', 5, '10 { <MQTT> 05 02 00 00 { 11 00 00 00 01 11 00 00 00 01 } <c> }', 0x82],
    ['B13: v5, a will with a property of CONNECT', 5, '10 { <MQTT> 05 06 00 00 00 <c> { 21 00 01 } <w> <p> }', 0x81],
    [
      'B14: v5, a will with a delay twice',
      5,
      '10 { <MQTT> 05 06 00 00 00 <c> { 18 00 00 00 01 18 00 00 00 01 } <w> <p> }',
      0x82,
    ],
    ['B14: v5, a will into $SYS', 5, '10 { <MQTT> 05 06 00 00 00 <c> 00 <$SYS/x> <p> }', 0x87],
    ['B14: v5, a will into a queue prefix', 5, '10 { <MQTT> 05 06 00 00 00 <c> 00 <$q/x> <p> }', 0x90],
    ['B14: v5, a will to a wildcard', 5, '10 { <MQTT> 05 06 00 00 00 <c> 00 <a/#> <p> }', 0x90],
    ['B14: 3.1.1, a will into $SYS', 4, '10 { <MQTT> 04 06 00 00 <c> <$SYS/x> <p> }', 0x05],
    ['3.1.1, an empty client id without clean session', 4, '10 { <MQTT> 04 00 00 00 <> }', 0x02],
    ['3.1.1, level 6', 4, '10 { <MQTT> 06 02 00 00 <c> }', 0x01],
    ['3.1.1, another protocol name', 4, '10 { <MQTX> 04 02 00 00 <c> }', 0x01],
    ['v5, enhanced authentication nobody offers', 5, '10 { <MQTT> 05 02 00 00 { 15 <SCRAM> } <c> }', 0x8c],
  ] as const)('%s', async (_title, version, notation, reasonCode) => {
    const before = await broker.metric(ERRORS);
    const client = await broker.open();
    client.version = version;
    client.write(bytesOf(notation));
    expect(await client.next()).toMatchObject({ type: PacketType.CONNACK, sessionPresent: false, reasonCode });
    await client.untilClosed();
    expect(client.packets).toEqual([]);
    await broker.untilRisen(before, 1, ERRORS);
  });

  test.each([
    ['B11: 3.1.1, a client id with U+0000', '10 { <MQTT> 04 02 00 00 00 02 61 00 }'],
    ['B21: 3.1.1, a password without a user name', '10 { <MQTT> 04 42 00 00 <c> <secret> }'],
    ['B14: 3.1.1, a will of QoS 3', '10 { <MQTT> 04 1e 00 00 <c> <w> <p> }'],
    ['3.1.1, reserved flags', '10 { <MQTT> 04 03 00 00 <c> }'],
  ])('%s: closed without a word', async (_title, notation) => {
    const client = await broker.open();
    client.version = 4;
    client.write(bytesOf(notation));
    await client.untilClosed();
    expect(client.packets).toEqual([]);
  });
});

describe('after CONNECT: MQTT 5 is told why, 3.1.1 is closed, both are counted', () => {
  test.each<[title: string, reasonCode: number, kind: string, v5: string | undefined, v4: string | undefined]>([
    [
      'B3: a second CONNECT',
      0x82,
      'protocol_error',
      '10 { <MQTT> 05 02 00 00 00 <c> }',
      '10 { <MQTT> 04 02 00 00 <c> }',
    ],
    ['B17: CONNACK', 0x82, 'protocol_error', '20 { 00 00 00 }', '20 { 00 00 }'],
    ['B17: SUBACK', 0x82, 'protocol_error', '90 { 00 01 00 00 }', '90 { 00 01 00 }'],
    ['B17: UNSUBACK', 0x82, 'protocol_error', 'b0 { 00 01 00 00 }', 'b0 { 00 01 }'],
    ['B17: PINGRESP', 0x82, 'protocol_error', 'd0 00', 'd0 00'],
    ['B2: PUBLISH that claims 256 MB', 0x95, 'packet_too_large', '30 ff ff ff 7f', '30 ff ff ff 7f'],
    ['B4: a remaining length of five bytes', 0x81, 'malformed_packet', '30 ff ff ff ff 01', '30 ff ff ff ff 01'],
    ['B4: a property length of five bytes', 0x81, 'malformed_packet', '30 { <t> 80 80 80 80 01 }', undefined],
    ['B8: PUBLISH to 65,000 levels', 0x90, 'topic_name_invalid', '30 { </>*65000 00 }', '30 { </>*65000 }'],
    [
      'B8: SUBSCRIBE to 32,000 wildcards',
      0x8f,
      'topic_filter_invalid',
      '82 { 00 01 00 <+/>*32000 00 }',
      '82 { 00 01 <+/>*32000 00 }',
    ],
    [
      'B8: SUBSCRIBE to a deep shared filter',
      0x8f,
      'topic_filter_invalid',
      '82 { 00 01 00 <$share/g/+/+/+/+/+/+/+/+/>*13 00 }',
      undefined,
    ],
    [
      'B8: UNSUBSCRIBE from 32,000 wildcards',
      0x8f,
      'topic_filter_invalid',
      'a2 { 00 01 00 <+/>*32000 }',
      'a2 { 00 01 <+/>*32000 }',
    ],
    ['B9: PUBLISH without a topic', 0x82, 'protocol_error', '30 { <> 00 }', undefined],
    ['B9: PUBLISH without a topic, and no alias to mean', 0x90, 'topic_name_invalid', undefined, '30 { <> }'],
    ['B9: PUBLISH to +', 0x90, 'topic_name_invalid', '30 { <a/+> 00 }', '30 { <a/+> }'],
    ['B9: PUBLISH to #', 0x90, 'topic_name_invalid', '30 { <#> 00 }', '30 { <#> }'],
    ['B9: SUBSCRIBE to nothing', 0x8f, 'topic_filter_invalid', '82 { 00 01 00 <> 00 }', '82 { 00 01 <> 00 }'],
    ['B9: SUBSCRIBE to a#', 0x8f, 'topic_filter_invalid', '82 { 00 01 00 <a#> 00 }', '82 { 00 01 <a#> 00 }'],
    ['B9: SUBSCRIBE to a/#/b', 0x8f, 'topic_filter_invalid', '82 { 00 01 00 <a/#/b> 00 }', '82 { 00 01 <a/#/b> 00 }'],
    [
      'B9: SUBSCRIBE to $share//x',
      0x8f,
      'topic_filter_invalid',
      '82 { 00 01 00 <$share//x> 00 }',
      '82 { 00 01 <$share//x> 00 }',
    ],
    [
      'B9: SUBSCRIBE to $share/g/',
      0x8f,
      'topic_filter_invalid',
      '82 { 00 01 00 <$share/g/> 00 }',
      '82 { 00 01 <$share/g/> 00 }',
    ],
    ['B9: SUBSCRIBE without a filter', 0x8f, 'topic_filter_invalid', '82 { 00 01 00 }', '82 { 00 01 }'],
    ['B9: UNSUBSCRIBE without a filter', 0x8f, 'topic_filter_invalid', 'a2 { 00 01 00 }', 'a2 { 00 01 }'],
    ['B10: PUBLISH into $SYS', 0x87, 'not_authorized', '30 { <$SYS/broker/x> 00 }', '30 { <$SYS/broker/x> }'],
    ['B10: PUBLISH into a queue prefix', 0x90, 'topic_name_invalid', '30 { <$queue/x> 00 }', '30 { <$queue/x> }'],
    ['B11: a topic with U+0000', 0x81, 'malformed_packet', '30 { 00 02 61 00 00 }', '30 { 00 02 61 00 }'],
    [
      'B11: a topic that is half a surrogate',
      0x81,
      'malformed_packet',
      '30 { 00 03 ed a0 80 00 }',
      '30 { 00 03 ed a0 80 }',
    ],
    ['B11: a topic that is overlong UTF-8', 0x81, 'malformed_packet', '30 { 00 02 c0 80 00 }', '30 { 00 02 c0 80 }'],
    [
      'B11: a filter that is not UTF-8',
      0x81,
      'malformed_packet',
      '82 { 00 01 00 00 02 c3 28 00 }',
      '82 { 00 01 00 02 c3 28 00 }',
    ],
    ['B11: a user property that is not UTF-8', 0x81, 'malformed_packet', '30 { <t> { 26 <k> 00 01 ff } }', undefined],
    ['B11: a content type with U+0000', 0x81, 'malformed_packet', '30 { <t> { 03 00 01 00 } }', undefined],
    ['B13: PUBLISH with a property of CONNECT', 0x81, 'malformed_packet', '30 { <t> { 21 00 01 } }', undefined],
    ['B13: PUBLISH with a content type twice', 0x82, 'protocol_error', '30 { <t> { 03 <a> 03 <b> } }', undefined],
    ['B13: PUBLISH with a payload format of 2', 0x82, 'protocol_error', '30 { <t> { 01 02 } }', undefined],
    ['B13: PUBLISH with a subscription identifier', 0x82, 'protocol_error', '30 { <t> { 0b 01 } }', undefined],
    ['B13: PUBLISH with a response topic of +', 0x82, 'protocol_error', '30 { <t> { 08 <a/+> } }', undefined],
    ['B18: PUBACK with packet id 0', 0x82, 'protocol_error', '40 { 00 00 }', '40 { 00 00 }'],
    ['B18: PUBREL with packet id 0', 0x82, 'protocol_error', '62 { 00 00 }', '62 { 00 00 }'],
    ['B18: PUBLISH with packet id 0', 0x82, 'protocol_error', '32 { <t> 00 00 00 }', '32 { <t> 00 00 }'],
    ['B18: SUBSCRIBE with packet id 0', 0x82, 'protocol_error', '82 { 00 00 00 <t> 00 }', '82 { 00 00 <t> 00 }'],
    ['B40: topic alias 0', 0x94, 'topic_alias_invalid', '30 { <t> { 23 00 00 } }', undefined],
    ['B40: topic alias above the maximum', 0x94, 'topic_alias_invalid', '30 { <t> { 23 00 21 } }', undefined],
    ['B40: a topic alias nobody defined', 0x82, 'protocol_error', '30 { <> { 23 00 05 } }', undefined],
    ['B40: subscription identifier 0', 0x82, 'protocol_error', '82 { 00 01 { 0b 00 } <t> 00 }', undefined],
    ['PUBLISH of QoS 3', 0x82, 'protocol_error', '36 { <t> 00 01 00 }', '36 { <t> 00 01 }'],
    ['PUBLISH of QoS 0 with DUP and no topic', 0x82, 'protocol_error', '38 { <> 00 }', '38 { <> }'],
    ['session expiry raised from 0', 0x82, 'protocol_error', 'e0 { 00 { 11 00 00 00 09 } }', undefined],
  ])('%s', async (_title, reasonCode, kind, v5, v4) => {
    for (const transport of v5 === undefined ? [] : (['tcp', 'ws'] satisfies Transport[])) {
      const before = await broker.metric(ERRORS, { kind });
      const client = await broker.client(5, transport);
      client.write(bytesOf(v5 as string));
      expect(await client.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode });
      await client.untilClosed();
      expect(client.packets).toEqual([]);
      await broker.untilRisen(before, 1, ERRORS, { kind });
    }
    if (v4 === undefined) return;
    const before = await broker.metric(ERRORS, { kind });
    const client = await broker.client(4);
    client.write(bytesOf(v4));
    await client.untilClosed();
    expect(client.packets).toEqual([]);
    await broker.untilRisen(before, 1, ERRORS, { kind });
  });
});

describe('strange, and no reason to end', () => {
  test.each([4, 5] as const)('B18: acknowledgements for ids nobody used, MQTT %s', async (version) => {
    const client = await broker.client(version);
    for (const type of [PacketType.PUBACK, PacketType.PUBCOMP, PacketType.PUBREC, PacketType.PUBREL] as const) {
      client.send({ type, packetId: 4711, reasonCode: 0 });
    }
    const reasonCode = version === 5 ? 0x92 : 0;
    expect(await client.next()).toMatchObject({ type: PacketType.PUBREL, packetId: 4711, reasonCode });
    expect(await client.next()).toMatchObject({ type: PacketType.PUBCOMP, packetId: 4711, reasonCode });
    await ping(client);
  });

  test('B18: PUBACK for a QoS 2 delivery, and PUBREC for a QoS 1 delivery', async () => {
    for (const qos of [1, 2] as const) {
      const client = await broker.client();
      client.send(subscribing([`wrong/${qos}`], { qos }));
      await client.next();
      client.send(publishing(`wrong/${qos}`, { qos: 1, packetId: 5 }));
      const packets = [await client.next(), await client.next()];
      const delivery = packets.find((packet) => packet.type === PacketType.PUBLISH);
      expect(delivery).toMatchObject({ qos: 1 });
      client.send({ type: PacketType.PUBREC, packetId: (delivery as { packetId: number }).packetId, reasonCode: 0 });
      expect(await client.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x82 });
      await client.untilClosed();
    }
    const client = await broker.client();
    client.send(subscribing(['wrong/kind'], { qos: 2 }));
    await client.next();
    client.send(publishing('wrong/kind', { qos: 2, packetId: 5 }));
    const packets = [await client.next(), await client.next()];
    const delivery = packets.find((packet) => packet.type === PacketType.PUBLISH);
    client.send({ type: PacketType.PUBACK, packetId: (delivery as { packetId: number }).packetId, reasonCode: 0 });
    expect(await client.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x82 });
  });

  test('B10: a topic that starts with $ and is nobody’s: wildcards do not see it', async () => {
    const client = await broker.client();
    client.send(subscribing(['#', '+/x', '$other/x'], { qos: 0 }));
    await client.next();
    client.send(publishing('$other/x', { payload: Buffer.from('1') }));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBLISH, topic: '$other/x' });
    await ping(client);
  });

  test.each([
    ['$SYS/broker/x', 0x87],
    ['$share/g/x', 0x90],
    ['$q/alive', 0x90],
    ['$queue/alive', 0x90],
  ])('B10: PUBLISH at QoS 1 and 2 to %s is refused in its acknowledgement', async (topic, reasonCode) => {
    const client = await broker.client();
    client.send(publishing(topic, { qos: 1, packetId: 1 }));
    client.send(publishing(topic, { qos: 2, packetId: 2 }));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBACK, packetId: 1, reasonCode });
    expect(await client.next()).toMatchObject({ type: PacketType.PUBREC, packetId: 2, reasonCode });
    await ping(client);
    const old = await broker.client(4);
    old.send(publishing(topic, { qos: 1, packetId: 1 }));
    await old.untilClosed();
    expect(old.packets).toEqual([]);
  });

  test('B8: 128 levels, the deepest there are, in topics, filters and shared filters', async () => {
    const client = await broker.client();
    const topic = Array.from({ length: 128 }, () => 'x').join('/');
    const wild = Array.from({ length: 128 }, () => '+').join('/');
    client.send(subscribing([wild, `$q/${wild.slice(2)}`], { qos: 0 }));
    expect(await client.next()).toMatchObject({ reasonCodes: [0, 0] });
    client.send(publishing(topic));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBLISH, topic });
    await ping(client);
  });

  test('B8: a thousand filters of consecutive wildcards match one deep topic without a stall', async () => {
    const client = await broker.client();
    // Every one of the 1,024 ways to put + or x into ten levels: what a naive matcher walks one by one.
    const filters = Array.from({ length: 1024 }, (_, bits) =>
      Array.from({ length: 10 }, (_, level) => ((bits >> level) & 1 ? '+' : 'x')).join('/'),
    );
    client.send(subscribing(filters, { qos: 0 }));
    expect(await client.next()).toMatchObject({ type: PacketType.SUBACK });
    client.send(publishing(Array.from({ length: 10 }, () => 'x').join('/')));
    await client.until('every copy', () => client.packets.length === 1024);
    client.packets.length = 0;
    await ping(client);
  });

  test('B9 B23: in one SUBSCRIBE each filter is judged on its own', async () => {
    const client = await broker.client();
    client.send(subscribing(['ok', '$share/g/$q/alive', '$queue/-bad', '$q/$q/x', 'fine'], { qos: 0 }));
    expect(await client.next()).toMatchObject({ reasonCodes: [0, 0x8f, 0x8f, 0x8f, 0] });
    client.send(publishing('fine'));
    expect(await client.next()).toMatchObject({ type: PacketType.PUBLISH, topic: 'fine' });
    const old = await broker.client(4);
    old.send(subscribing(['ok', '$queue/-bad'], { qos: 0 }));
    expect(await old.next()).toMatchObject({ reasonCodes: [0, 0x80] });
  });

  test('B13: what a publisher may not say is never forwarded to subscribers', async () => {
    const [subscriber, publisher] = [await broker.client(), await broker.client()];
    subscriber.send(subscribing(['forward'], { qos: 0 }));
    await subscriber.next();
    publisher.write(bytesOf('30 { <forward> { 21 00 01 } }'));
    await publisher.untilClosed();
    const other = await broker.client();
    other.write(bytesOf('30 { <forward> { 23 00 01 02 00 00 00 05 26 <k> <v> } 31 }'));
    expect(await subscriber.next()).toMatchObject({ topic: 'forward', properties: { userProperties: ['k', 'v'] } });
    await ping(subscriber);
  });

  test('B14: a will with every property and a delay beyond the session reaches its subscribers', async () => {
    const subscriber = await broker.client();
    subscriber.send(subscribing(['w'], { qos: 0 }));
    await subscriber.next();
    const dying = await broker.open();
    dying.write(
      bytesOf(
        '10 { <MQTT> 05 06 00 00 00 <dying> { 18 ff ff ff ff 01 01 02 00 00 00 09 03 <t> 08 <r> 09 <d> 26 <__proto__> <v> } <w> <p> }',
      ),
    );
    await dying.next();
    dying.socket.resetAndDestroy();
    const will: Packet = await subscriber.next();
    expect(will).toMatchObject({ topic: 'w', properties: { userProperties: ['__proto__', 'v'], contentType: 't' } });
  });

  test('B15: CONNECT and PUBLISH with 8,000 user properties; one with more than 8,192 is refused', async () => {
    const userProperties = (count: number): string[] => Array.from({ length: 2 * count }, (_, i) => `p${i % 7}`);
    const client = await broker.open();
    expect(await client.hello('many', 5, { properties: { userProperties: userProperties(8_000) } })).toMatchObject({
      reasonCode: 0,
    });
    client.send(subscribing(['many'], { qos: 0 }));
    await client.next();
    client.send(publishing('many', { properties: { userProperties: userProperties(8_000) } }));
    expect(await client.next()).toMatchObject({ properties: { userProperties: userProperties(8_000) } });
    client.send(publishing('many', { properties: { userProperties: userProperties(8_193) } }));
    expect(await client.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x97 });
  });
});
