import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type Packet, PacketType } from '@sluice/mqtt/codec/packet';
import { KEPT_SUBSCRIPTIONS_MAX } from '@sluice/queue/session/session-limits';
import { BrokerUnderAttack, publishing, subscribing } from './broker-under-attack.ts';
import type { RawClient } from './raw-client.ts';

const ERRORS = 'sluice_gateway_protocol_errors_total';

let broker: BrokerUnderAttack;
beforeAll(async () => {
  broker = await BrokerUnderAttack.start({ flags: ['--set', 'mqtt.receiveMaximum=20'] });
});
afterEach(async () => {
  broker.hangUp();
  await broker.stillServes();
  // Nothing of what was tried is left behind.
  await broker.until('no session is left', async () => (await broker.metric('sluice_gateway_sessions')) === 0);
  for (const kind of ['plain', 'shared', 'queue']) {
    expect([kind, await broker.metric('sluice_gateway_subscriptions', { kind })]).toEqual([kind, 0]);
  }
});
afterAll(() => broker?.dispose());

async function depthOf(filter: string): Promise<number> {
  const path = `/api/v5/message_queues/queues/${encodeURIComponent(`/${filter}`)}/stats`;
  const { body } = await broker.rest.get(path);
  return (body as { statistics: { depth_messages: number } }).statistics.depth_messages;
}

describe('QoS 2 that is never completed', () => {
  test('B16: MQTT 5, one id again and again, then all ids the window has, then one more', async () => {
    const client = await broker.client();
    for (let i = 0; i < 2_000; i++) client.send(publishing('q2', { qos: 2, packetId: 1, dup: i > 0 }));
    await client.until('2,000 answers', () => client.packets.length === 2_000);
    for (const packet of client.packets.splice(0))
      expect(packet).toMatchObject({ type: PacketType.PUBREC, packetId: 1 });
    for (let packetId = 2; packetId <= 20; packetId++) client.send(publishing('q2', { qos: 2, packetId }));
    await client.until('19 answers', () => client.packets.length === 19);
    client.packets.length = 0;
    client.send(publishing('q2', { qos: 2, packetId: 21 }));
    expect(await client.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x93 });
    await client.untilClosed();
  });

  test('B16: MQTT 3.1.1, all 65,535 ids, without a PUBREL', async () => {
    const residentMb = await broker.residentMb();
    const client = await broker.client(4);
    for (let first = 1; first <= 65_535; first += 5_000) {
      const last = Math.min(first + 4_999, 65_535);
      for (let packetId = first; packetId <= last; packetId++) client.send(publishing('q2', { qos: 2, packetId }));
      await client.until('an answer each', () => client.packets.length === last - first + 1);
      client.packets.length = 0;
    }
    // Released, an id is free again.
    client.send({ type: PacketType.PUBREL, packetId: 7, reasonCode: 0 });
    expect(await client.next()).toMatchObject({ type: PacketType.PUBCOMP, packetId: 7 });
    expect((await broker.residentMb()) - residentMb).toBeLessThan(100);
  }, 30_000);

  test('B16: a repeated PUBLISH enters its queue once', async () => {
    await broker.createQueue({ topic_filter: 'once', is_lastvalue: false });
    const client = await broker.client(4);
    for (let i = 0; i < 50; i++) client.send(publishing('once', { qos: 2, packetId: 3, dup: i > 0 }));
    await client.until('50 answers', () => client.packets.length > 0);
    client.send({ type: PacketType.PUBREL, packetId: 3, reasonCode: 0 });
    await client.until('PUBCOMP', () => client.packets.some(({ type }) => type === PacketType.PUBCOMP));
    const depth = await depthOf('once');
    expect(depth).toBe(1);
  });
});

describe('publishers that do not wait', () => {
  test('MQTT 5: more at once than Receive Maximum ends the connection with 0x93, and what was answered is kept', async () => {
    await broker.createQueue({ topic_filter: 'greedy', is_lastvalue: false });
    const before = await broker.metric(ERRORS, { kind: 'receive_maximum_exceeded' });
    const client = await broker.client();
    const all = Array.from({ length: 500 }, (_, i) => encode(publishing('greedy', { qos: 1, packetId: i + 1 }), 5));
    client.write(Buffer.concat(all));
    await client.untilClosed();
    expect(client.packets.at(-1)).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x93 });
    const acknowledged = client.packets.filter(({ type }) => type === PacketType.PUBACK).length;
    await broker.untilRisen(before, 1, ERRORS, { kind: 'receive_maximum_exceeded' });
    await broker.stillServes();
    const depth = await depthOf('greedy');
    expect(depth).toBeGreaterThanOrEqual(acknowledged);
  });

  test('MQTT 3.1.1, which knows no Receive Maximum: all are answered, in order', async () => {
    await broker.createQueue({ topic_filter: 'eager', is_lastvalue: false });
    const client = await broker.client(4);
    const all = Array.from({ length: 2_000 }, (_, i) => encode(publishing('eager', { qos: 1, packetId: i + 1 }), 4));
    client.write(Buffer.concat(all));
    await client.until('an answer each', () => client.packets.length === 2_000);
    expect(client.packets.map((packet) => (packet as { packetId: number }).packetId)).toEqual(
      Array.from({ length: 2_000 }, (_, i) => i + 1),
    );
  });

  test('B18: a QoS 1 id used again while it is in flight: each PUBLISH is answered', async () => {
    const client = await broker.client();
    await broker.createQueue({ topic_filter: 'again', is_lastvalue: false });
    client.write(
      Buffer.concat(Array.from({ length: 10 }, () => encode(publishing('again', { qos: 1, packetId: 5 }), 5))),
    );
    await client.until('ten answers', () => client.packets.length === 10);
    for (const packet of client.packets) expect(packet).toMatchObject({ type: PacketType.PUBACK, packetId: 5 });
    client.packets.length = 0;
    // One id for QoS 1 and QoS 2 at once.
    client.write(
      Buffer.concat([
        encode(publishing('again', { qos: 2, packetId: 6 }), 5),
        encode(publishing('again', { qos: 1, packetId: 6 }), 5),
        encode({ type: PacketType.PUBREL, packetId: 6, reasonCode: 0 }, 5),
      ]),
    );
    await client.until('three answers', () => client.packets.length === 3);
  });

  test('B18: a SUBSCRIBE, an UNSUBSCRIBE and a PUBLISH under one id', async () => {
    const client = await broker.client();
    client.write(
      Buffer.concat([
        encode(subscribing(['s'], { packetId: 9 }), 5),
        encode(publishing('alive2', { qos: 1, packetId: 9 }), 5),
        encode({ type: PacketType.UNSUBSCRIBE, packetId: 9, filters: ['s', 'never'] }, 5),
      ]),
    );
    const types: number[] = [];
    for (let i = 0; i < 3; i++) types.push((await client.next()).type);
    expect(types.sort()).toEqual([PacketType.PUBACK, PacketType.SUBACK, PacketType.UNSUBACK].sort());
  });
});

describe('take-over', () => {
  test.each([true, false])(
    'B29: one client id, 500 times, clean start %s: one is left, the others are told',
    async (cleanStart) => {
      const clients: RawClient[] = [];
      for (let i = 0; i < 5; i++) {
        const some = await Promise.all(Array.from({ length: 100 }, () => broker.open()));
        for (const each of some) void each.hello('the-one', 5, { cleanStart }).catch(() => {});
        clients.push(...some);
        for (const each of some) each.send(subscribing(['storm', '$q/alive3', '$share/g/storm']));
        await Promise.all(some.map((each) => each.until('an answer', () => each.closed || each.packets.length > 0)));
      }
      await broker.until('one session', async () => (await broker.metric('sluice_gateway_sessions')) === 1);
      await broker.until('499 closed', async () => clients.filter((each) => each.closed).length === 499);
      for (const each of clients.filter(({ closed }) => closed)) {
        expect(each.packets.at(-1)).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x8e });
      }
      const left = clients.find(({ closed }) => !closed) as RawClient;
      left.packets.length = 0;
      left.send({ type: PacketType.PINGREQ });
      await left.until('PINGRESP', () => left.packets.some(({ type }) => type === PacketType.PINGRESP));
    },
    60_000,
  );

  test('B29: taken over between a delivery and its acknowledgement: the message is not lost', async () => {
    await broker.createQueue({ topic_filter: 'handed', is_lastvalue: false });
    const publisher = await broker.client();
    for (let i = 1; i <= 5; i++) {
      publisher.send(publishing('handed', { qos: 1, packetId: i, payload: Buffer.from(`${i}`) }));
      await publisher.next();
    }
    const received = new Set<string>();
    const take = (packet: Packet): void => {
      if (packet.type === PacketType.PUBLISH) received.add(Buffer.from(packet.payload).toString());
    };
    for (let i = 0; i < 30; i++) {
      const worker = await broker.open();
      await worker.hello('worker', 5, { cleanStart: i % 2 === 0 });
      worker.send(subscribing(['$q/handed']));
      await worker.until('a delivery', () => worker.packets.some(({ type }) => type === PacketType.PUBLISH));
      worker.packets.forEach(take);
    }
    expect([...received].sort()).toEqual(['1', '2', '3', '4', '5']);
    const depth = await depthOf('handed');
    expect(depth).toBe(5);
  });
});

describe('races', () => {
  test('B33: subscribe, unsubscribe, publish and hang up in one write, in every order, on plain, shared and queue filters', async () => {
    await broker.createQueue({ topic_filter: 'race/#', is_lastvalue: false });
    const pieces = ['$q/race/#', 'race/+', '$share/g/race/#'].flatMap((filter) => [
      encode(subscribing([filter]), 5),
      encode({ type: PacketType.UNSUBSCRIBE, packetId: 2, filters: [filter] }, 5),
      encode(publishing('race/x', { qos: 1, packetId: 3 }), 5),
      encode(publishing('race/x', { retain: true }), 5),
    ]);
    // A fixed sequence, so that what fails once fails again.
    let seed = 12_345;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    for (let round = 0; round < 150; round++) {
      const client = await broker.open();
      void client.hello(`race-${round % 3}`, 5, { cleanStart: round % 2 === 0 }).catch(() => {});
      const chosen = Array.from({ length: 1 + random(12) }, () => pieces[random(pieces.length)] as Uint8Array);
      client.write(Buffer.concat(chosen));
      const end = random(4);
      if (end === 0) client.socket.resetAndDestroy();
      else if (end === 1) client.destroy();
      else if (end === 2) client.write(Uint8Array.of(0x30, 0x50, 0x00));
      if (round % 10 === 9) await broker.stillServes();
    }
    const cleaner = await broker.client();
    cleaner.send(publishing('race/x', { retain: true }));
  }, 60_000);

  test('B33: a queue is deleted and made again under its subscribers', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, () => broker.client()));
    for (const client of clients) client.send(subscribing(['$q/flicker', '$queue/flicker']));
    const path = `/api/v5/message_queues/queues/${encodeURIComponent('/flicker')}`;
    for (let i = 0; i < 10; i++) {
      await broker.createQueue({ topic_filter: 'flicker', is_lastvalue: i % 2 === 0 });
      for (const [at, client] of clients.entries()) {
        client.send(publishing('flicker', { qos: 1, packetId: 1 + at }));
        if (at % 2 === 0) client.send(subscribing(['$q/flicker'], { packetId: 100 }));
        else client.send({ type: PacketType.UNSUBSCRIBE, packetId: 101, filters: ['$q/flicker'] });
      }
      expect((await broker.rest.delete(path)).status).toBe(204);
    }
    await broker.createQueue({ topic_filter: 'flicker', is_lastvalue: false });
    const client = await broker.client();
    for (const each of clients) each.destroy();
    client.send(subscribing(['$q/flicker']));
    await client.next();
    client.send(publishing('flicker', { qos: 1, packetId: 1 }));
    await client.until('PUBACK and delivery', () => client.packets.length === 2);
  }, 30_000);
});

test('more filters than a kept session may have: each beyond is refused by itself, and the session stays', async () => {
  const kept = { cleanStart: false, properties: { sessionExpiryIntervalS: 600 } };
  const hoarder = await broker.open();
  await hoarder.hello('hoarder', 5, kept);
  const filters = Array.from({ length: KEPT_SUBSCRIPTIONS_MAX + 3 }, (_, i) => `hoard/${i}`);
  hoarder.send(subscribing(filters, { qos: 1 }));
  const codes = filters.map((_, i) => (i < KEPT_SUBSCRIPTIONS_MAX ? 1 : 0x97));
  expect(await hoarder.next()).toMatchObject({ type: PacketType.SUBACK, reasonCodes: codes });
  hoarder.destroy();
  const back = await broker.open();
  expect(await back.hello('hoarder', 5, kept)).toMatchObject({ sessionPresent: true, reasonCode: 0 });
  back.send(subscribing(['hoard/more'], { qos: 1 }));
  expect(await back.next()).toMatchObject({ type: PacketType.SUBACK, reasonCodes: [0x97] });
  // Bytes count as well.
  const wordy = await broker.open();
  await wordy.hello('wordy', 5, kept);
  const long = Array.from({ length: 5 }, (_, i) => `${i}${'x'.repeat(30_000)}`);
  wordy.send(subscribing(long, { qos: 1 }));
  expect(await wordy.next()).toMatchObject({ type: PacketType.SUBACK, reasonCodes: [1, 1, 1, 1, 0x97] });
}, 30_000);
