import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { BrokerUnderAttack, publishing, subscribing } from './broker-under-attack.ts';
import type { RawClient } from './raw-client.ts';

/** Who holds the broker's memory, sockets or attention without doing anything for it. */
const CONNECT_TIMEOUT_MS = 2_000;
/** Cut within the deadline, the tick of the wheel, and what a busy machine adds. */
const CLOSED_WITHIN_MS = CONNECT_TIMEOUT_MS + 4_000;
const ERRORS = 'sluice_gateway_protocol_errors_total';
const KIB = 1024;

let broker: BrokerUnderAttack;
beforeAll(async () => {
  broker = await BrokerUnderAttack.start({ flags: ['--set', `mqtt.connectTimeout=${CONNECT_TIMEOUT_MS}ms`] });
});
afterEach(async () => {
  broker.hangUp();
  await broker.stillServes();
});
afterAll(() => broker?.dispose());

describe('before CONNECT', () => {
  test('B2 B30: 2,000 sockets, each with an unfinished CONNECT of all the size it may claim', async () => {
    const residentMb = await broker.residentMb();
    const timedOut = await broker.metric(ERRORS, { kind: 'maximum_connect_time' });
    // 144 KiB claimed, the fixed header and 12 KiB there.
    const partial = Buffer.concat([Uint8Array.of(0x10, 0xf0, 0xff, 0x08), Buffer.alloc(12 * KIB, 'x')]);
    const sockets: RawClient[] = [];
    for (let i = 0; i < 20; i++) {
      sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => broker.open()))));
      for (const each of sockets.slice(-100)) each.socket.write(partial);
    }
    await broker.stillServes();
    // Far less than what was claimed (295 MB) or what four bytes each of a maximum packet would claim (500 GB).
    expect((await broker.residentMb()) - residentMb).toBeLessThan(200);
    await Promise.all(sockets.map((each) => each.untilClosed(CLOSED_WITHIN_MS)));
    for (const each of sockets) expect(each.packets).toEqual([]);
    await broker.untilRisen(timedOut, 2_000, ERRORS, { kind: 'maximum_connect_time' });
  }, 60_000);

  test('B2: 2,000 sockets that claim 256 MB are closed at once', async () => {
    const residentMb = await broker.residentMb();
    const tooLarge = await broker.metric(ERRORS, { kind: 'packet_too_large' });
    for (let i = 0; i < 20; i++) {
      const sockets = await Promise.all(Array.from({ length: 100 }, () => broker.open()));
      for (const each of sockets) each.write(Uint8Array.of(0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4));
      await Promise.all(sockets.map((each) => each.untilClosed()));
    }
    expect((await broker.residentMb()) - residentMb).toBeLessThan(100);
    await broker.untilRisen(tooLarge, 2_000, ERRORS, { kind: 'packet_too_large' });
  }, 60_000);

  test('B30: a CONNECT of one byte every 100 ms, and a socket that says nothing', async () => {
    const [slow, silent] = [await broker.open(), await broker.open()];
    const bytes = encode(
      { type: PacketType.CONNECT, protocolVersion: 5, clientId: 'slow'.repeat(20), cleanStart: true, keepAliveS: 0 },
      5,
    );
    let at = 0;
    const timer = setInterval(() => slow.write(bytes.subarray(at, ++at)), 100);
    await Promise.all([slow.untilClosed(CLOSED_WITHIN_MS), silent.untilClosed(CLOSED_WITHIN_MS)]);
    clearInterval(timer);
    expect(at).toBeLessThan(bytes.length);
  });

  test('B30: after a refusal the socket is closed, also when the client keeps its end open and goes on sending', async () => {
    const client = await broker.open();
    client.socket.allowHalfOpen = true;
    client.write(Uint8Array.of(0xc0, 0x00));
    const timer = setInterval(() => client.write(Buffer.alloc(4_096)), 20);
    await client.untilClosed(8_000);
    clearInterval(timer);
  });
});

describe('after CONNECT', () => {
  test('B30: keep-alive 1 and silence: closed with 0x8d after one and a half seconds', async () => {
    const ended = await broker.metric(ERRORS, { kind: 'keep_alive_timeout' });
    const v5 = await broker.open();
    await v5.hello('silent5', 5, { keepAliveS: 1 });
    const v4 = await broker.open();
    await v4.hello('silent4', 4, { keepAliveS: 1 });
    expect(await v5.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x8d });
    await Promise.all([v5.untilClosed(), v4.untilClosed()]);
    expect(v4.packets).toEqual([]);
    await broker.untilRisen(ended, 2, ERRORS, { kind: 'keep_alive_timeout' });
  });

  test('B30: keep-alive 0 is answered with the longest there is, keep-alive 65,535 is taken', async () => {
    for (const keepAliveS of [0, 65_535]) {
      const client = await broker.open();
      const connack = await client.hello('kept', 5, { keepAliveS });
      expect(connack).toMatchObject({ reasonCode: 0 });
      const serverKeepAliveS = connack.type === PacketType.CONNACK ? connack.properties?.serverKeepAliveS : undefined;
      expect(serverKeepAliveS).toBe(keepAliveS === 0 ? 65_535 : undefined);
    }
  });

  test('B31: subscribers of QoS 0 and 1 that do not read, 256 KB messages: memory bounded, others served', async () => {
    const [qos0, qos1] = [await broker.client(), await broker.client()];
    qos0.send(subscribing(['flood'], { qos: 0 }));
    qos1.send(subscribing(['flood'], { qos: 1 }));
    await Promise.all([qos0.next(), qos1.next()]);
    qos0.stopReading();
    qos1.stopReading();
    const reader = await broker.client();
    reader.send(subscribing(['flood'], { qos: 0 }));
    await reader.next();
    const publisher = await broker.client();
    const residentMb = await broker.residentMb();
    const dropped = await broker.metric('sluice_gateway_delivery_dropped_total');
    const payload = Buffer.alloc(256 * KIB);
    for (let id = 1; id <= 800; id++) {
      publisher.send(publishing('flood', { qos: 1, packetId: id, payload }));
      // 800 × 256 KB: twenty times what the two may hold.
      expect(await publisher.next()).toMatchObject({ type: PacketType.PUBACK });
    }
    await reader.until('all of them', () => reader.packets.length === 800);
    reader.packets.length = 0;
    expect(await broker.metric('sluice_gateway_delivery_dropped_total', { reason: 'slow_qos0' })).toBeGreaterThan(0);
    expect(await broker.metric('sluice_gateway_delivery_dropped_total')).toBeGreaterThan(dropped + 600);
    expect(await broker.metric('sluice_gateway_send_buffer_bytes')).toBeLessThan(8_000_000);
    expect((await broker.residentMb()) - residentMb).toBeLessThan(120);
  }, 60_000);

  test('B31: ten workers of a queue that do not read, 256 KB messages: each holds its window, others get the rest', async () => {
    await broker.createQueue({ topic_filter: 'heavy', is_lastvalue: false, local_max_inflight: 1000 });
    const stuck: RawClient[] = [];
    for (let i = 0; i < 10; i++) {
      const client = await broker.client();
      client.send(subscribing(['$q/heavy']));
      await client.next();
      client.stopReading();
      stuck.push(client);
    }
    const residentMb = await broker.residentMb();
    const publisher = await broker.client();
    const payload = Buffer.alloc(256 * KIB);
    const count = 400;
    for (let id = 1; id <= count; id++) {
      payload.writeUInt32BE(id);
      publisher.send(publishing('heavy', { qos: 1, packetId: id, payload }));
      if (id % 10 === 0) for (let i = 0; i < 10; i++) await publisher.next();
    }
    await broker.stillServes();
    // 100 MB are in the queue; ten times 1 MB and a packet may stand in sockets, besides caches of a fixed size.
    expect(await broker.metric('sluice_gateway_send_buffer_bytes')).toBeLessThan(30_000_000);
    expect((await broker.residentMb()) - residentMb).toBeLessThan(250);
    for (const each of stuck) each.destroy();
    const worker = await broker.client();
    worker.send(subscribing(['$q/heavy']));
    await worker.next();
    const seen = new Set<number>();
    while (seen.size < count) {
      const packet = await worker.next();
      if (packet.type !== PacketType.PUBLISH) throw new Error(`type ${packet.type}`);
      seen.add(Buffer.from(packet.payload).readUInt32BE(0));
      worker.send({ type: PacketType.PUBACK, packetId: packet.packetId, reasonCode: 0 });
    }
  }, 60_000);

  test('B31: 200,000 questions whose answers nobody reads', async () => {
    const residentMb = await broker.residentMb();
    for (const question of [
      encode({ type: PacketType.PINGREQ }, 5),
      encode(subscribing(Array.from({ length: 50 }, (_, i) => `f/${i}`)), 5),
      encode({ type: PacketType.PUBREL, packetId: 7, reasonCode: 0 }, 5),
      encode(publishing('nobody', { qos: 1, packetId: 9 }), 5),
    ]) {
      const client = await broker.client();
      client.stopReading();
      const many = Buffer.concat(Array.from({ length: 5_000 }, () => question));
      for (let i = 0; i < 40; i++) client.socket.write(many);
      await broker.stillServes();
    }
    expect(await broker.metric('sluice_gateway_send_buffer_bytes')).toBeLessThan(8_000_000);
    expect((await broker.residentMb()) - residentMb).toBeLessThan(150);
  }, 60_000);

  test('B8: more subscriptions, more text and more levels of filters than one client may hold', async () => {
    const client = await broker.client();
    let refused = 0;
    let granted = 0;
    for (let batch = 0; batch < 60; batch++) {
      const filters = Array.from({ length: 200 }, (_, i) => `${batch}/${i}`);
      client.send(subscribing(filters, { qos: 0, packetId: batch + 1 }));
      const suback = await client.next();
      if (suback.type !== PacketType.SUBACK) throw new Error(`type ${suback.type}`);
      for (const code of suback.reasonCodes) code === 0x97 ? refused++ : granted++;
    }
    expect([granted, refused]).toEqual([10_000, 2_000]);
    const long = await broker.client();
    long.send(
      subscribing(
        Array.from({ length: 60 }, (_, i) => `${i}`.padEnd(60_000, 'x')),
        { qos: 0 },
      ),
    );
    const suback = await long.next();
    expect(suback.type === PacketType.SUBACK && suback.reasonCodes.filter((code) => code === 0x97).length).toBe(26);
    const deep = await broker.client();
    const levels = Array.from({ length: 127 }, () => '+').join('/');
    deep.send(
      subscribing(
        Array.from({ length: 600 }, (_, i) => `${i}/${levels}`),
        { qos: 0 },
      ),
    );
    const answer = await deep.next();
    expect(answer.type === PacketType.SUBACK && answer.reasonCodes.filter((code) => code === 0x97).length).toBe(
      600 - 512,
    );
  });
});
