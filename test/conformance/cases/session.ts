import { describe, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { timePasses } from '../support/time-passes.ts';
import { type Hello, wire } from '../support/wire.ts';

const VERSIONS = [4, 5] as const;

describe('sessions', () => {
  test('a clean start while the client is connected discards its session (5.0: [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2]; 3.1.1: [MQTT-3.1.2-6] [MQTT-3.1.4-3] [MQTT-3.2.2-1])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher] = [wire().name(), await wire().client()];
      const first = await wire().client({ version });
      await first.subscribe(topic);
      const second = await wire().open();
      expect(await second.connect({ version, clientId: first.clientId })).toMatchObject({ sessionPresent: false });
      await publisher.publish(topic, 'x', { qos: 1 });
      expect(await second.settled(publisher)).toEqual([]);
    }
  });

  test('without a clean start a connected client’s session goes on (5.0: [MQTT-3.1.2-5] [MQTT-3.2.2-3])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const first = await wire().client();
    await first.subscribe(topic);
    const second = await wire().open(first);
    expect(await second.connect({ clientId: first.clientId, clean: false })).toMatchObject({
      sessionPresent: true,
      reasonCode: 0,
    });
    await publisher.publish(topic, 'x', { qos: 1 });
    expect(await second.delivery()).toMatchObject({ topic, payload: 'x' });
  });

  test('without a session one is begun (5.0: [MQTT-3.1.2-6]; 3.1.1: [MQTT-3.2.2-3])', async () => {
    for (const version of VERSIONS) {
      const client = await wire().open();
      expect(await client.connect({ version, clean: false })).toMatchObject({ sessionPresent: false, reasonCode: 0 });
      await client.ping();
    }
  });

  test('it lives as long as its connection, without traffic as well (5.0: [MQTT-4.1.0-1]; 3.1.1: [MQTT-4.1.0-1] [MQTT-4.1.0-2])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const clients = await Promise.all(VERSIONS.map((version) => wire().client({ version })));
    for (const client of clients) await client.subscribe(topic);
    await timePasses(300);
    await publisher.publish(topic, 'later', { qos: 1 });
    for (const client of clients) expect(await client.delivery()).toMatchObject({ payload: 'later' });
  });

  test('it is discarded when its Session Expiry Interval is over (5.0: [MQTT-4.1.0-2])', async () => {
    for (const sessionExpiryIntervalS of [0, 1]) {
      const first = await wire().client({ properties: { sessionExpiryIntervalS } });
      await first.subscribe(wire().name());
      await first.bye();
      if (sessionExpiryIntervalS > 0) await timePasses(1_000 * sessionExpiryIntervalS + 700);
      const second = await wire().open();
      expect(await second.connect({ clientId: first.clientId, clean: false })).toMatchObject({ sessionPresent: false });
    }
  });

  test('what everybody is to get stands in every session (5.0: [MQTT-4.5.0-1]; 3.1.1: [MQTT-4.5.0-1])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const clients = await Promise.all([4, 5, 4, 5, 5].map((version) => wire().client({ version: version as 4 | 5 })));
    for (const client of clients) await client.subscribe(topic, { qos: 1 });
    await publisher.publish(topic, 'all', { qos: 2 });
    for (const client of clients) expect(await client.delivery()).toMatchObject({ payload: 'all', qos: 1 });
  });
});

describe('sessions that outlive their connection', () => {
  test('subscriptions and messages are there when the client comes back, to any gateway (3.1.1: [MQTT-3.1.2-5] [MQTT-3.2.2-2])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher, clientId] = [wire().name(), await wire().client(), wire().name()];
      const properties = version === 5 ? { sessionExpiryIntervalS: 60 } : undefined;
      const kept: Hello = { version, clientId, clean: false, properties };
      const first = await wire().client(kept);
      const [granted = 0] = (await first.subscribe(topic)).reasonCodes;
      await first.bye();
      await publisher.publish(topic, 'one', { qos: 1 });
      await publisher.publish(topic, 'two', { qos: 2 });
      const second = await wire().open();
      expect(await second.connect(kept)).toMatchObject({ sessionPresent: true });
      expect(await second.delivery()).toMatchObject({ payload: 'one', qos: 1 });
      expect(await second.delivery()).toMatchObject({ payload: 'two', qos: granted });
      await publisher.publish(topic, 'three', { qos: 1 });
      expect(await second.delivery()).toMatchObject({ payload: 'three' });
    }
  });

  test('a shared QoS 2 delivery that was begun is finished with its client; where that is not kept it is not begun (5.0: [MQTT-4.8.2-4])', async () => {
    const [topic, publisher] = [wire().name(), await wire().client()];
    const first = await wire().client({ near: publisher });
    await first.subscribe(`$share/g/${topic}`);
    publisher.sendPublish(topic, 'x', { qos: 2 });
    const { packetId } = await first.held();
    const other = await wire().client({ near: publisher });
    await other.subscribe(`$share/g/${topic}`);
    const second = await wire().client({ clientId: first.clientId, clean: false, near: publisher });
    expect(await second.delivery()).toMatchObject({ payload: 'x', packetId, dup: true, qos: 2 });
    expect(await other.settled(publisher)).toEqual([]);
    const kept = await wire().client({ clean: false, properties: { sessionExpiryIntervalS: 60 } });
    expect((await kept.subscribe(`$share/g/${topic}`)).reasonCodes).toEqual([1]);
    await kept.bye(0, { sessionExpiryIntervalS: 0 });
  });
});

describe('QoS 2 of sessions that outlive their connection', () => {
  test('what was begun goes on at any gateway: a publish is not published twice, a delivery is finished (5.0: [MQTT-3.1.2-23]; 3.1.1: [MQTT-3.1.2-4])', async () => {
    for (const version of VERSIONS) {
      const [topic, publisher, clientId] = [wire().name(), await wire().client(), wire().name()];
      const properties = version === 5 ? { sessionExpiryIntervalS: 60 } : undefined;
      const kept: Hello = { version, clientId, clean: false, properties };
      const first = await wire().client(kept);
      expect((await first.subscribe(topic)).reasonCodes).toEqual([2]);
      await publisher.publish(topic, 'delivery', { qos: 2 });
      const { packetId } = await first.held();
      first.sendPublish(`${topic}/own`, 'publish', { qos: 2, packetId: 7 });
      await first.take(PacketType.PUBREC);
      first.drop();
      const watcher = await wire().client();
      await watcher.subscribe(`${topic}/own`);
      const second = await wire().client(kept);
      expect(await second.delivery()).toMatchObject({ payload: 'delivery', packetId, qos: 2, dup: true });
      expect(await second.publish(`${topic}/own`, 'publish', { qos: 2, packetId: 7, dup: true })).toBe(0);
      expect(await watcher.settled(second)).toEqual([]);
    }
  });
});
