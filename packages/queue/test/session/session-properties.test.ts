import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { SessionCommand } from '../../src/session/commands.ts';
import { Cursor } from '../../src/session/cursor.ts';
import { comparable, NaiveSessions } from './naive-sessions.ts';
import { SessionWorld } from './session-world.ts';

const CLIENTS = ['a', 'b', 'ü'];
const FILTERS = ['x', 'y/#', 'z'];
const clientId = fc.constantFrom(...CLIENTS);
const filter = fc.constantFrom(...FILTERS);
/** Mostly the epoch at hand; sometimes one that was lost. */
const age = fc.constantFrom(0, 0, 0, 1);

type Step =
  | { type: 'open'; clientId: string; identity: string; cleanStart: boolean; expiryS: number; gateway: number }
  | { type: 'subscribe'; clientId: string; age: number; filters: string[]; isStored: boolean }
  | { type: 'unsubscribe'; clientId: string; age: number; filters: string[] }
  | { type: 'close'; clientId: string; age: number; expiryS: number | undefined }
  | { type: 'receive'; clientId: string; age: number; filter: string; pick: number }
  | { type: 'publish'; filter: string }
  | { type: 'expire' }
  | { type: 'wait'; ms: number }
  | { type: 'restart' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('publish' as const), filter }) },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('receive' as const), clientId, age, filter, pick: fc.nat(5) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('open' as const),
      clientId,
      identity: fc.constantFrom('', '', 'eve'),
      cleanStart: fc.boolean(),
      expiryS: fc.constantFrom(0, 1, 60),
      gateway: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('subscribe' as const),
      clientId,
      age,
      filters: fc.array(filter, { minLength: 1, maxLength: 3 }),
      isStored: fc.boolean(),
    }),
  },
  fc.record({ type: fc.constant('unsubscribe' as const), clientId, age, filters: fc.array(filter, { maxLength: 2 }) }),
  fc.record({ type: fc.constant('close' as const), clientId, age, expiryS: fc.constantFrom(undefined, 0, 1, 60) }),
  fc.constant({ type: 'expire' as const }),
  fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(500, 1000, 60_000) }),
  fc.constant({ type: 'restart' as const }),
);

test('sessions get what they would get if each had a list of its own, over restarts and take-overs', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = new SessionWorld();
      const naive = new NaiveSessions();
      const epochs = new Map<string, number>();
      let published = 0;
      const both = (command: SessionCommand): void => {
        const reply = world.run(command);
        expect(comparable(reply)).toEqual(naive.run(command, epochs));
        if (reply.type === 'session-opened') {
          expect(reply.epoch === 0 || reply.epoch > (epochs.get((command as { clientId: string }).clientId) ?? 0)).toBe(
            true,
          );
          if (reply.epoch > 0) epochs.set((command as { clientId: string }).clientId, reply.epoch);
        }
      };
      const epochOf = (id: string, back: number): number => Math.max(0, (epochs.get(id) ?? 0) - back);
      for (const one of steps) {
        switch (one.type) {
          case 'open':
            both({
              type: 'open-session',
              clientId: one.clientId,
              identity: one.identity,
              gateway: one.gateway,
              cleanStart: one.cleanStart,
              expiryS: one.expiryS,
            });
            break;
          case 'subscribe': {
            const subscriptions = one.filters.map((each) => ({
              filter: each,
              options: 1,
              subscriptionId: 3,
              isStored: one.isStored,
            }));
            const epoch = epochOf(one.clientId, one.age);
            both({
              type: 'subscribe-session',
              clientId: one.clientId,
              epoch,
              countMax: null,
              bytesMax: 9,
              subscriptions,
            });
            break;
          }
          case 'unsubscribe': {
            const epoch = epochOf(one.clientId, one.age);
            both({ type: 'unsubscribe-session', clientId: one.clientId, epoch, filters: one.filters });
            break;
          }
          case 'close': {
            const epoch = epochOf(one.clientId, one.age);
            both({ type: 'close-session', clientId: one.clientId, epoch, expiryS: one.expiryS });
            break;
          }
          case 'publish': {
            const stream = [...world.machine.streams()].find((each) => each.filter === one.filter);
            naive.publish(one.filter, ++published);
            if (stream !== undefined) world.streams.get(stream.streamId)?.push(published);
            break;
          }
          case 'receive': {
            const session = naive.sessions.get(one.clientId);
            const subscription = session?.subscriptions.get(one.filter);
            const stream = [...world.machine.streams()].find((each) => each.filter === one.filter);
            const message = subscription?.waiting[one.pick];
            if (message === undefined || stream === undefined) break;
            const offset = (world.streams.get(stream.streamId) as number[]).indexOf(message);
            const epoch = epochOf(one.clientId, one.age);
            const pass = { clientId: one.clientId, epoch, streamId: stream.streamId, ranges: [offset, offset + 1] };
            world.run({ type: 'pass-session', passes: [pass] });
            if (session?.isConnected === true && one.age === 0) subscription?.waiting.splice(one.pick, 1);
            break;
          }
          case 'expire':
            both({ type: 'expire-sessions', clientIds: CLIENTS });
            break;
          case 'wait':
            world.nowMs += one.ms;
            naive.nowMs = world.nowMs;
            break;
          case 'restart':
            world.restart();
        }
        compare(world, naive);
      }
    }),
    { numRuns: 400 },
  );
});

function compare(world: SessionWorld, naive: NaiveSessions): void {
  expect(world.machine.sessionCount).toBe(naive.sessions.size);
  const wanted = new Set<string>();
  for (const [id, session] of naive.sessions) {
    expect(world.machine.connected(id) !== undefined).toBe(session.isConnected);
    for (const { filter: each, streamId } of world.session(id)?.subscriptions ?? []) {
      const subscription = session.subscriptions.get(each);
      expect(streamId !== 0).toBe(subscription?.isStored);
      if (streamId === 0) continue;
      wanted.add(each);
      expect(world.waiting(id, streamId)).toEqual(subscription?.waiting);
    }
    expect(world.session(id)?.subscriptions.length).toBe(session.subscriptions.size);
  }
  expect(new Set([...world.machine.streams()].map((each) => each.filter))).toEqual(wanted);
  expect(world.streams.size).toBe(wanted.size);
}

test('a cursor is the set of what was passed, whatever the order', () => {
  const range = fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 6 }));
  fc.assert(
    fc.property(fc.nat(5), fc.array(range, { maxLength: 25 }), (next, ranges) => {
      const cursor = new Cursor(next);
      const passed = new Set(Array.from({ length: next }, (_each, i) => i));
      for (const [from, length] of ranges) {
        const isNew = Array.from({ length }, (_each, i) => from + i).some((offset) => !passed.has(offset));
        for (let offset = from; offset < from + length; offset++) passed.add(offset);
        expect(cursor.pass(from, from + length)).toBe(isNew);
        for (let offset = 0; offset < 40; offset++) expect(cursor.isPassed(offset)).toBe(passed.has(offset));
        // As few numbers as say it.
        let runs = 0;
        for (let offset = 1; offset < 40; offset++) if (passed.has(offset) && !passed.has(offset - 1)) runs++;
        expect(cursor.ranges.length / 2).toBe(runs);
      }
    }),
  );
});
