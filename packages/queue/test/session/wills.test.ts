import { beforeEach, describe, expect, test } from '@jest/globals';
import { decodeSessionCommand, encodeSessionCommand } from '../../src/session/command-codec.ts';
import type { LeftWill, OpenCommand, SessionCommand } from '../../src/session/commands.ts';
import { Wills } from '../../src/session/wills.ts';
import { SessionWorld } from './session-world.ts';

let world: SessionWorld;
let ticket: number;
beforeEach(() => {
  world = new SessionWorld();
  ticket = 0;
});

function will(delayS = 0, says = 'gone'): LeftWill {
  return { ticket: ++ticket, delayS, message: new Uint8Array(Buffer.from(says)) };
}

function open(over: Partial<OpenCommand> = {}): number {
  const command: OpenCommand = {
    type: 'open-session',
    clientId: 'c1',
    identity: '',
    gateway: 1,
    cleanStart: false,
    expiryS: 60,
    ...over,
  };
  const reply = world.run(command);
  if (reply.type !== 'session-opened') throw new Error(reply.type);
  return reply.epoch;
}

const close = (epoch: number, over: { expiryS?: number; takesWillBack?: boolean; clientId?: string } = {}): void => {
  world.run({ type: 'close-session', clientId: 'c1', epoch, expiryS: undefined, ...over });
};
const fireRipe = (): void => {
  world.run({ type: 'fire-wills', clientIds: ['c1'] });
};
const due = (): string[] =>
  world.machine.wills
    .nextGroup()
    .map((number) => Buffer.from(world.willMessage(number) ?? Buffer.from('no message')).toString());

describe('a will', () => {
  test('is due when its connection breaks, once', () => {
    const epoch = open({ will: will() });
    close(epoch);
    close(epoch);
    expect(due()).toEqual(['gone']);
  });

  test('is taken back by a DISCONNECT that says so', () => {
    const epoch = open({ will: will() });
    close(epoch, { takesWillBack: true });
    close(epoch);
    expect(due()).toEqual([]);
    expect(world.rowsOf('Y')).toBe(0);
  });

  test('waits for its delay, and is not for a client that is back before', () => {
    close(open({ will: will(10) }));
    world.nowMs = 9_999;
    fireRipe();
    expect(due()).toEqual([]);
    open();
    world.nowMs = 10_000;
    fireRipe();
    expect(due()).toEqual([]);
  });

  test('is due when its delay is over, also when nobody looked in time', () => {
    close(open({ will: will(10, 'first') }));
    world.nowMs = 10_000;
    open({ will: will(10, 'second') });
    expect(due()).toEqual(['first']);
  });

  test('waits on under a machine that was restored', () => {
    close(open({ will: will(10) }));
    world.restart();
    expect(world.machine.wills.waitingCount).toBe(1);
    world.nowMs = 10_000;
    fireRipe();
    expect(due()).toEqual(['gone']);
  });

  test('is due with the end of its session at the latest [MQTT-3.1.3-9]', () => {
    close(open({ will: will(50), expiryS: 20 }));
    world.nowMs = 20_000;
    fireRipe();
    expect(due()).toEqual(['gone']);
  });

  test('follows the expiry that its client gave last', () => {
    close(open({ will: will(50), expiryS: 60 }), { expiryS: 5 });
    world.nowMs = 5_000;
    world.run({ type: 'expire-sessions', clientIds: ['c1'] });
    expect(due()).toEqual(['gone']);
  });

  test('of a session that ends with its connection does not wait', () => {
    close(open({ will: will(50), expiryS: 0 }));
    expect(due()).toEqual(['gone']);
    expect(world.machine.sessionCount).toBe(0);
  });

  test('is due when another connection begins a new session', () => {
    close(open({ will: will(50) }));
    open({ cleanStart: true });
    expect(due()).toEqual(['gone']);
  });

  describe('of a connection that is taken over', () => {
    test('without a delay is due', () => {
      open({ will: will() });
      open({ will: will(0, 'new') });
      expect(due()).toEqual(['gone']);
    });

    test('with a delay is not, for the session goes on', () => {
      open({ will: will(1) });
      open({ will: will(1, 'new') });
      expect(due()).toEqual([]);
    });

    test('with a delay is due when the session ends with that', () => {
      open({ will: will(1), expiryS: 0 });
      expect(open({ expiryS: 0 })).toBe(0);
      expect(due()).toEqual(['gone']);
    });
  });

  test('belongs to one connection: an open that is asked again is the same one', () => {
    const command: OpenCommand = {
      type: 'open-session',
      clientId: 'c1',
      identity: '',
      gateway: 1,
      cleanStart: true,
      expiryS: 60,
      will: will(),
    };
    const first = world.run(command);
    world.restart();
    expect(world.run(command)).toEqual(first);
    expect(due()).toEqual([]);
  });

  test('is not fired by whoever has lost the session', () => {
    const lost = open({ will: will(5) });
    open({ gateway: 2, will: will(0, 'new') });
    close(lost);
    expect(due()).toEqual([]);
  });

  test('of somebody else is out of reach', () => {
    open({ will: will(), identity: 'owner' });
    expect(world.run({ ...OPEN_BY_EVE, will: will() })).toEqual({ type: 'session-denied' });
    expect(due()).toEqual([]);
  });
});

describe('what is due', () => {
  const breakOff = (clientId: string, says: string): void => {
    close(open({ clientId, will: will(0, says), expiryS: 0 }), { clientId });
  };

  test('is published in groups, one at a time, and stays until it is said to be', () => {
    breakOff('a', '1');
    breakOff('b', '2');
    const numbers = world.machine.wills.nextGroup();
    const claimed = world.run({ type: 'claim-wills', gateway: 3, numbers });
    if (claimed.type !== 'wills-claimed' || claimed.group === undefined) throw new Error('nothing to claim');
    expect(claimed.group).toMatchObject({ gateway: 3, wills: numbers });
    breakOff('c', '3');
    world.restart();
    // Whoever leads now gives the same group, under its number, to another gateway.
    const again = world.run({ type: 'claim-wills', gateway: 4, numbers: world.machine.wills.nextGroup() });
    expect(again).toEqual({ type: 'wills-claimed', group: { ...claimed.group, gateway: 4 } });
    expect(world.run({ type: 'end-wills', group: claimed.group.number })).toEqual({ type: 'wills-ended', count: 2 });
    expect(world.run({ type: 'end-wills', group: claimed.group.number })).toEqual({ type: 'wills-ended', count: 0 });
    expect(due()).toEqual(['3']);
    expect(world.rowsOf('Y')).toBe(1);
    expect(world.rowsOf('G')).toBe(0);
    // Said late, of the one before.
    world.run({ type: 'claim-wills', gateway: 4, numbers: world.machine.wills.nextGroup() });
    expect(world.run({ type: 'end-wills', group: claimed.group.number })).toEqual({ type: 'wills-ended', count: 0 });
    expect(due()).toEqual(['3']);
  });

  test('comes in groups of bounded number and bytes', () => {
    for (let i = 0; i < Wills.GROUP_WILLS_MAX + 1; i++) breakOff(`c${i}`, 'x');
    expect(world.machine.wills.nextGroup()).toHaveLength(Wills.GROUP_WILLS_MAX);
    world = new SessionWorld();
    for (const clientId of ['a', 'b', 'c']) breakOff(clientId, 'x'.repeat(Wills.GROUP_BYTES_MAX / 2));
    expect(world.machine.wills.nextGroup()).toHaveLength(2);
    world = new SessionWorld();
    breakOff('a', 'x'.repeat(Wills.GROUP_BYTES_MAX + 1));
    expect(world.machine.wills.nextGroup()).toHaveLength(1);
  });
});

describe('rows and commands', () => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

  test('of wills stay what they are', () => {
    close(open({ clientId: 'w1', will: will(7, 'hi'), expiryS: 9 }), { clientId: 'w1' });
    close(open({ clientId: 'd1', will: will(0, 'yo') }), { clientId: 'd1' });
    world.run({ type: 'claim-wills', gateway: 3, numbers: world.machine.wills.nextGroup() });
    const rows = [...world.rows].filter(([key]) => 'WYDG'.includes(key[0] as string));
    expect(
      Object.fromEntries(rows.map(([key, value]) => [hex(Buffer.from(key, 'latin1')), hex(value)])),
    ).toMatchSnapshot();
    expect([
      hex(encodeSessionCommand({ ...OPEN_BY_EVE, will: { ticket: 300, delayS: 5, message: Buffer.from('bye') } })),
      hex(encodeSessionCommand({ ...CLOSE, takesWillBack: true })),
      hex(encodeSessionCommand({ type: 'fire-wills', clientIds: ['a', 'ü'] })),
      hex(encodeSessionCommand({ type: 'claim-wills', gateway: 2, numbers: [1, 300] })),
      hex(encodeSessionCommand({ type: 'end-wills', group: 12 })),
    ]).toMatchSnapshot();
  });

  test('of before wills are read as ever, and mean what they meant', () => {
    for (const command of [OPEN_BY_EVE, CLOSE]) {
      const bytes = encodeSessionCommand(command);
      expect(bytes[1]).toBe(1);
      expect(decodeSessionCommand(bytes)).toEqual(command);
    }
  });

  test('of tickets stay what they are', () => {
    const ticketed = { ...OPEN_BY_EVE, ticket: 300 };
    const commands: OpenCommand[] = [
      { ...ticketed, cleanStart: true },
      { ...ticketed, will: { ticket: 300, delayS: 5, message: new Uint8Array(Buffer.from('bye')) } },
    ];
    const encoded = commands.map(encodeSessionCommand);
    expect(encoded.map(hex)).toEqual([
      '2003000000000000000001026331036576650 23cac02'.replace(' ', ''),
      '20030000000000000000020263310365766502 3cac0205627965'.replace(' ', ''),
    ]);
    expect(encoded.map(decodeSessionCommand)).toEqual(commands);
  });

  test('of what is left unsure stay what they are', () => {
    const close: SessionCommand = { type: 'close-session', clientId: 'c', epoch: 300, expiryS: undefined };
    const commands: SessionCommand[] = [
      { ...close, takesWillBack: false, leavesUnsure: true },
      { ...close, takesWillBack: true, leavesUnsure: true, expiryS: 60 },
    ];
    const encoded = commands.map(encodeSessionCommand);
    expect(encoded.map(hex)).toEqual(
      ['2403000000000000000004 0163ac02', '2403000000000000000007 0163ac023c'].map((text) => text.replace(' ', '')),
    );
    expect(encoded.map(decodeSessionCommand)).toEqual(commands);
  });

  test('of a later release stop the partition', () => {
    const bytes = encodeSessionCommand({ ...CLOSE, takesWillBack: true });
    bytes[1] = 5;
    expect(() => decodeSessionCommand(bytes)).toThrow('version 5');
  });
});

const OPEN_BY_EVE: OpenCommand = {
  type: 'open-session',
  clientId: 'c1',
  identity: 'eve',
  gateway: 2,
  cleanStart: false,
  expiryS: 60,
};
const CLOSE = { type: 'close-session' as const, clientId: 'c1', epoch: 7, expiryS: 3 };
