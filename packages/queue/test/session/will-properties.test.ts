import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { OpenCommand, SessionCommand } from '../../src/session/commands.ts';
import { NaiveWills } from './naive-wills.ts';
import { SessionWorld } from './session-world.ts';

const CLIENTS = ['a', 'b', 'ü'];
const clientId = fc.constantFrom(...CLIENTS);
/** Mostly the epoch at hand; sometimes one that was lost. */
const age = fc.constantFrom(0, 0, 0, 1);

type Step =
  | { type: 'open'; clientId: string; identity: string; cleanStart: boolean; expiryS: number; delayS: number | null }
  | { type: 'open-again'; clientId: string }
  | { type: 'close'; clientId: string; age: number; expiryS: number | undefined; takesWillBack: boolean }
  | { type: 'look' }
  | { type: 'claim'; gateway: number }
  | { type: 'publish' }
  | { type: 'wait'; ms: number }
  | { type: 'restart' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('open' as const),
      clientId,
      identity: fc.constantFrom('', '', '', 'eve'),
      cleanStart: fc.boolean(),
      expiryS: fc.constantFrom(0, 2, 60),
      delayS: fc.constantFrom(null, 0, 1, 2, 70),
    }),
  },
  fc.record({ type: fc.constant('open-again' as const), clientId }),
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('close' as const),
      clientId,
      age,
      expiryS: fc.constantFrom(undefined, undefined, 0, 1, 60),
      takesWillBack: fc.constantFrom(false, false, true),
    }),
  },
  fc.constant({ type: 'look' as const }),
  fc.record({ type: fc.constant('claim' as const), gateway: fc.integer({ min: 1, max: 3 }) }),
  { weight: 2, arbitrary: fc.constant({ type: 'publish' as const }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(500, 1000, 60_000) }) },
  fc.constant({ type: 'restart' as const }),
);

test('wills are due as the specification says, each published once, over restarts and take-overs', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = new SessionWorld();
      const naive = new NaiveWills();
      const epochs = new Map<string, number>();
      const opens = new Map<string, OpenCommand>();
      const published: string[] = [];
      let drawn = 0;
      const both = (command: SessionCommand): void => {
        naive.run(command, epochs);
        const reply = world.run(command);
        if (reply.type === 'session-opened' && 'clientId' in command && reply.epoch > 0) {
          epochs.set(command.clientId, reply.epoch);
        }
      };
      const says = (number: number): string => {
        const message = world.willMessage(number);
        if (message === undefined) throw new Error('a will that is due says something');
        return Buffer.from(message).toString();
      };
      for (const one of steps) {
        switch (one.type) {
          case 'open': {
            const { identity, cleanStart, expiryS, delayS } = one;
            const open: OpenCommand = {
              type: 'open-session',
              clientId: one.clientId,
              identity,
              gateway: 1,
              cleanStart,
              expiryS,
            };
            if (delayS !== null) {
              const ticket = ++drawn;
              open.will = { ticket, delayS, message: new Uint8Array(Buffer.from(`will ${ticket}`)) };
            }
            opens.set(one.clientId, open);
            both(open);
            break;
          }
          case 'open-again': {
            const open = opens.get(one.clientId);
            // Nobody asks for a connection again that had its answer and is over.
            if (open?.will !== undefined && world.machine.connected(one.clientId) !== undefined) both(open);
            break;
          }
          case 'close': {
            const epoch = Math.max(0, (epochs.get(one.clientId) ?? 0) - one.age);
            const { expiryS, takesWillBack } = one;
            const close = { type: 'close-session' as const, clientId: one.clientId, epoch, expiryS };
            both(takesWillBack ? { ...close, takesWillBack } : close);
            break;
          }
          case 'look':
            both({ type: 'fire-wills', clientIds: CLIENTS });
            both({ type: 'expire-sessions', clientIds: CLIENTS });
            break;
          case 'claim':
            world.run({ type: 'claim-wills', gateway: one.gateway, numbers: world.machine.wills.nextGroup() });
            break;
          case 'publish': {
            const { group } = world.machine.wills;
            if (group === undefined) break;
            published.push(...group.wills.map(says));
            expect(world.run({ type: 'end-wills', group: group.number })).toMatchObject({ count: group.wills.length });
            break;
          }
          case 'wait':
            world.nowMs += one.ms;
            naive.nowMs = world.nowMs;
            break;
          case 'restart':
            world.restart();
        }
        const { wills } = world.machine;
        const dueOnes = wills.nextGroup().map(says);
        expect([...published, ...dueOnes].sort()).toEqual([...naive.fired].sort());
        expect(wills.leftCount + wills.waitingCount).toBe(naive.held);
        expect(wills.dueCount).toBe(dueOnes.length);
        // Nothing of what is over stays behind.
        expect(world.rowsOf('W')).toBe(naive.held);
        expect(world.rowsOf('D')).toBe(dueOnes.length);
        expect(world.rowsOf('Y')).toBe(naive.held + dueOnes.length);
        expect(world.rowsOf('G')).toBe(wills.group === undefined ? 0 : 1);
      }
    }),
    { numRuns: 500 },
  );
});
