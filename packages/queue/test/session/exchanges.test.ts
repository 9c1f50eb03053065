import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeSessionCommand } from '../../src/session/command-codec.ts';
import type { ExchangeStep } from '../../src/session/commands.ts';
import { decodeExchangeRow, encodeExchangeRow } from '../../src/session/exchange-row.ts';
import { Exchanges } from '../../src/session/exchanges.ts';
import { exchangeRowKey } from '../../src/session/row-keys.ts';
import { SessionWorld } from './session-world.ts';

let world: SessionWorld;
let serial: number;
beforeEach(() => {
  world = new SessionWorld();
  serial = 0;
});

function open(over: { cleanStart?: boolean } = {}) {
  const { cleanStart = false } = over;
  const reply = world.run({ type: 'open-session', clientId: 'c', identity: '', gateway: 1, cleanStart, expiryS: 60 });
  if (reply.type !== 'session-opened') throw new Error(reply.type);
  serial = 0;
  return reply;
}

function exchange(epoch: number, steps: ExchangeStep[], over: { serial?: number } = {}) {
  const command = { type: 'exchange-session' as const, clientId: 'c', epoch, serial: over.serial ?? ++serial, steps };
  const reply = world.run(command);
  return reply.type === 'session-exchanged' ? reply.numbers : reply.type;
}

const take = (packetId: number): ExchangeStep => ({ type: 'take', packetId });
const release = (packetId: number): ExchangeStep => ({ type: 'release', packetId });
const bind = (packetId: number, streamId: number, offset: number, qos: 1 | 2 = 2): ExchangeStep => {
  return { type: 'bind', packetId, qos, streamId, offset };
};
const receive = (packetId: number, streamId: number, offset: number): ExchangeStep => {
  return { type: 'receive', packetId, streamId, offset };
};

describe('packet ids that a client publishes under', () => {
  test('have a number, the same until they are released, and never again', () => {
    const { epoch } = open();
    const [one, two] = exchange(epoch, [take(7), take(8)]) as number[];
    expect(exchange(epoch, [take(7)])).toEqual([one]);
    expect(exchange(epoch, [release(7), take(7)])).toEqual([(two as number) + 1]);
  });

  test('are there for whoever has the session next, in the order they were taken', () => {
    const { epoch } = open();
    const [eight, two] = exchange(epoch, [take(8), take(2), take(5)]) as [number, number];
    exchange(epoch, [release(5)]);
    world.restart();
    const taken = [
      { packetId: 8, number: eight },
      { packetId: 2, number: two },
    ];
    expect(open().taken).toEqual(taken);
    expect(open({ cleanStart: true }).taken).toEqual([]);
    expect(world.rows.has(Buffer.from(exchangeRowKey('c')).toString('latin1'))).toBe(false);
  });

  test('of somebody who lost the session change nothing', () => {
    const { epoch } = open();
    exchange(epoch, [take(1)]);
    const next = open();
    expect(exchange(epoch, [release(1)], { serial: 2 })).toBe('session-fenced');
    expect(exchange(next.epoch, [])).toEqual([]);
    expect(open().taken).toEqual(next.taken);
  });

  test('are as they are when a command comes a second time, or late', () => {
    const { epoch } = open();
    const first = exchange(epoch, [take(1)]);
    expect(exchange(epoch, [take(1)], { serial: 1 })).toEqual(first);
    exchange(epoch, [release(1)]);
    expect(exchange(epoch, [take(1)], { serial: 1 })).toEqual([0]);
    expect(open().taken).toEqual([]);
  });
});

describe('packet ids of publishes that were refused', () => {
  const refuse = (packetId: number, reasonCode = 0x97): ExchangeStep => ({ type: 'refuse', packetId, reasonCode });

  test('are free, and remembered with their reason until something else is published under them', () => {
    const { epoch } = open();
    const [first] = exchange(epoch, [take(7), take(8), refuse(7), refuse(8, 0x83)]) as [number];
    world.restart();
    const next = open();
    expect(next.taken).toEqual([]);
    expect(next.refused).toEqual([
      { packetId: 7, reasonCode: 0x97 },
      { packetId: 8, reasonCode: 0x83 },
    ]);
    expect(exchange(next.epoch, [take(7)])).not.toEqual([first]);
    const last = open();
    expect(last.refused).toEqual([{ packetId: 8, reasonCode: 0x83 }]);
    expect(last.taken).toHaveLength(1);
    expect(open({ cleanStart: true }).refused).toEqual([]);
  });

  test('are the newest, up to the bound; the row stays while there are some', () => {
    const { epoch } = open();
    const all = Array.from({ length: Exchanges.REFUSED_MAX + 2 }, (_, i) => i + 1);
    exchange(epoch, [...all.map((packetId) => refuse(packetId)), refuse(3)]);
    world.run({ type: 'close-session', clientId: 'c', epoch, expiryS: undefined });
    expect(open().refused.map(({ packetId }) => packetId)).toEqual([...all.slice(3), 3]);
  });

  test('have the bytes they had', () => {
    const { epoch } = open();
    const command = encodeSessionCommand({
      type: 'exchange-session',
      clientId: 'c',
      epoch: 1,
      serial: 2,
      steps: [take(300), refuse(300)],
    });
    expect(Buffer.from(command).toString('hex')).toBe('280100000000000000000163010200ac0205ac0297');
    exchange(epoch, [take(300), take(2), refuse(300), bind(1, 0, 0)]);
    const key = Buffer.from(exchangeRowKey('c')).toString('latin1');
    expect(Buffer.from(world.rows.get(key) as Uint8Array).toString('hex')).toBe('02010101020301ac029701010000');
  });
});

describe('packet ids that a client was sent something under', () => {
  function stream(epoch: number): number {
    const subscriptions = [{ filter: 'a', options: 2, subscriptionId: 0, isStored: true }];
    const limits = { countMax: null, bytesMax: null };
    const reply = world.run({ type: 'subscribe-session', clientId: 'c', epoch, ...limits, subscriptions });
    const streamId = reply.type === 'session-subscribed' ? (reply.streamIds[0] as number) : 0;
    world.streams.get(streamId)?.push(100, 101, 102);
    return streamId;
  }

  test('stand for the same record until they are free, in their order', () => {
    const { epoch } = open();
    const streamId = stream(epoch);
    exchange(epoch, [bind(3, streamId, 0), bind(1, streamId, 1), bind(2, streamId, 2, 1), bind(9, 0, 0)]);
    world.restart();
    const bound = [
      { packetId: 3, state: 'sent-qos2', streamId, offset: 0 },
      { packetId: 1, state: 'sent-qos2', streamId, offset: 1 },
      { packetId: 2, state: 'sent-qos1', streamId, offset: 2 },
      { packetId: 9, state: 'sent-qos2', streamId: 0, offset: 0 },
    ];
    const next = open();
    expect(next.bound).toEqual(bound);
    exchange(next.epoch, [{ type: 'finish', packetId: 1 }]);
    expect(open().bound.map(({ packetId }) => packetId)).toEqual([3, 2, 9]);
  });

  test('with the PUBREC the record is passed, in one entry; PUBREL is owed', () => {
    const { epoch } = open();
    const streamId = stream(epoch);
    exchange(epoch, [bind(3, streamId, 0), bind(4, streamId, 1)]);
    exchange(epoch, [receive(4, streamId, 1)]);
    expect(world.waiting('c', streamId)).toEqual([100, 102]);
    world.effects.length = 0;
    exchange(epoch, [receive(3, streamId, 0)]);
    expect(world.effects).toEqual([{ type: 'stream-passed', streamId }]);
    expect(open().bound).toEqual([
      { packetId: 3, state: 'received', streamId: 0, offset: 0 },
      { packetId: 4, state: 'received', streamId: 0, offset: 0 },
    ]);
  });

  test('outlive the stream: its record is gone, the exchange is not', () => {
    const { epoch } = open();
    const streamId = stream(epoch);
    exchange(epoch, [bind(3, streamId, 0)]);
    world.run({ type: 'unsubscribe-session', clientId: 'c', epoch, filters: ['a'] });
    exchange(epoch, [receive(3, streamId, 0)]);
    expect(open().bound).toEqual([{ packetId: 3, state: 'received', streamId: 0, offset: 0 }]);
  });
});

describe('the row', () => {
  test('stays what it was, and goes with the last of them', () => {
    const { epoch } = open();
    exchange(epoch, [take(300), take(2), bind(1, 2 ** 52 + 2 ** 20 + 1, 5), bind(2, 0, 0, 1), receive(2, 0, 0)]);
    const key = Buffer.from(exchangeRowKey('c')).toString('latin1');
    expect(Buffer.from(world.rows.get(key) as Uint8Array).toString('hex')).toBe(
      '01010102ac0202020101018180c08080808008050202',
    );
    exchange(epoch, [release(300), release(2), { type: 'finish', packetId: 1 }, { type: 'finish', packetId: 2 }]);
    world.run({ type: 'close-session', clientId: 'c', epoch, expiryS: undefined });
    expect(world.rows.has(key)).toBe(false);
    expect(world.session('c')).toBeDefined();
  });

  test('comes back as it was written', () => {
    const packetId = fc.integer({ min: 1, max: 65_535 });
    const place = { streamId: fc.nat(), offset: fc.maxSafeNat() };
    const step = fc.oneof(
      fc.record({ type: fc.constantFrom('take' as const, 'release' as const, 'finish' as const), packetId }),
      fc.record({
        type: fc.constant('bind' as const),
        packetId,
        qos: fc.constantFrom(1 as const, 2 as const),
        ...place,
      }),
      fc.record({ type: fc.constant('receive' as const), packetId, ...place }),
      fc.record({ type: fc.constant('refuse' as const), packetId, reasonCode: fc.integer({ min: 128, max: 255 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(), (steps, from) => {
        const exchanges = new Exchanges();
        exchanges.begins(3, 4);
        let last = from;
        for (const each of steps) exchanges.apply(each, () => ++last);
        const again = decodeExchangeRow(encodeExchangeRow(exchanges));
        expect([again.epoch, again.serial]).toEqual([3, 4]);
        expect([...again.taken]).toEqual([...exchanges.taken]);
        expect([...again.bound]).toEqual([...exchanges.bound]);
        expect([...again.refused]).toEqual([...exchanges.refused]);
      }),
    );
  });
});
