import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { ConnectionDeadline } from '../src/connection/connection-deadline.ts';
import type { RawClient } from './doubles/raw-client.ts';
import { collect, TestGateway, until } from './doubles/test-gateway.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await TestGateway.start({ inflightBytesMax: 64 * 1024, receiveMaximum: 50 });
  gateway.durable.filters = ['jobs/#'];
});
afterEach(() => gateway.stop());

const PUBLISH = { type: PacketType.PUBLISH, payload: new Uint8Array(1), qos: 1, retain: false, dup: false } as const;

function publish(raw: RawClient, packetId: number, qos: 0 | 1 | 2 = 1, payload: Uint8Array = new Uint8Array(1)): void {
  const topic = `jobs/${packetId}`;
  raw.send({ type: PacketType.PUBLISH, topic, payload, qos, retain: false, dup: false, packetId });
}

const answers = (raw: RawClient): (readonly [number, number, number])[] =>
  raw.packets.map((p) => ('packetId' in p && 'reasonCode' in p ? [p.type, p.packetId, p.reasonCode] : [p.type, 0, 0]));

describe('a publish that a queue wants', () => {
  test('is acknowledged in the order of arrival once committed, while live subscribers have it at once', async () => {
    const live = await gateway.connect();
    const seen = collect(live);
    await live.subscribeAsync('jobs/#', { qos: 0 });
    const raw = await gateway.raw();
    await raw.hello('publisher');
    publish(raw, 1);
    publish(raw, 2, 2);
    publish(raw, 3);
    await until(
      () => seen.length,
      (n) => n === 3,
    );
    expect(raw.packets).toEqual([]);
    const [first, second, third] = gateway.durable.stored;
    third?.pending.complete(ReasonCode.SUCCESS);
    second?.pending.complete(ReasonCode.SUCCESS);
    raw.send({ type: PacketType.PINGREQ });
    expect((await raw.next()).type).toBe(PacketType.PINGRESP);
    first?.pending.complete(ReasonCode.SUCCESS);
    await until(
      () => raw.packets.length,
      (n) => n === 3,
    );
    expect(answers(raw)).toEqual([
      [PacketType.PUBACK, 1, 0],
      [PacketType.PUBREC, 2, 0],
      [PacketType.PUBACK, 3, 0],
    ]);
  });

  test('took as long as from its read to the turn that answers it, and neither asks the clock for each', async () => {
    const took = gateway.metrics.histogram('sluice_gateway_publish_ack_seconds', '', [], { qos: '1' });
    const raw = await gateway.raw();
    await raw.hello('publisher');
    gateway.clock.stand();
    const asked = jest.spyOn(gateway.clock, 'nowMs');
    for (const [round, tookS] of [7, 1].entries()) {
      const packets = Array.from({ length: 40 }, (_, i) =>
        encode({ ...PUBLISH, topic: 'jobs/now', packetId: round * 40 + i + 1 }, 5),
      );
      asked.mockClear();
      raw.socket.write(Buffer.concat(packets));
      const stored = await until(
        () => gateway.durable.stored.splice(0),
        (found) => found.length > 0,
      );
      expect(stored.length).toBe(40);
      const { sum, count } = took;
      gateway.clock.shiftMs += tookS * 1000;
      for (const { pending } of stored) pending.complete(ReasonCode.SUCCESS);
      await until(
        () => raw.packets.length,
        (answered) => answered === (round + 1) * 40,
      );
      expect([took.count - count, took.sum - sum]).toEqual([40, 40 * tookS]);
      // The gateway's own timer asks as well.
      expect(asked.mock.calls.length).toBeLessThan(40);
    }
  });

  test('and is refused: MQTT 5 is told the code, MQTT 3.1.1 is cut off without an answer (3.1.1: [MQTT-4.8.0-2])', async () => {
    const v5 = await gateway.raw();
    await v5.hello('five');
    publish(v5, 1);
    publish(v5, 2, 2);
    await until(
      () => gateway.durable.stored.length,
      (n) => n === 2,
    );
    for (const stored of gateway.durable.stored) stored.pending.complete(ReasonCode.QUOTA_EXCEEDED);
    await until(
      () => v5.packets.length,
      (n) => n === 2,
    );
    expect(answers(v5)).toEqual([
      [PacketType.PUBACK, 1, 0x97],
      [PacketType.PUBREC, 2, 0x97],
    ]);

    const v4 = await gateway.raw();
    await v4.hello('four', { protocolVersion: 4 });
    publish(v4, 1);
    await until(
      () => gateway.durable.stored.length,
      (n) => n === 3,
    );
    gateway.durable.stored[2]?.pending.complete(ReasonCode.QUOTA_EXCEEDED);
    await v4.untilClosed();
    expect(v4.packets).toEqual([]);
  });

  test('carries who published it', async () => {
    const raw = await gateway.raw();
    await raw.hello('publisher', { username: 'ann' });
    publish(raw, 1);
    const [stored] = await until(
      () => gateway.durable.stored,
      (s) => s.length === 1,
    );
    expect(stored?.publisher).toMatchObject({ clientId: 'publisher', username: 'ann' });
    expect(stored?.publisher.peerHost).toBe('127.0.0.1');
    expect(stored?.publisher.peerName).toBe(`127.0.0.1:${raw.socket.localPort}`);
  });
});

test('a publish that no queue wants: 0x10 if nobody else did either', async () => {
  const raw = await gateway.raw();
  await raw.hello('publisher');
  const send = (packetId: number): void =>
    raw.send({
      type: PacketType.PUBLISH,
      topic: 'elsewhere',
      payload: new Uint8Array(0),
      qos: 1,
      retain: false,
      dup: false,
      packetId,
    });
  send(1);
  expect(await raw.next()).toMatchObject({ packetId: 1, reasonCode: ReasonCode.NO_MATCHING_SUBSCRIBERS });
  const live = await gateway.connect();
  await live.subscribeAsync('elsewhere');
  send(2);
  expect(await raw.next()).toMatchObject({ packetId: 2, reasonCode: ReasonCode.SUCCESS });
});

describe('back-pressure', () => {
  test('a 3.1.1 publisher that does not wait is not read beyond its bounds, and nothing is lost', async () => {
    const raw = await gateway.raw();
    await raw.hello('flood', { protocolVersion: 4 });
    for (let id = 1; id <= 500; id++) publish(raw, id);
    await until(
      () => gateway.durable.stored.length,
      (n) => n >= 50,
    );
    await until(() => [...gateway.gateway.connections()][0]?.readPaused);
    expect(gateway.durable.stored.length).toBe(50);
    gateway.durable.autoCommit = ReasonCode.SUCCESS;
    for (const stored of gateway.durable.stored.slice()) stored.pending.complete(ReasonCode.SUCCESS);
    await until(
      () => raw.packets.length,
      (n) => n === 500,
    );
    expect(answers(raw)).toEqual(Array.from({ length: 500 }, (_, i) => [PacketType.PUBACK, i + 1, 0]));
    expect(gateway.counter('backpressure_seconds_total')).toBeGreaterThan(0);
  });

  test('a publisher is bounded by bytes, whatever its Receive Maximum allows', async () => {
    const raw = await gateway.raw();
    await raw.hello('large');
    for (let id = 1; id <= 20; id++) publish(raw, id, 1, new Uint8Array(10_000));
    await until(() => [...gateway.gateway.connections()][0]?.readPaused);
    expect(gateway.durable.stored.length).toBe(7);
    gateway.durable.autoCommit = ReasonCode.SUCCESS;
    for (const stored of gateway.durable.stored.slice()) stored.pending.complete(ReasonCode.SUCCESS);
    await until(
      () => raw.packets.length,
      (n) => n === 20,
    );
  });

  test('while the durable side is congested its publishers are not read, and others are', async () => {
    const publisher = await gateway.raw();
    await publisher.hello('publisher');
    const other = await gateway.connect();
    gateway.durable.congested = true;
    gateway.durable.autoCommit = ReasonCode.SUCCESS;
    publish(publisher, 1);
    publish(publisher, 2);
    expect(await publisher.next()).toMatchObject({ packetId: 1 });
    await other.subscribeAsync('x');
    expect(gateway.durable.stored.length).toBe(1);
    gateway.durable.relieve();
    expect(await publisher.next()).toMatchObject({ packetId: 2 });
  });

  test('keep-alive does not run while a client is not read', async () => {
    const raw = await gateway.raw();
    await raw.hello('held', { keepAliveS: 10 });
    gateway.durable.congested = true;
    publish(raw, 1);
    await until(() => [...gateway.gateway.connections()][0]?.readPaused);
    raw.send({ type: PacketType.PINGREQ });
    gateway.clock.shiftMs += 60_000;
    // Another connection's deadline comes after its own would have.
    const mute = await gateway.raw();
    await until(() => gateway.gateway.counts().connections === 2);
    gateway.clock.shiftMs += 11_000;
    await mute.untilClosed();
    expect(raw.closed).toBe(false);
    gateway.durable.relieve();
    expect((await raw.next()).type).toBe(PacketType.PINGRESP);
  });

  test('what lies in its socket when it is read again is not taken for silence', async () => {
    const raw = await gateway.raw();
    await raw.hello('held', { keepAliveS: 10 });
    gateway.durable.congested = true;
    const unread = jest.spyOn(ConnectionDeadline.prototype, 'unread');
    publish(raw, 1);
    await until(() => [...gateway.gateway.connections()][0]?.readPaused);
    const [deadline] = unread.mock.contexts as ConnectionDeadline[];
    unread.mockRestore();
    raw.send({ type: PacketType.PINGREQ });
    await until(() => raw.socket.writableLength === 0);
    gateway.clock.shiftMs += 60_000;
    gateway.durable.relieve();
    // Its deadline comes up before the sockets are looked at.
    deadline?.expired(gateway.clock.monotonicMs());
    expect((await raw.next()).type).toBe(PacketType.PINGRESP);
  });

  test.each([0, 10])('one that is not read and gone is noticed, with a keep-alive of %d s', async (keepAliveS) => {
    const raw = await gateway.raw();
    await raw.hello('worker', { keepAliveS });
    gateway.durable.congested = true;
    publish(raw, 1);
    await until(() => [...gateway.gateway.connections()][0]?.readPaused);
    // More than a paused stream takes, so that its end stands behind bytes that nobody reads.
    raw.socket.write(new Uint8Array(512 * 1024));
    await until(() => raw.socket.writableLength === 0);
    raw.socket.resetAndDestroy();
    await until(() => {
      gateway.clock.shiftMs += 60_000;
      return gateway.gateway.counts().connections === 0;
    });
  });

  test('a client that does not read its answers is not read either', async () => {
    await gateway.stop();
    gateway = await TestGateway.start({ answerBytesMax: 65_536 });
    const raw = await gateway.raw();
    await raw.hello('deaf');
    raw.socket.pause();
    // Eleven bytes whose answer has a reason string: ten times as much.
    const asks = Buffer.from([0x82, 9, 0, 1, 0, 0, 3, ...Buffer.from('$q/'), 0]);
    const count = 200_000;
    raw.socket.write(Buffer.alloc(count * asks.length, asks));
    // Its socket is full and it is not read: not for a moment, but until it reads.
    await until(
      () => [...gateway.gateway.connections()][0],
      (c) => c?.readPaused === true && c.sendBufferBytes > 0,
      20_000,
    );
    const [summary] = [...gateway.gateway.connections()];
    // The bound and the answer that passed it, behind what a socket holds before it says so: 64 KiB from Node.js 22 on.
    expect(summary?.sendBufferBytes).toBeLessThan(65_536 + 1_024 + 65_536);
    raw.socket.resume();
    await until(
      () => raw.packets.length,
      (n) => n === count,
      20_000,
    );
  });
});
