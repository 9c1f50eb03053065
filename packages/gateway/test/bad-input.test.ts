import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Packet, PacketType, type PublishPacket, type Subscription } from '@sluice/mqtt/codec/packet';
import type { RawClient } from './doubles/raw-client.ts';
import { TestGateway, until } from './doubles/test-gateway.ts';

/**
 * What broke other brokers. Every case ends with the same question: does the gateway still serve a client that does
 * nothing wrong?
 */
let gateway: TestGateway;
beforeAll(async () => {
  gateway = await TestGateway.start({ maximumPacketSizeBytes: 1024 * 1024, receiveMaximum: 10, subscriptionsMax: 100 });
});
afterAll(() => gateway.stop());

async function stillAlive(): Promise<void> {
  const raw = await gateway.raw();
  expect(await raw.hello('alive')).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0 });
  raw.send({ type: PacketType.PINGREQ });
  expect((await raw.next()).type).toBe(PacketType.PINGRESP);
  raw.destroy();
}

const text = (value: string): number[] => [value.length >> 8, value.length & 0xff, ...Buffer.from(value, 'latin1')];
const frame = (first: number, ...body: number[]): number[] => {
  const length: number[] = [];
  let rest = body.length;
  do {
    const byte = rest & 0x7f;
    rest >>= 7;
    length.push(rest > 0 ? byte | 0x80 : byte);
  } while (rest > 0);
  return [first, ...length, ...body];
};
const connectV5 = (...tail: number[]): number[] => frame(0x10, ...text('MQTT'), 5, ...tail);
const publishV5 = (first: number, topic: number[], ...rest: number[]): number[] => frame(first, ...topic, ...rest);

describe('before CONNECT: closed without a word', () => {
  test.each([
    ['PINGREQ', frame(0xc0)],
    ['PUBACK', frame(0x40, 0, 1)],
    ['SUBSCRIBE', frame(0x82, 0, 1, 0, ...text('t'), 0)],
    ['DISCONNECT', frame(0xe0)],
    ['a CONNACK', frame(0x20, 0, 0, 0)],
    ['packet type 0', frame(0x00)],
    ['a claim of 256 MB', [0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4]],
    ['a remaining length of five bytes', [0x10, 0x80, 0x80, 0x80, 0x80, 0x01]],
    ['HTTP', [...Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')]],
    ['a TLS hello', [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]],
    ['3.1.1 with reserved flags', frame(0x10, ...text('MQTT'), 4, 0x01, 0, 0, ...text('x'))],
    [
      '3.1.1 with a will of QoS 3',
      frame(0x10, ...text('MQTT'), 4, 0x1e, 0, 0, ...text('x'), ...text('t'), ...text('p')),
    ],
  ])('%s', async (_name, bytes) => {
    const raw = await gateway.raw();
    raw.write(...bytes);
    await raw.untilClosed();
    expect(raw.packets).toEqual([]);
    await stillAlive();
  });
});

describe('CONNECT that is refused', () => {
  test.each([
    ['a wrong protocol name', 4, frame(0x10, ...text('MQTX'), 4, 2, 0, 0, ...text('x')), 1],
    ['level 6', 4, frame(0x10, ...text('MQTT'), 6, 2, 0, 0, ...text('x')), 1],
    ['3.1.1, empty id, session to keep', 4, frame(0x10, ...text('MQTT'), 4, 0, 0, 0, ...text('')), 2],
    ['v5, Receive Maximum 0', 5, connectV5(2, 0, 0, 3, 0x21, 0, 0, ...text('x')), 0x82],
    ['v5, Maximum Packet Size 0', 5, connectV5(2, 0, 0, 5, 0x27, 0, 0, 0, 0, ...text('x')), 0x82],
    ['v5, the same property twice', 5, connectV5(2, 0, 0, 6, 0x21, 0, 9, 0x21, 0, 9, ...text('x')), 0x82],
    ['v5, a property of another packet', 5, connectV5(2, 0, 0, 2, 0x24, 1, ...text('x')), 0x81],
    ['v5, a property length of five bytes', 5, connectV5(2, 0, 0, 0x80, 0x80, 0x80, 0x80, 1, ...text('x')), 0x81],
    ['v5, a client id with U+0000', 5, connectV5(2, 0, 0, 0, ...text('a\u0000')), 0x81],
    ['v5, a client id with a surrogate', 5, connectV5(2, 0, 0, 0, 0, 3, 0xed, 0xa0, 0x80), 0x81],
    ['v5, a wildcard in the will topic', 5, connectV5(6, 0, 0, 0, ...text('x'), 0, ...text('a/#'), ...text('p')), 0x90],
    ['v5, a will in $SYS', 5, connectV5(6, 0, 0, 0, ...text('x'), 0, ...text('$SYS/a'), ...text('p')), 0x87],
    ['v5, enhanced authentication', 5, connectV5(2, 0, 0, 6, 0x15, ...text('abc'), ...text('x')), 0x8c],
  ] as const)('%s', async (_name, version, bytes, reasonCode) => {
    const raw = await gateway.raw();
    raw.version = version;
    raw.write(...bytes);
    expect(await raw.next()).toMatchObject({ type: PacketType.CONNACK, sessionPresent: false, reasonCode });
    await raw.untilClosed();
    await stillAlive();
  });
});

const asking = (filter: string, more: Partial<Subscription> = {}): Subscription => ({
  filter,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  ...more,
});
const publishing = (topic: string, more: Partial<PublishPacket> = {}): PublishPacket => ({
  type: PacketType.PUBLISH,
  topic,
  payload: new Uint8Array(0),
  qos: 0,
  retain: false,
  dup: false,
  packetId: 0,
  ...more,
});
const subscribing = (...filters: string[]): Packet => ({
  type: PacketType.SUBSCRIBE,
  packetId: 1,
  subscriptions: filters.map((filter) => asking(filter)),
});

describe('after CONNECT: MQTT 5 is told why, 3.1.1 is closed', () => {
  test.each<[string, number, number[] | ((raw: RawClient) => void)]>([
    ['a second CONNECT', 0x82, connectV5(2, 0, 0, 0, ...text('x'))],
    ['a CONNACK', 0x82, frame(0x20, 0, 0, 0)],
    ['a SUBACK', 0x82, frame(0x90, 0, 1, 0, 0)],
    ['an UNSUBACK', 0x82, frame(0xb0, 0, 1, 0, 0)],
    ['a PINGRESP', 0x82, frame(0xd0)],
    ['AUTH', 0x82, frame(0xf0)],
    ['PUBLISH at QoS 3', 0x82, publishV5(0x36, text('t'), 0, 1, 0)],
    ['PUBLISH at QoS 0 with DUP', 0x82, publishV5(0x38, text('t'), 0)],
    ['PUBLISH with packet id 0', 0x82, publishV5(0x32, text('t'), 0, 0, 0)],
    ['PUBLISH without a topic', 0x82, publishV5(0x30, text(''), 0)],
    ['PUBLISH to a wildcard', 0x90, publishV5(0x30, text('a/+'), 0)],
    ['PUBLISH to more levels than are walked', 0x90, publishV5(0x30, text('/'.repeat(65_000)), 0)],
    ['PUBLISH to a topic with U+0000', 0x81, publishV5(0x30, text('a\u0000'), 0)],
    ['PUBLISH to a topic that is not UTF-8', 0x81, publishV5(0x30, [0, 2, 0xc3, 0x28], 0)],
    ['PUBLISH with a response topic that has a wildcard', 0x82, publishV5(0x30, text('t'), 6, 0x08, ...text('a/#'))],
    ['PUBLISH with topic alias 0', 0x94, publishV5(0x30, text('t'), 3, 0x23, 0, 0)],
    ['PUBLISH with topic alias 33', 0x94, publishV5(0x30, text('t'), 3, 0x23, 0, 33)],
    ['PUBLISH with an alias nobody defined', 0x82, publishV5(0x30, text(''), 3, 0x23, 0, 5)],
    ['PUBLISH with a subscription identifier', 0x82, publishV5(0x30, text('t'), 2, 0x0b, 1)],
    ['PUBLISH with the same property twice', 0x82, publishV5(0x30, text('t'), 4, 0x01, 1, 0x01, 1)],
    ['PUBLISH with a property of CONNECT', 0x81, publishV5(0x30, text('t'), 3, 0x21, 0, 9)],
    ['PUBLISH into $SYS at QoS 0', 0x87, publishV5(0x30, text('$SYS/x'), 0)],
    ['PUBLISH into a queue prefix at QoS 0', 0x90, publishV5(0x30, text('$queue/x'), 0)],
    ['SUBSCRIBE without a filter', 0x8f, frame(0x82, 0, 1, 0)],
    ['UNSUBSCRIBE without a filter', 0x8f, frame(0xa2, 0, 1, 0)],
    ['SUBSCRIBE to an empty filter', 0x8f, frame(0x82, 0, 1, 0, ...text(''), 1)],
    ['SUBSCRIBE to a#', 0x8f, frame(0x82, 0, 1, 0, ...text('a#'), 1)],
    ['SUBSCRIBE to a/#/b', 0x8f, frame(0x82, 0, 1, 0, ...text('a/#/b'), 1)],
    ['SUBSCRIBE to $share//x', 0x8f, frame(0x82, 0, 1, 0, ...text('$share//x'), 1)],
    ['SUBSCRIBE to $share/g/', 0x8f, frame(0x82, 0, 1, 0, ...text('$share/g/'), 1)],
    ['SUBSCRIBE to 65,000 levels', 0x8f, frame(0x82, 0, 1, 0, ...text('+/'.repeat(32_000)), 1)],
    ['SUBSCRIBE with No Local on a shared filter', 0x82, frame(0x82, 0, 1, 0, ...text('$share/g/t'), 0x05)],
    ['SUBSCRIBE with identifier 0', 0x82, frame(0x82, 0, 1, 2, 0x0b, 0, ...text('t'), 1)],
    ['SUBSCRIBE at QoS 3', 0x82, frame(0x82, 0, 1, 0, ...text('t'), 3)],
    ['SUBSCRIBE with packet id 0', 0x82, frame(0x82, 0, 0, 0, ...text('t'), 1)],
    ['SUBSCRIBE with wrong flags', 0x81, frame(0x80, 0, 1, 0, ...text('t'), 1)],
    ['PUBACK with packet id 0', 0x82, frame(0x40, 0, 0)],
    ['a packet beyond the maximum', 0x95, [0x30, 0x81, 0x80, 0x80, 0x01]],
    ['a remaining length of five bytes', 0x81, [0x30, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ['session expiry raised from 0', 0x82, frame(0xe0, 0, 5, 0x11, 0, 0, 0, 9)],
    [
      'more than Receive Maximum',
      0x93,
      (raw) => {
        gateway.durable.filters = ['held'];
        for (let id = 1; id <= 11; id++) raw.send(publishing('held', { qos: 2, packetId: id }));
      },
    ],
  ])('%s', async (_name, reasonCode, bytes) => {
    const v5 = await gateway.raw();
    await v5.hello('bad');
    if (typeof bytes === 'function') bytes(v5);
    else v5.socket.write(Uint8Array.from(bytes));
    expect(await v5.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode });
    await v5.untilClosed();
    expect(v5.packets).toEqual([]);
    await stillAlive();
  });

  test.each([
    ['a second CONNECT', frame(0x10, ...text('MQTT'), 4, 2, 0, 0, ...text('x'))],
    ['a PINGRESP', frame(0xd0)],
    ['PUBLISH at QoS 3', frame(0x36, ...text('t'), 0, 1)],
    ['PUBLISH without a topic', frame(0x30, ...text(''))],
    ['PUBLISH to a wildcard', frame(0x30, ...text('#'))],
    ['PUBLISH into $SYS', frame(0x32, ...text('$SYS/x'), 0, 1)],
    ['PUBLISH into a queue prefix', frame(0x32, ...text('$q/x'), 0, 1)],
    ['SUBSCRIBE without a filter', frame(0x82, 0, 1)],
    ['a packet beyond the maximum', [0x30, 0x81, 0x80, 0x80, 0x01]],
  ])('3.1.1: %s', async (_name, bytes) => {
    const v4 = await gateway.raw();
    await v4.hello('bad', { protocolVersion: 4 });
    v4.write(...bytes);
    await v4.untilClosed();
    expect(v4.packets).toEqual([]);
    await stillAlive();
  });
});

describe('odd, and no reason to end', () => {
  test('names that are special to JavaScript', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
    for (const name of names) {
      const raw = await gateway.raw();
      expect(await raw.hello(name, { username: name })).toMatchObject({ reasonCode: 0 });
      raw.send(subscribing(name, `${name}/+`, `$share/${name}/${name}`, `$queue/jobs/${name}`));
      expect(await raw.next()).toMatchObject({ type: PacketType.SUBACK });
      raw.send(publishing(name, { retain: true, properties: { userProperties: [name, name] } }));
      expect(await raw.next()).toMatchObject({ topic: name, properties: { userProperties: [name, name] } });
      raw.destroy();
    }
    await stillAlive();
  });

  test('acknowledgements of packets that nobody sent', async () => {
    const raw = await gateway.raw();
    await raw.hello('odd');
    for (const type of [PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP] as const) {
      raw.send({ type, packetId: 77, reasonCode: 0 });
    }
    expect(await raw.next()).toMatchObject({ type: PacketType.PUBREL, packetId: 77, reasonCode: 0x92 });
    expect(await raw.next()).toMatchObject({ type: PacketType.PUBCOMP, packetId: 77, reasonCode: 0x92 });
    await stillAlive();
  });

  test('one QoS 2 packet id, again and again, never released', async () => {
    const raw = await gateway.raw();
    await raw.hello('stuck', { protocolVersion: 4 });
    for (let i = 0; i < 2_000; i++) raw.send(publishing('x', { qos: 2, packetId: 1, dup: i > 0 }));
    await until(
      () => raw.packets.length,
      (n) => n === 2_000,
    );
    for (let id = 2; id < 3_000; id++) raw.send(publishing('x', { qos: 2, packetId: id }));
    await until(
      () => raw.packets.length,
      (n) => n === 4_998,
    );
    await stillAlive();
  });

  test('more subscriptions than a client may hold', async () => {
    const raw = await gateway.raw();
    await raw.hello('greedy');
    raw.send(subscribing(...Array.from({ length: 101 }, (_, i) => `t/${i}`)));
    const suback = await raw.next();
    expect(suback.type === PacketType.SUBACK && suback.reasonCodes.slice(-2)).toEqual([1, 0x97]);
    await stillAlive();
  });

  test('a byte at a time', async () => {
    const raw = await gateway.raw();
    raw.socket.setNoDelay(true);
    for (const byte of connectV5(2, 0, 0, 0, ...text('slow'))) {
      raw.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await raw.next()).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0 });
  });

  test('hanging up in the middle of everything', async () => {
    for (let i = 0; i < 20; i++) {
      const raw = await gateway.raw();
      void raw.hello(`gone-${i}`).catch(() => {});
      raw.send(subscribing('held', '$queue/jobs'));
      raw.send(publishing('held', { qos: 1, packetId: 1 }));
      raw.write(0x30, 0x50, 0x00);
      if (i % 2 === 0) raw.socket.resetAndDestroy();
      else raw.destroy();
    }
    await stillAlive();
    for (const stored of gateway.durable.stored) stored.pending.complete(0);
    await stillAlive();
  });
});
