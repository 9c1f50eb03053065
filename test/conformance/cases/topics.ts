import { describe, expect, test } from '@jest/globals';
import { refusedInBoth } from '../support/refused-in-both.ts';
import { wire } from '../support/wire.ts';

describe('topics and filters', () => {
  test('wildcards stand for levels, first and last ones too (5.0: [MQTT-4.7.1-1] [MQTT-4.7.1-2]; 3.1.1: [MQTT-4.7.1-2] [MQTT-4.7.1-3])', async () => {
    const [root, publisher] = [wire().name(), await wire().client()];
    const topics = ['', '/a', '/a/b', '/a/b/c', '//', '/'].map((rest) => `${root}${rest}`);
    const cases: [filter: string, matched: number[]][] = [
      [`${root}/#`, [0, 1, 2, 3, 4, 5]],
      [`${root}/+`, [1, 5]],
      [`${root}/+/b`, [2]],
      [`${root}/+/+`, [2, 4]],
      [`${root}/a/#`, [1, 2, 3]],
      [`+/a/b`, [2]],
      [`${root}/+/b/#`, [2, 3]],
    ];
    for (const [filter, matched] of cases) {
      const client = await wire().client();
      await client.subscribe(filter, { qos: 1 });
      for (const topic of topics) await publisher.publish(topic, '', { qos: 1 });
      for (const index of matched) expect(await client.delivery()).toMatchObject({ topic: topics[index] });
      expect(await client.settled(publisher)).toEqual([]);
      await client.bye();
    }
  });

  test('filters that begin with a wildcard do not see topics that begin with $ (5.0: [MQTT-4.7.2-1]; 3.1.1: [MQTT-4.7.2-1])', async () => {
    const [level, publisher] = [wire().name(), await wire().client()];
    const client = await wire().client();
    const topic = `$${level}/${level}`;
    await client.subscribe(['#', `+/${level}`, '+/#'], { retainHandling: 2 });
    await client.subscribe(`$${level}/#`, { identifier: 5 });
    await publisher.publish(topic, 'x', { qos: 1 });
    const seen = (await client.settled(publisher)).filter((packet) => 'topic' in packet && packet.topic === topic);
    expect(seen).toEqual([expect.objectContaining({ properties: { subscriptionIdentifiers: [5] } })]);
  });

  test.each([
    ['PUBLISH to + (5.0: [MQTT-4.7.0-1] [MQTT-3.3.2-2]; 3.1.1: [MQTT-4.7.1-1] [MQTT-3.3.2-2])', '30 { <a/+> P }', 0x90],
    ['PUBLISH to # (5.0: [MQTT-4.7.0-1]; 3.1.1: [MQTT-4.7.1-1])', '30 { <#> P }', 0x90],
    ['a#: (5.0: [MQTT-4.7.1-1]; 3.1.1: [MQTT-4.7.1-2])', '82 { 00 01 P <a#> 00 }', 0x8f],
    ['a/#/b: (5.0: [MQTT-4.7.1-1]; 3.1.1: [MQTT-4.7.1-2])', '82 { 00 01 P <a/#/b> 00 }', 0x8f],
    ['a+: (5.0: [MQTT-4.7.1-2]; 3.1.1: [MQTT-4.7.1-3])', '82 { 00 01 P <a+/b> 00 }', 0x8f],
    ['an empty filter (5.0: [MQTT-4.7.3-1]; 3.1.1: [MQTT-4.7.3-1])', '82 { 00 01 P <> 00 }', 0x8f],
    [
      'U+0000 in a topic (5.0: [MQTT-4.7.3-2] [MQTT-1.5.4-2]; 3.1.1: [MQTT-4.7.3-2] [MQTT-1.5.3-2])',
      '30 { 00 02 61 00 P }',
      0x81,
    ],
    [
      'U+0000 in a filter (5.0: [MQTT-4.7.3-2] [MQTT-1.5.4-2]; 3.1.1: [MQTT-4.7.3-2] [MQTT-1.5.3-2])',
      '82 { 00 01 P 00 02 61 00 00 }',
      0x81,
    ],
    [
      'a topic that is not UTF-8 (5.0: [MQTT-3.3.2-1] [MQTT-1.5.4-1]; 3.1.1: [MQTT-3.3.2-1] [MQTT-1.5.3-1])',
      '30 { 00 02 c3 28 P }',
      0x81,
    ],
    ['a topic with half a surrogate (5.0: [MQTT-1.5.4-1]; 3.1.1: [MQTT-1.5.3-1])', '30 { 00 03 ed a0 80 P }', 0x81],
    ['a filter that is not UTF-8 (5.0: [MQTT-3.8.3-1]; 3.1.1: [MQTT-3.8.3-1])', '82 { 00 01 P 00 02 c3 28 00 }', 0x81],
    [
      'an UNSUBSCRIBE filter that is not UTF-8 (5.0: [MQTT-3.10.3-1]; 3.1.1: [MQTT-3.10.3-1])',
      'a2 { 00 01 P 00 02 c3 28 }',
      0x81,
    ],
  ])('%s ends the connection', (_, bytes, reasonCode) => refusedInBoth(bytes, reasonCode));

  test('an empty topic (5.0: [MQTT-4.7.3-1] [MQTT-3.3.2-1]; 3.1.1: [MQTT-4.7.3-1])', async () => {
    const client = await wire().client();
    client.write('30 { <> 00 }');
    await client.refused(0x82);
    const old = await wire().client({ version: 4 });
    old.write('30 { <> }');
    await old.refused(0);
  });
});
