import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { refusedInBoth } from '../support/refused-in-both.ts';
import { wire } from '../support/wire.ts';

describe('malformed packets and protocol errors: MQTT 5 is told by DISCONNECT, both are closed', () => {
  test.each([
    [
      'PUBLISH of QoS 3 (5.0: [MQTT-3.3.1-4] [MQTT-4.13.1-1]; 3.1.1: [MQTT-3.3.1-4] [MQTT-4.8.0-1])',
      '36 { <t> 00 01 P }',
      0x82,
    ],
    ['PUBLISH of QoS 0 with DUP (5.0: [MQTT-3.3.1-2]; 3.1.1: [MQTT-3.3.1-2])', '38 { <t> P }', 0x82],
    ['PUBREL with other flags (5.0: [MQTT-3.6.1-1]; 3.1.1: [MQTT-3.6.1-1])', '60 { 00 01 }', 0x81],
    [
      'SUBSCRIBE with other flags (5.0: [MQTT-3.8.1-1] [MQTT-2.1.3-1]; 3.1.1: [MQTT-3.8.1-1] [MQTT-2.2.2-1] [MQTT-2.2.2-2])',
      '80 { 00 01 P <t> 00 }',
      0x81,
    ],
    ['UNSUBSCRIBE with other flags (5.0: [MQTT-3.10.1-1]; 3.1.1: [MQTT-3.10.1-1])', 'a0 { 00 01 P <t> }', 0x81],
    ['DISCONNECT with flags (5.0: [MQTT-3.14.1-1]; 3.1.1: [MQTT-3.14.1-1])', 'e1 00', 0x81],
    ['PINGREQ with flags (5.0: [MQTT-2.1.3-1]; 3.1.1: [MQTT-2.2.2-1] [MQTT-2.2.2-2])', 'c2 00', 0x81],
    ['PUBACK with flags (5.0: [MQTT-2.1.3-1]; 3.1.1: [MQTT-2.2.2-1] [MQTT-2.2.2-2])', '42 { 00 01 }', 0x81],
    ['SUBSCRIBE without a filter (5.0: [MQTT-3.8.3-2]; 3.1.1: [MQTT-3.8.3-3])', '82 { 00 01 P }', 0x8f],
    ['UNSUBSCRIBE without a filter (5.0: [MQTT-3.10.3-2]; 3.1.1: [MQTT-3.10.3-2])', 'a2 { 00 01 P }', 0x8f],
    ['SUBSCRIBE with reserved bits (5.0: [MQTT-3.8.3-5]; 3.1.1: [MQTT-3-8.3-4])', '82 { 00 01 P <t> 80 }', 0x81],
    ['SUBSCRIBE that asks for QoS 3 (3.1.1: [MQTT-3-8.3-4])', '82 { 00 01 P <t> 03 }', 0x82],
    ['a remaining length with a byte too many (5.0: [MQTT-1.5.5-1])', 'c0 80 00', 0x81],
    ['a remaining length of five bytes (5.0: [MQTT-1.5.5-1])', '30 ff ff ff ff 01', 0x81],
    ['a packet type of 0 (3.1.1: [MQTT-4.8.0-1])', '00 00', 0x81],
  ])('%s', (_, bytes, reasonCode) => refusedInBoth(bytes, reasonCode));

  test.each([
    ['a property length with a byte too many (5.0: [MQTT-1.5.5-1])', '30 { <t> 80 00 }', 0x81],
    ['a user property whose name is not UTF-8 (5.0: [MQTT-1.5.7-1])', '30 { <t> { 26 00 02 c3 28 <v> } }', 0x81],
    ['a user property whose value is not UTF-8 (5.0: [MQTT-1.5.7-1])', '30 { <t> { 26 <k> 00 02 c3 28 } }', 0x81],
    ['a PUBLISH that leaves its properties out (5.0: [MQTT-2.2.2-1])', '30 { <t> }', 0x81],
    ['a response topic that is not UTF-8 (5.0: [MQTT-3.3.2-13])', '30 { <t> { 08 00 02 c3 28 } }', 0x81],
    ['a response topic with a wildcard (5.0: [MQTT-3.3.2-14])', '30 { <t> { 08 <a/+> } }', 0x82],
    ['a content type that is not UTF-8 (5.0: [MQTT-3.3.2-19])', '30 { <t> { 03 00 02 c3 28 } }', 0x81],
    ['a client’s Subscription Identifier (5.0: [MQTT-3.3.4-6])', '30 { <t> { 0b 01 } }', 0x82],
    ['AUTH with flags (5.0: [MQTT-3.15.1-1])', 'f1 { 18 { 15 <m> } }', 0x81],
    ['AUTH with a reason code of nobody (5.0: [MQTT-3.15.2-1])', 'f0 { 01 { 15 <m> } }', 0x82],
    ['AUTH that a server would send (5.0: [MQTT-3.15.2-1])', 'f0 { 00 { 15 <m> } }', 0x82],
    ['AUTH without a method in the CONNECT (5.0: [MQTT-4.12.0-7])', 'f0 { 18 { 15 <m> } }', 0x82],
    ['DISCONNECT with a reason code of nobody (5.0: [MQTT-3.14.2-1])', 'e0 { 05 }', 0x82],
    ['DISCONNECT with a reason code of servers (5.0: [MQTT-3.14.2-1])', 'e0 { 8e }', 0x82],
  ])('5.0: %s', async (_, bytes, reasonCode) => {
    const client = await wire().client();
    client.write(bytes);
    await client.refused(reasonCode);
  });

  test('a string with every character there is comes through (5.0: [MQTT-1.5.4-1]; 3.1.1: [MQTT-1.5.3-1])', async () => {
    const [root, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client({ version: 4 });
    await client.subscribe(`${root}/#`, { qos: 0 });
    for (const text of ['\u0001\u007f', 'ÿ€', '\ud7ff\ue000\uffff', '😀\u{10ffff}']) {
      publisher.sendPublish(`${root}/${text}`);
      expect((await client.held()).topic).toBe(`${root}/${text}`);
    }
  });
});

describe('PINGREQ', () => {
  test('is answered (5.0: [MQTT-3.12.4-1]; 3.1.1: [MQTT-3.12.4-1])', async () => {
    for (const version of [4, 5] as const) {
      const client = await wire().client({ version });
      for (let i = 0; i < 3; i++) client.send({ type: PacketType.PINGREQ });
      for (let i = 0; i < 3; i++) expect(await client.next()).toEqual({ type: PacketType.PINGRESP });
    }
  });
});
