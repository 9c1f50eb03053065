import { describe, expect, test } from '@jest/globals';
import { type WireClient, wire } from '../support/wire.ts';

const VERSIONS = [4, 5] as const;

/** Wills of one client come in their order: when this one comes next, no other is under way. */
async function leavesNext(clientId: string, topic: string, watcher: WireClient): Promise<void> {
  (await wire().client({ clientId, will: { topic, payload: 'next' } })).drop();
  expect(await watcher.delivery()).toMatchObject({ topic, payload: 'next' });
}

describe('wills', () => {
  test('published once when the connection ends without a word (5.0: [MQTT-3.1.2-7] [MQTT-3.1.2-8]; 3.1.1: [MQTT-3.1.2-8])', async () => {
    for (const version of VERSIONS) {
      const [topic, watcher] = [wire().name(), await wire().client()];
      await watcher.subscribe(topic);
      const dying = await wire().client({ version, will: { topic, payload: 'gone', qos: 1 } });
      dying.drop();
      expect(await watcher.delivery()).toMatchObject({ topic, payload: 'gone', qos: 1, retain: false });
      // Once: it is not there any more when the client comes and goes again, with another one.
      await (await wire().client({ version, clientId: dying.clientId })).bye();
      await leavesNext(dying.clientId, topic, watcher);
    }
  });

  test('taken back by DISCONNECT, published by DISCONNECT with will (5.0: [MQTT-3.1.2-10] [MQTT-3.14.4-3]; 3.1.1: [MQTT-3.1.2-10] [MQTT-3.14.4-3])', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(topic);
    const clientId = wire().name();
    for (const version of VERSIONS) await (await wire().client({ version, clientId, will: { topic } })).bye();
    await (await wire().client({ clientId, will: { topic, payload: 'wanted' } })).bye(0x04);
    expect(await watcher.delivery()).toMatchObject({ payload: 'wanted' });
  });

  test('none without its flag (3.1.1: [MQTT-3.1.2-12])', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(topic);
    const dying = await wire().client({ version: 4 });
    dying.drop();
    expect(await watcher.settled(await wire().client())).toEqual([]);
  });

  test('retained or not, as it says (5.0: [MQTT-3.1.2-14] [MQTT-3.1.2-15]; 3.1.1: [MQTT-3.1.2-16] [MQTT-3.1.2-17])', async () => {
    for (const version of VERSIONS) {
      for (const retain of [false, true]) {
        const [topic, watcher] = [wire().name(), await wire().client()];
        await watcher.subscribe(topic);
        const dying = await wire().client({ version, will: { topic, retain, qos: 1 }, near: watcher });
        dying.drop();
        await watcher.delivery();
        const later = await wire().client({ near: watcher });
        await later.subscribe(topic);
        if (retain) expect(await later.delivery()).toMatchObject({ topic, retain: true });
        else expect(await later.settled(watcher)).toEqual([]);
        await watcher.publish(topic, '', { retain: true, qos: 1 });
      }
    }
  });

  test('its properties come with it, user properties in their order (5.0: [MQTT-3.1.3-10])', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(topic);
    const userProperties = ['b', '1', 'a', '2', 'b', '0', 'a', '2'];
    const properties = {
      userProperties,
      contentType: 'text/plain',
      payloadFormatIndicator: 1,
      willDelayIntervalS: 0,
    } as const;
    const dying = await wire().client({ will: { topic, properties } });
    dying.drop();
    const { properties: came } = await watcher.delivery();
    expect(came).toMatchObject({ userProperties, contentType: 'text/plain', payloadFormatIndicator: 1 });
    expect(came.willDelayIntervalS).toBeUndefined();
  });

  test('stopped by a new connection of the session within its delay (5.0: [MQTT-3.1.3-9])', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(topic);
    const properties = { sessionExpiryIntervalS: 600 };
    const first = await wire().client({ will: { topic, properties: { willDelayIntervalS: 60 } }, properties });
    const { clientId } = first;
    const second = await wire().client({ clientId, clean: false, properties, near: first });
    await first.refused(0x8e);
    second.drop();
    await leavesNext(clientId, topic, watcher);
  });

  test('published when its connection is taken over, whether or not its session goes on (5.0: [MQTT-3.1.2-8]; 3.1.1: [MQTT-3.1.2-8])', async () => {
    for (const version of VERSIONS) {
      for (const clean of [true, false]) {
        const [topic, watcher] = [wire().name(), await wire().client()];
        await watcher.subscribe(topic);
        const first = await wire().client({ version, will: { topic, payload: 'gone' } });
        const second = await wire().client({ version, clientId: first.clientId, clean, near: first });
        expect(await watcher.delivery()).toMatchObject({ topic, payload: 'gone' });
        await second.bye();
      }
    }
  });

  test('published when its delay is over and its client is not back (5.0: [MQTT-3.1.2-8])', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(topic);
    const properties = { sessionExpiryIntervalS: 600 };
    const dying = await wire().client({ will: { topic, properties: { willDelayIntervalS: 1 } }, properties });
    const droppedMs = performance.now();
    dying.drop();
    expect(await watcher.delivery()).toMatchObject({ topic, payload: 'will' });
    expect(performance.now() - droppedMs).toBeGreaterThanOrEqual(990);
  });

  test('published with the end of the session where that comes first, also when DISCONNECT says so (5.0: [MQTT-3.1.2-8])', async () => {
    const [topic, watcher] = [wire().name(), await wire().client()];
    await watcher.subscribe(topic);
    const will = { topic, properties: { willDelayIntervalS: 600 } };
    const ended = await wire().client({ will, properties: { sessionExpiryIntervalS: 1 } });
    ended.drop();
    await watcher.delivery();
    const leaving = await wire().client({ will, properties: { sessionExpiryIntervalS: 600 } });
    await leaving.bye(0x04, { sessionExpiryIntervalS: 1 });
    await watcher.delivery();
    const replaced = await wire().client({ will, properties: { sessionExpiryIntervalS: 600 } });
    await wire().client({ clientId: replaced.clientId, near: replaced });
    await watcher.delivery();
  });

  test('of every QoS there is (5.0: [MQTT-3.1.2-12]; 3.1.1: [MQTT-3.1.2-14])', async () => {
    for (const qos of [0, 1, 2] as const) {
      const [topic, watcher] = [wire().name(), await wire().client()];
      await watcher.subscribe(topic);
      const dying = await wire().client({ will: { topic, qos } });
      dying.drop();
      expect(await watcher.delivery()).toMatchObject({ topic, qos });
    }
  });
});
