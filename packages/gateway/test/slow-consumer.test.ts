import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PacketType, type PublishPacket, type QoS } from '@sluice/mqtt/codec/packet';
import type { RawClient } from './doubles/raw-client.ts';
import { TestGateway, until } from './doubles/test-gateway.ts';

const BOUND = 256 * 1024;
const PAYLOAD = 20_000;
let gateway: TestGateway;
let slow: RawClient;

beforeEach(async () => {
  gateway = await TestGateway.start({ sendBufferBytesMax: BOUND, liveQueueMax: 30, liveQueueBytesMax: 64_000_000 });
  slow = await gateway.raw();
  await slow.hello('slow');
});
afterEach(() => gateway.stop());

async function subscribe(filter: string, qos: QoS): Promise<void> {
  slow.send({
    type: PacketType.SUBSCRIBE,
    packetId: 1,
    subscriptions: [{ filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
  });
  await slow.next();
}

const summary = () => [...gateway.gateway.connections()].find((c) => c.clientId === 'slow');

/** Publishes until the slow client's socket is over its bound, and then as much again. */
async function flood(qos: QoS): Promise<number> {
  const publisher = await gateway.connect();
  const payload = Buffer.alloc(PAYLOAD);
  let sent = 0;
  while ((summary()?.sendBufferBytes ?? 0) <= BOUND) {
    if (qos > 0 && (summary()?.waiting ?? 0) > 0) break;
    await publisher.publishAsync('t', payload, { qos });
    sent++;
    if (sent > 3000) throw new Error('the socket takes everything');
  }
  for (let i = 0; i < 100; i++) await publisher.publishAsync('t', payload, { qos });
  // Publishes on one connection are handled in order: this one is the last.
  await publisher.publishAsync('end', '', { qos: 1 });
  return sent + 100;
}

describe('a subscriber that does not read', () => {
  test('QoS 0: is sent what fits, the rest is dropped and counted', async () => {
    await subscribe('t', 0);
    slow.socket.pause();
    const sent = await flood(0);
    expect(summary()?.sendBufferBytes).toBeLessThanOrEqual(BOUND + 2 * PAYLOAD);
    const dropped = gateway.counter('delivery_dropped_total', { reason: 'slow_qos0' });
    expect(dropped).toBeGreaterThan(50);
    slow.socket.resume();
    await until(
      () => slow.packets.length,
      (n) => n === sent - dropped,
    );
    expect(slow.packets.every((p) => (p as PublishPacket).payload.length === PAYLOAD)).toBe(true);
  });

  test('QoS 1: a bounded number waits, the rest is dropped and counted', async () => {
    await subscribe('t', 1);
    slow.socket.pause();
    const sent = await flood(1);
    expect(summary()?.waiting).toBe(30);
    expect(summary()?.sendBufferBytes).toBeLessThanOrEqual(BOUND + 2 * PAYLOAD);
    const dropped = gateway.counter('delivery_dropped_total', { reason: 'queue_full' });
    expect(dropped).toBeGreaterThan(0);
    slow.socket.resume();
    let seen = 0;
    await until(
      () => {
        for (const packet of slow.packets.splice(0)) {
          seen++;
          const { packetId } = packet as PublishPacket;
          slow.send({ type: PacketType.PUBACK, packetId, reasonCode: 0 });
        }
        return seen;
      },
      (n) => n === sent - dropped,
    );
    await until(
      () => summary()?.inflight,
      (n) => n === 0,
    );
  });

  test('its queues are paused, and go on when it has read', async () => {
    await subscribe('$queue/jobs', 1);
    const queue = gateway.queues.last;
    const window = queue.window;
    slow.socket.pause();
    let delivered = 0;
    while (queue.window > 0) {
      queue.deliver({ topic: 'jobs', payload: Buffer.alloc(PAYLOAD) });
      delivered++;
      await new Promise((resolve) => setImmediate(resolve));
      if (delivered > 3000) throw new Error('never paused');
    }
    expect(queue.log).toEqual(['window 0']);
    // What was under way already is kept, not lost.
    queue.deliver({ topic: 'jobs' }, { topic: 'jobs' });
    slow.socket.resume();
    await until(
      () => slow.packets.length,
      (n) => n === delivered + 2,
    );
    await until(
      () => queue.window,
      (w) => w === window,
    );
  });

  test('one packet larger than the bound goes through', async () => {
    await subscribe('t', 0);
    const publisher = await gateway.connect();
    await publisher.publishAsync('t', Buffer.alloc(4 * BOUND), { qos: 1 });
    expect(((await slow.next()) as PublishPacket).payload.length).toBe(4 * BOUND);
  });

  test('retained messages come in portions, and all of them', async () => {
    const publisher = await gateway.connect();
    const retained: Promise<unknown>[] = [];
    for (let i = 0; i < 1000; i++) {
      retained.push(publisher.publishAsync(`r/${i}`, Buffer.alloc(PAYLOAD), { qos: 1, retain: true }));
    }
    await Promise.all(retained);
    slow.socket.pause();
    slow.send({
      type: PacketType.SUBSCRIBE,
      packetId: 1,
      subscriptions: [{ filter: 'r/#', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
    });
    await until(() => (summary()?.sendBufferBytes ?? 0) > BOUND);
    expect(summary()?.sendBufferBytes).toBeLessThan(BOUND + 2 * PAYLOAD);
    slow.socket.resume();
    await until(
      () => slow.packets.length,
      (n) => n === 1001,
      10_000,
    );
    const topics = new Set(slow.packets.slice(1).map((p) => (p as PublishPacket).topic));
    expect(topics.size).toBe(1000);
    expect(gateway.counter('delivery_dropped_total', { reason: 'slow_qos0' })).toBe(0);
  });
});
