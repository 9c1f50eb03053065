import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { EndPortionCommand, SessionCommand } from '../../src/session/commands.ts';
import { Endings } from '../../src/session/endings.ts';
import { comparable, NaiveSessions } from './naive-sessions.ts';
import { SessionWorld } from './session-world.ts';

const CLIENTS = ['a', 'ü'];
/** More than a portion, of which two sessions share some; and one that is left alone. */
const WIDE = Array.from({ length: Endings.PORTION_STREAMS + 2 }, (_, i) => `w/${i}`);
const ASKED: readonly (readonly string[])[] = [WIDE, WIDE, WIDE, [WIDE[0] as string], ['x']];
const clientId = fc.constantFrom(...CLIENTS);
const filters = fc.constantFrom(...ASKED);
const endsInPortions = fc.constantFrom(true, true, true, false);

type Step =
  | {
      type: 'open';
      clientId: string;
      cleanStart: boolean;
      expiryS: number;
      endsInPortions: boolean;
      filters: readonly string[];
    }
  | { type: 'subscribe'; clientId: string; filters: readonly string[] }
  | { type: 'unsubscribe'; clientId: string; filters: readonly string[] }
  | { type: 'close'; clientId: string; expiryS: number; endsInPortions: boolean }
  | { type: 'publish'; filters: readonly string[] }
  | { type: 'receive'; clientId: string; filter: string }
  | { type: 'expire'; endsInPortions: boolean }
  | { type: 'portion' }
  | { type: 'portion-again'; back: number }
  | { type: 'wait' }
  | { type: 'restart' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('open' as const),
      clientId,
      cleanStart: fc.boolean(),
      expiryS: fc.constantFrom(0, 1, 60, 60),
      endsInPortions,
      filters: fc.constantFrom(WIDE, ASKED[3] as readonly string[]),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('subscribe' as const), clientId, filters }) },
  fc.record({ type: fc.constant('unsubscribe' as const), clientId, filters }),
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('close' as const),
      clientId,
      expiryS: fc.constantFrom(0, 0, 0, 1, 60),
      endsInPortions,
    }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('publish' as const), filters }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('receive' as const), clientId, filter: fc.constantFrom('w/0', 'w/9') }),
  },
  fc.record({ type: fc.constant('expire' as const), endsInPortions }),
  { weight: 4, arbitrary: fc.constant({ type: 'portion' as const }) },
  fc.record({ type: fc.constant('portion-again' as const), back: fc.nat(3) }),
  fc.constant({ type: 'wait' as const }),
  fc.constant({ type: 'restart' as const }),
);

test('a session that ends in portions is over at once, and nothing of it is left in the end, whoever comes meanwhile', () => {
  let portions = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => {
      const world = new SessionWorld();
      const naive = new NaiveSessions();
      const epochs = new Map<string, number>();
      const taken: EndPortionCommand[] = [];
      let published = 0;
      let ticket = 0;
      const both = (command: SessionCommand): void => {
        const reply = world.run(command);
        expect(comparable(reply)).toEqual(naive.run(command, epochs));
        if (reply.type === 'session-opened' && reply.epoch > 0 && 'clientId' in command) {
          epochs.set(command.clientId, reply.epoch);
        }
      };
      const takePortion = (): boolean => {
        const portion = world.machine.endings.next();
        if (portion === undefined) return false;
        const command: EndPortionCommand = { type: 'end-portion', ...portion };
        expect(world.run(command)).toEqual({ type: 'portion-ended', changed: true });
        taken.push(command);
        portions++;
        return true;
      };
      const inForm = (isInPortions: boolean): { endsInPortions?: true } =>
        isInPortions ? { endsInPortions: true } : {};
      const subscribe = (id: string, filters: readonly string[]): void => {
        const of = { clientId: id, epoch: epochs.get(id) ?? 0, countMax: null, bytesMax: 9 };
        const subscriptions = filters.map((filter) => ({ filter, options: 1, subscriptionId: 3, isStored: true }));
        both({ type: 'subscribe-session', ...of, subscriptions });
      };
      for (const one of steps) {
        switch (one.type) {
          case 'open': {
            const { cleanStart, expiryS } = one;
            const asked = { clientId: one.clientId, identity: '', gateway: 1, cleanStart, expiryS, ticket: ++ticket };
            both({ type: 'open-session', ...asked, ...inForm(one.endsInPortions) });
            subscribe(one.clientId, one.filters);
            break;
          }
          case 'subscribe':
            subscribe(one.clientId, one.filters);
            break;
          case 'unsubscribe': {
            const of = { clientId: one.clientId, epoch: epochs.get(one.clientId) ?? 0 };
            both({ type: 'unsubscribe-session', ...of, filters: one.filters });
            break;
          }
          case 'close': {
            const of = { clientId: one.clientId, epoch: epochs.get(one.clientId) ?? 0, expiryS: one.expiryS };
            const more = { takesWillBack: false, leavesUnsure: false, endsInPortions: true };
            both({ type: 'close-session', ...of, ...(one.endsInPortions ? more : {}) });
            break;
          }
          case 'publish': {
            const streams = new Map([...world.machine.streams()].map(({ filter, streamId }) => [filter, streamId]));
            for (const filter of one.filters) {
              naive.publish(filter, ++published);
              world.streams.get(streams.get(filter) ?? 0)?.push(published);
            }
            break;
          }
          case 'receive': {
            const session = naive.sessions.get(one.clientId);
            const message = session?.subscriptions.get(one.filter)?.waiting.shift();
            const stream = [...world.machine.streams()].find((each) => each.filter === one.filter);
            if (message === undefined || stream === undefined) break;
            const offset = (world.streams.get(stream.streamId) as number[]).indexOf(message);
            const of = { clientId: one.clientId, epoch: epochs.get(one.clientId) ?? 0, streamId: stream.streamId };
            world.run({ type: 'pass-session', passes: [{ ...of, ranges: [offset, offset + 1] }] });
            if (session?.isConnected === false) session.subscriptions.get(one.filter)?.waiting.unshift(message);
            break;
          }
          case 'expire':
            both({ type: 'expire-sessions', clientIds: CLIENTS, ...inForm(one.endsInPortions) });
            break;
          case 'portion':
            takePortion();
            break;
          case 'portion-again': {
            const command = taken.at(-1 - one.back);
            if (command === undefined) break;
            const before = new Map(world.rows);
            expect(world.run(command)).toEqual({ type: 'portion-ended', changed: false });
            expect(world.rows).toEqual(before);
            break;
          }
          case 'wait':
            world.nowMs += 1_000;
            naive.nowMs = world.nowMs;
            break;
          case 'restart':
            world.restart();
        }
        compare(world, naive);
      }
      while (takePortion());
      compare(world, naive);
      isNothingLeft(world, naive);
    }),
    { numRuns: 80 },
  );
  expect(portions).toBeGreaterThan(0);
});

/** What there is for whoever asks is as if sessions ended at once. */
function compare(world: SessionWorld, naive: NaiveSessions): void {
  expect(world.machine.sessionCount).toBe(naive.sessions.size);
  expect(world.rowsOf('S')).toBe(naive.sessions.size);
  for (const [id, session] of naive.sessions) {
    expect(world.machine.connected(id) !== undefined).toBe(session.isConnected);
    const subscriptions = world.session(id)?.subscriptions ?? [];
    const got = subscriptions.map(({ filter, streamId }) => `${filter}: ${world.waiting(id, streamId).join()}`);
    const wanted = [...session.subscriptions].map(([filter, { waiting }]) => `${filter}: ${waiting.join()}`);
    expect(got.sort().join('\n')).toBe(wanted.sort().join('\n'));
  }
}

function isNothingLeft(world: SessionWorld, naive: NaiveSessions): void {
  const readers = new Map<string, number>();
  for (const { subscriptions } of naive.sessions.values()) {
    for (const filter of subscriptions.keys()) readers.set(filter, (readers.get(filter) ?? 0) + 1);
  }
  const read = [...world.machine.streams()].map(({ filter, sessions }) => [filter, sessions] as const);
  expect(new Map(read)).toEqual(readers);
  const cursors = [...readers.values()].reduce((sum, count) => sum + count, 0);
  expect([world.rowsOf('U'), world.rowsOf('F'), world.rowsOf('Z')]).toEqual([cursors, readers.size, 0]);
  expect([world.streams.size, world.machine.endings.count]).toEqual([readers.size, 0]);
}
