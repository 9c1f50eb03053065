import { beforeEach, describe, expect, test } from '@jest/globals';
import { encodeSessionCommand } from '../../src/session/command-codec.ts';
import type { CloseCommand, EndPortionCommand, OpenCommand } from '../../src/session/commands.ts';
import { Endings } from '../../src/session/endings.ts';
import type { SessionReply } from '../../src/session/session-reply.ts';
import { ROWS_OF_NOTHING } from '../rows-of-nothing.ts';
import { SessionWorld } from './session-world.ts';

let world: SessionWorld;
beforeEach(() => {
  world = new SessionWorld();
});

const FILTERS = Array.from({ length: 2 * Endings.PORTION_STREAMS + 1 }, (_, i) => `f/${i}`);

function open(over: Partial<OpenCommand> = {}): number {
  const asked = { clientId: 'c', identity: '', gateway: 1, cleanStart: false, expiryS: 60, ticket: 0 };
  const reply = world.run({ type: 'open-session', ...asked, ticket: ++drawn, ...over });
  if (reply.type !== 'session-opened') throw new Error(reply.type);
  return reply.epoch;
}
let drawn = 0;

function subscribe(epoch: number, filters: readonly string[], clientId = 'c'): readonly number[] {
  const subscriptions = filters.map((filter) => ({ filter, options: 1, subscriptionId: 0, isStored: true }));
  const of = { clientId, epoch, countMax: null, bytesMax: null };
  const reply = world.run({ type: 'subscribe-session', ...of, subscriptions });
  if (reply.type !== 'session-subscribed') throw new Error(reply.type);
  return reply.streamIds;
}

const closing = (epoch: number): CloseCommand => ({ type: 'close-session', clientId: 'c', epoch, expiryS: 0 });
const INTO_PORTIONS = { takesWillBack: false, leavesUnsure: false, endsInPortions: true };

/** True: there was one. */
function takePortion(): boolean {
  const portion = world.machine.endings.next();
  if (portion === undefined) return false;
  expect(world.run({ type: 'end-portion', ...portion })).toEqual({ type: 'portion-ended', changed: true });
  return true;
}

describe('a session that ends', () => {
  test('ends with its entry, as ever, unless the entry says otherwise', () => {
    const epoch = open();
    subscribe(epoch, FILTERS);
    world.run(closing(epoch));
    expect([world.machine.streamCount, world.rowsOf('U'), world.rowsOf('Z')]).toEqual([0, 0, 0]);
    expect(world.machine.endings.count).toBe(0);
  });

  test('ends with its entry when that is soon done', () => {
    const epoch = open();
    subscribe(epoch, FILTERS.slice(0, Endings.PORTION_STREAMS));
    world.run({ ...closing(epoch), ...INTO_PORTIONS });
    expect([world.machine.streamCount, world.rowsOf('Z')]).toEqual([0, 0]);
  });

  test.each<[string, (epoch: number) => SessionReply]>([
    ['by its client', (epoch) => world.run({ ...closing(epoch), ...INTO_PORTIONS })],
    [
      'by its time',
      (epoch) => {
        world.run({ ...closing(epoch), expiryS: 1 });
        world.nowMs += 1_000;
        return world.run({ type: 'expire-sessions', clientIds: ['c'], endsInPortions: true });
      },
    ],
    [
      'by another that its client asked to be new',
      () => {
        const asked = { clientId: 'c', identity: '', gateway: 1, cleanStart: true, expiryS: 0, ticket: ++drawn };
        return world.run({ type: 'open-session', ...asked, endsInPortions: true });
      },
    ],
  ])('%s is over at once, and goes a portion an entry, over a restart', (_by, end) => {
    const epoch = open();
    subscribe(epoch, FILTERS);
    world.effects.length = 0;
    end(epoch);
    expect(world.effects).toEqual([{ type: 'session-ending' }]);
    expect([world.machine.sessionCount, world.rowsOf('S'), world.rowsOf('C')]).toEqual([0, 0, 0]);
    expect([world.machine.streamCount, world.rowsOf('Z')]).toEqual([FILTERS.length, 3]);
    expect(world.run(closing(epoch))).toEqual({ type: 'session-closed', changed: false });
    const left: number[] = [];
    while (takePortion()) {
      left.push(world.machine.streamCount);
      world.restart();
    }
    expect(left).toEqual([FILTERS.length - Endings.PORTION_STREAMS, 1, 0]);
    expect([world.rowsOf('U'), world.rowsOf('F'), world.rowsOf('Z')]).toEqual([0, 0, 0]);
  });

  test('leaves nothing to the one its client begins meanwhile, and takes nothing from it', () => {
    const first = open();
    const streamIds = subscribe(first, FILTERS);
    const [a, b] = streamIds as [number, number];
    for (const streamId of [a, b]) world.streams.get(streamId)?.push(1, 2);
    const second = open({ cleanStart: true, endsInPortions: true });
    expect(world.session('c')?.subscriptions).toEqual([]);
    // Of what the first one read it reads one again: what comes after it, and of the other nothing.
    expect(subscribe(second, FILTERS.slice(0, 1))).toEqual([a]);
    for (const streamId of [a, b]) world.streams.get(streamId)?.push(3);
    expect(world.waiting('c', a)).toEqual([3]);
    while (takePortion());
    expect(world.waiting('c', a)).toEqual([3]);
    expect([...world.machine.streams()]).toEqual([{ streamId: a, filter: 'f/0', sessions: 1 }]);
    expect(world.rowsOf('U')).toBe(1);
  });

  test('and its next one may both be taken apart', () => {
    for (let i = 0; i < 2; i++) {
      const epoch = open({ cleanStart: true, endsInPortions: true });
      subscribe(epoch, FILTERS);
      world.run({ ...closing(epoch), ...INTO_PORTIONS });
    }
    expect(world.machine.endings.count).toBe(2);
    expect(world.machine.stream((subscribe(open(), ['f/0']) as [number])[0])?.sessions).toBe(3);
    while (takePortion());
    expect([...world.machine.streams()].map(({ filter, sessions }) => [filter, sessions])).toEqual([['f/0', 1]]);
  });

  test('when as many are being taken apart as may be ends with its entry', () => {
    for (let i = 0; i < Endings.ENDINGS_MAX; i++)
      world.machine.endings.begin(1_000_000 + i, 'x', [1], ROWS_OF_NOTHING, []);
    const epoch = open();
    subscribe(epoch, FILTERS);
    world.run({ ...closing(epoch), ...INTO_PORTIONS });
    expect([world.machine.streamCount, world.machine.endings.count]).toEqual([0, Endings.ENDINGS_MAX]);
  });

  test('fires its will when it is over, not when it is gone', () => {
    const will = { ticket: 7, delayS: 30, message: Uint8Array.of(1) };
    const epoch = open({ ticket: 7, will });
    subscribe(epoch, FILTERS);
    world.run({ ...closing(epoch), ...INTO_PORTIONS });
    expect([world.machine.wills.dueCount, world.rowsOf('Z')]).toEqual([1, 3]);
  });
});

describe('rows and commands of machine version 9', () => {
  test('stay what they were', () => {
    const epoch = open();
    subscribe(epoch, FILTERS);
    world.run({ ...closing(epoch), ...INTO_PORTIONS });
    const last = [...world.rows].filter(([key]) => key[0] === 'Z').at(-1) as [string, Uint8Array];
    const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    const portion: EndPortionCommand = { type: 'end-portion', clientId: 'c', number: 300, part: 2 };
    const asked = { clientId: 'c', identity: 'i', gateway: 2, cleanStart: true, expiryS: 300, ticket: 5 };
    const will = { ticket: 5, delayS: 9, message: Uint8Array.of(7) };
    expect({
      key: hexOf(Buffer.from(last[0], 'latin1')),
      portion: hexOf(last[1]),
      'end-portion': hexOf(encodeSessionCommand(portion)),
      open: hexOf(encodeSessionCommand({ type: 'open-session', ...asked, will, endsInPortions: true })),
      close: hexOf(
        encodeSessionCommand({ ...closing(300), expiryS: undefined, takesWillBack: true, endsInPortions: true }),
      ),
      expire: hexOf(encodeSessionCommand({ type: 'expire-sessions', clientIds: ['c'], endsInPortions: true })),
    }).toEqual({
      key: '5a00000000000000010002',
      portion: '0101638282c08080808008',
      'end-portion': '260100000000000000000163ac0202',
      open: '20040000000000000000030163016902ac02050907',
      close: '24040000000000000000020163ac02',
      expire: '250200000000000000000163',
    });
  });
});
