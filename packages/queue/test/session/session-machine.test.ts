import { beforeEach, describe, expect, test } from '@jest/globals';
import { EXPIRY_NEVER_S, type OpenCommand, type SubscribeCommand } from '../../src/session/commands.ts';
import { KEPT_FILTER_BYTES_MAX, KEPT_SUBSCRIPTIONS_MAX } from '../../src/session/session-limits.ts';
import { decodeSessionRow, encodeSessionRow } from '../../src/session/session-rows.ts';
import { isStream } from '../../src/session/stream-id.ts';
import { ROWS_OF_NOTHING } from '../rows-of-nothing.ts';
import { SessionWorld } from './session-world.ts';

let world: SessionWorld;
beforeEach(() => {
  world = new SessionWorld();
});

const OPEN: OpenCommand = {
  type: 'open-session',
  clientId: 'c1',
  identity: '',
  gateway: 1,
  cleanStart: false,
  expiryS: 60,
};

function open(over: Partial<OpenCommand> = {}): number {
  const reply = world.run({ ...OPEN, ...over });
  if (reply.type !== 'session-opened') throw new Error(reply.type);
  return reply.epoch;
}

function subscribe(clientId: string, epoch: number, ...filters: string[]): readonly number[] {
  const command: SubscribeCommand = {
    type: 'subscribe-session',
    clientId,
    epoch,
    countMax: 100,
    bytesMax: null,
    subscriptions: filters.map((filter) => ({ filter, options: 1, subscriptionId: 0, isStored: true })),
  };
  const reply = world.run(command);
  if (reply.type !== 'session-subscribed') throw new Error(reply.type);
  return reply.streamIds;
}

const streamIdOf = (clientId: string, epoch: number, filter: string): number =>
  subscribe(clientId, epoch, filter)[0] as number;

describe('a session', () => {
  test('is found again after its connection, with what it subscribed to', () => {
    const epoch = open();
    subscribe('c1', epoch, 'a/#', 'b');
    world.run({ type: 'close-session', clientId: 'c1', epoch, expiryS: undefined });
    world.nowMs = 59_999;
    const reply = world.run({ ...OPEN, gateway: 2 });
    expect(reply).toMatchObject({ type: 'session-opened', present: true, formerGateway: 0 });
    expect(reply.type === 'session-opened' && reply.subscriptions.map(({ filter }) => filter)).toEqual(['a/#', 'b']);
    expect(world.machine.connected('c1')).toMatchObject({ gateway: 2 });
  });

  test('that its own CONNECT began was not there before, however often the store is asked', () => {
    const asked: OpenCommand = { ...OPEN, ticket: 7 };
    const first = world.run(asked);
    expect(first).toMatchObject({ type: 'session-opened', present: false });
    // The answer was lost; nobody is taken over, and the number stays.
    expect(world.run(asked)).toEqual(first);
    const epoch = first.type === 'session-opened' ? first.epoch : 0;
    subscribe('c1', epoch, 'a');
    // The way to its gateway was gone for long.
    world.run({ type: 'close-session', clientId: 'c1', epoch, expiryS: undefined });
    const again = world.run(asked);
    expect(again).toMatchObject({ present: false, formerGateway: 0 });
    expect(again.type === 'session-opened' && again.epoch).toBeGreaterThan(epoch);
    expect(world.run({ ...OPEN, ticket: 8, gateway: 2 })).toMatchObject({ present: true, formerGateway: 1 });
    expect(world.run({ ...OPEN, ticket: 8, gateway: 2 })).toMatchObject({ present: true, formerGateway: 0 });
  });

  test('that a CONNECT asked to be new is made new once', () => {
    const before = open();
    subscribe('c1', before, 'a');
    const asked: OpenCommand = { ...OPEN, cleanStart: true, ticket: 9 };
    const first = world.run(asked);
    expect(first).toMatchObject({ present: false, subscriptions: [], formerGateway: 1 });
    const epoch = first.type === 'session-opened' ? first.epoch : 0;
    subscribe('c1', epoch, 'b');
    expect(world.run(asked)).toMatchObject({ epoch, present: false, subscriptions: [{ filter: 'b' }] });
  });

  test('of a release without tickets is read as ever', () => {
    const epoch = open();
    expect(world.rowBytes('c1')?.[0]).toBe(1);
    expect(world.session('c1')).toMatchObject({ epoch, ticket: 0, wasPresent: true });
    open({ ticket: 300 });
    expect(world.rowBytes('c1')?.[0]).toBe(2);
    expect(world.session('c1')).toMatchObject({ ticket: 300, wasPresent: true });
  });

  test('with a ticket has the bytes that it has', () => {
    const row = { epoch: 7, identity: 'eve', gateway: 2, sinceMs: 300, expiryS: 60, ticket: 300, isUnsure: false };
    const subscriptions = [{ filter: 'a/#', options: 1, subscriptionId: 3, streamId: 9 }];
    const hexOf = (wasPresent: boolean): string =>
      Buffer.from(encodeSessionRow({ ...row, wasPresent, subscriptions })).toString('hex');
    expect([hexOf(true), hexOf(false)]).toEqual([
      '02070365766502ac023cac020101030903612f23',
      '02070365766502ac023cac020001030903612f23',
    ]);
  });

  test('of a gateway that left no word is unsure to the next one, once, whoever has seen to its end', () => {
    const isUnsure = (over: Partial<OpenCommand> = {}): unknown => {
      const reply = world.run({ ...OPEN, ...over });
      return reply.type === 'session-opened' && reply.isUnsure;
    };
    const close = (leavesUnsure?: boolean): void => {
      const epoch = world.machine.connected('c1')?.epoch as number;
      const ofTest = leavesUnsure === undefined ? {} : { takesWillBack: false, leavesUnsure };
      world.run({ type: 'close-session', clientId: 'c1', epoch, expiryS: undefined, ...ofTest });
      world.restart();
    };
    expect(isUnsure({ ticket: 1 })).toBe(false);
    close();
    expect([isUnsure({ ticket: 2 }), isUnsure({ ticket: 2 })]).toEqual([false, true]);
    expect(isUnsure({ ticket: 3, gateway: 2 })).toBe(true);
    close(true);
    const subscriptions = [{ filter: 'a/#', options: 1, subscriptionId: 3, streamId: 9 }];
    const row = { epoch: 7, identity: 'eve', gateway: 0, sinceMs: 300, expiryS: 60, ticket: 300, wasPresent: true };
    const bytes = encodeSessionRow({ ...row, isUnsure: true, subscriptions });
    expect(Buffer.from(bytes).toString('hex')).toBe('03070365766500ac023cac020101030903612f23');
    expect(decodeSessionRow(bytes)).toEqual({ ...row, isUnsure: true, subscriptions });
    expect(world.rowBytes('c1')?.[0]).toBe(3);
    expect(isUnsure({ ticket: 4 })).toBe(true);
    close();
    expect(isUnsure({ ticket: 5 })).toBe(false);
    expect(isUnsure({ ticket: 6, cleanStart: true })).toBe(false);
  });

  test('is over when its client stays away for as long as its expiry says, and not before', () => {
    const epoch = open();
    world.run({ type: 'close-session', clientId: 'c1', epoch, expiryS: 10 });
    world.nowMs = 9_999;
    expect(world.run({ type: 'expire-sessions', clientIds: ['c1'] })).toEqual({
      type: 'sessions-expired',
      clientIds: [],
    });
    world.nowMs = 10_000;
    expect(world.run(OPEN)).toMatchObject({ present: false });
  });

  test('of a connected client does not expire, nor does one that never shall', () => {
    open();
    const epoch = open({ clientId: 'c2', expiryS: EXPIRY_NEVER_S });
    world.run({ type: 'close-session', clientId: 'c2', epoch, expiryS: undefined });
    world.nowMs = 1e12;
    const reply = world.run({ type: 'expire-sessions', clientIds: ['c1', 'c2'] });
    expect(reply).toEqual({ type: 'sessions-expired', clientIds: [] });
    expect(world.machine.sessionCount).toBe(2);
  });

  test('belongs to the newest connection: who had it before changes nothing any more', () => {
    const older = open();
    const reply = world.run({ ...OPEN, gateway: 2 });
    expect(reply).toMatchObject({ present: true, formerGateway: 1, formerEpoch: older });
    expect(world.run({ type: 'unsubscribe-session', clientId: 'c1', epoch: older, filters: ['x'] })).toEqual({
      type: 'session-fenced',
    });
    expect(world.run({ type: 'close-session', clientId: 'c1', epoch: older, expiryS: 0 })).toMatchObject({
      changed: false,
    });
    expect(world.session('c1')).toMatchObject({ gateway: 2 });
  });

  test('is not given to somebody else who uses its client id, nor taken away by one', () => {
    open({ identity: 'ann' });
    expect(world.run({ ...OPEN, identity: 'bob' })).toEqual({ type: 'session-denied' });
    expect(world.run({ ...OPEN, identity: 'bob', cleanStart: true })).toEqual({ type: 'session-denied' });
    expect(world.run({ ...OPEN, identity: 'ann' })).toMatchObject({ present: true });
  });

  test('ends with a clean start; when that one shall not last, nothing is kept', () => {
    const epoch = open();
    subscribe('c1', epoch, 'a');
    const reply = world.run({ ...OPEN, cleanStart: true, expiryS: 0 });
    expect(reply).toMatchObject({ epoch: 0, present: false, formerGateway: 1, formerEpoch: epoch });
    expect([world.machine.sessionCount, world.machine.connectedCount, world.machine.streamCount]).toEqual([0, 0, 0]);
    expect([...world.rows.keys()]).toEqual(['N']);
  });

  test('that ends with its connection is gone at its end', () => {
    open();
    const epoch = open({ expiryS: 0 });
    expect(epoch).toBeGreaterThan(0);
    world.run({ type: 'close-session', clientId: 'c1', epoch, expiryS: undefined });
    expect(world.session('c1')).toBeUndefined();
  });

  test('takes so many subscriptions and no more', () => {
    const epoch = open();
    const filters = Array.from({ length: KEPT_SUBSCRIPTIONS_MAX }, (_each, i) => `f/${i}`);
    expect(subscribe('c1', epoch, ...filters)).not.toContain(-1);
    expect(subscribe('c1', epoch, 'one/more', 'f/0')).toEqual([-1, expect.any(Number)]);
    expect(world.session('c1')?.subscriptions).toHaveLength(KEPT_SUBSCRIPTIONS_MAX);
    const other = open({ clientId: 'c2' });
    expect(subscribe('c2', other, 'x'.repeat(KEPT_FILTER_BYTES_MAX + 1), 'y')).toEqual([-1, expect.any(Number)]);
  });
});

describe('a stream', () => {
  test('is one for all sessions of its filter: it begins with the first and ends with the last', () => {
    const one = open();
    const two = open({ clientId: 'c2' });
    const streamId = streamIdOf('c1', one, 'news/#');
    expect(isStream(streamId)).toBe(true);
    expect(streamIdOf('c2', two, 'news/#')).toBe(streamId);
    expect(world.begun).toEqual([{ filter: 'news/#', countMax: 100, bytesMax: null }]);
    expect(world.machine.stream(streamId)).toEqual({ streamId, filter: 'news/#', sessions: 2 });
    world.run({ type: 'unsubscribe-session', clientId: 'c1', epoch: one, filters: ['news/#'] });
    expect(world.streams.size).toBe(1);
    world.run({ type: 'close-session', clientId: 'c2', epoch: two, expiryS: 0 });
    expect([world.streams.size, world.machine.streamCount]).toEqual([0, 0]);
    expect(world.effects.at(-1)).toEqual({ type: 'stream-removed', streamId });
  });

  test('has a new number each time: what is still dropped of the former one is not taken for it', () => {
    const epoch = open();
    const first = streamIdOf('c1', epoch, 'a');
    world.run({ type: 'unsubscribe-session', clientId: 'c1', epoch, filters: ['a'] });
    world.restart();
    expect(streamIdOf('c1', epoch, 'a')).toBeGreaterThan(first);
  });

  test('gives a session what comes after it, also when it subscribes again', () => {
    const one = open();
    const streamId = streamIdOf('c1', one, 'a');
    world.streams.get(streamId)?.push(10, 11);
    const two = open({ clientId: 'c2' });
    subscribe('c2', two, 'a');
    subscribe('c1', one, 'a');
    world.streams.get(streamId)?.push(12);
    expect([world.waiting('c1', streamId), world.waiting('c2', streamId)]).toEqual([[10, 11, 12], [12]]);
    const ranges = [0, 1, 2, 3];
    world.run({ type: 'pass-session', passes: [{ clientId: 'c1', epoch: one, streamId, ranges }] });
    expect(world.waiting('c1', streamId)).toEqual([11]);
  });

  test('is not told that somebody passed what was passed, left or lost', () => {
    const epoch = open();
    const streamId = streamIdOf('c1', epoch, 'a');
    world.streams.get(streamId)?.push(1, 2);
    world.effects.length = 0;
    const pass = (by: number, of: number, ranges: number[]) =>
      world.run({ type: 'pass-session', passes: [{ clientId: 'c1', epoch: by, streamId: of, ranges }] });
    pass(epoch, streamId, [1, 2]);
    pass(epoch - 1, streamId, [0, 2]);
    pass(epoch, streamId + 7, [0, 2]);
    expect([world.effects, world.waiting('c1', streamId)]).toEqual([[], [1]]);
    pass(epoch, streamId, [0, 1]);
    pass(epoch, streamId, [0, 1]);
    expect(world.effects).toEqual([{ type: 'stream-passed', streamId }]);
  });
});

describe('rows and commands', () => {
  test('stay what they were', () => {
    const epoch = open({ identity: 'ann' });
    const streamId = streamIdOf('c1', epoch, 'a/#');
    world.nowMs = 5;
    world.run({ type: 'pass-session', passes: [{ clientId: 'c1', epoch, streamId, ranges: [2, 3] }] });
    const lines = [...world.rows].map(([key, value]) => [key, Buffer.from(value).toString('hex')]);
    expect(Object.fromEntries(lines)).toMatchSnapshot();
  });

  test('of a newer release stop the machine', () => {
    const bytes = new Uint8Array(10);
    bytes[0] = 63;
    bytes[1] = 1;
    expect(() => world.machine.apply(bytes, 0, ROWS_OF_NOTHING, [])).toThrow(
      expect.objectContaining({ code: 'COMMAND_UNKNOWN' }),
    );
  });
});
