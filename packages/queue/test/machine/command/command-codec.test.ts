import { describe, expect, test } from '@jest/globals';
import { AssertionFailed } from '@sluice/common/assert';
import { SluiceError } from '@sluice/common/errors';
import { SettleCursor } from '../../../src/machine/apply/settle-cursor.ts';
import {
  decodeConfigure,
  decodeDropRows,
  decodeRemoveQueue,
  encodeCommand,
} from '../../../src/machine/command/command-codec.ts';
import { stampCommand, stampOf } from '../../../src/machine/command/command-header.ts';
import type { Command, QueueConfig, SettleCommand } from '../../../src/machine/command/commands.ts';
import { goldenLines, hexOf } from '../../golden.ts';
import { ROWS_OF_NOTHING } from '../../rows-of-nothing.ts';
import { batchOf, MachineHarness, record, target } from '../machine-harness.ts';

const limited: QueueConfig = {
  queueId: 300,
  version: 2,
  name: 'öl',
  isLastValue: true,
  countMax: 1000,
  bytesMax: 104_857_600,
  overflow: 'drop_oldest',
};
const unlimited: QueueConfig = {
  ...limited,
  queueId: 1,
  isLastValue: false,
  countMax: null,
  bytesMax: null,
  overflow: 'refuse',
};
const settle: SettleCommand = {
  type: 'settle',
  heads: [{ queueId: 1, head: 200 }],
  rows: [
    { queueId: 1, rowBase: 200, accepted: [200, 203, 204, 205], expired: [203, 204], returned: [206, 208] },
    { queueId: 300, rowBase: 0, returned: [0, 1] },
  ],
};
const drop: Command = {
  type: 'drop-rows',
  queueId: 300,
  reason: 'overflow',
  rowBases: [5, 133, 900],
  upperOffset: 903,
};

const erasing = { ...limited, queueId: 2 ** 52, isLastValue: true, erasesEmpty: true };

const golden = new Map<string, Command>([
  ['settle', settle],
  ['configure-limited', { type: 'configure-queue', config: limited }],
  ['configure-unlimited', { type: 'configure-queue', config: unlimited }],
  ['drop-rows', drop],
  ['remove-queue', { type: 'remove-queue', queueId: 300 }],
  ['time', { type: 'time' }],
]);
const removal: Command = { type: 'remove-queue', queueId: 300, epoch: 70_000 };

function stamped(command: Command): Uint8Array {
  const bytes = encodeCommand(command);
  stampCommand(bytes, 1_700_000_000_000);
  return bytes;
}

/** The command as the cursor walks it. */
function walk(bytes: Uint8Array): string[] {
  const cursor = new SettleCursor();
  const seen: string[] = [];
  cursor.reset(bytes);
  while (cursor.nextHead()) seen.push(`head ${cursor.queueId}=${cursor.head}`);
  while (cursor.nextRow()) {
    seen.push(`row ${cursor.queueId}@${cursor.rowBase}`);
    while (cursor.nextRange()) seen.push(`${cursor.outcome}: ${cursor.from}-${cursor.to}`);
  }
  return seen;
}

describe('commands', () => {
  test('have the bytes of the golden file', () => {
    const encoded = [...golden].map(([name, command]) => [name, hexOf(stamped(command))] as const);
    expect(new Map(encoded)).toEqual(goldenLines('commands-v1.hex'));
  });

  test('that came later have the bytes of theirs', () => {
    const command: Command = { type: 'configure-queue', config: erasing };
    expect(new Map([['configure-erasing', hexOf(stamped(command))]])).toEqual(goldenLines('commands-v3.hex'));
    expect(decodeConfigure(encodeCommand(command))).toEqual(erasing);
  });

  test('that came with the epoch of a removal have the bytes of theirs', () => {
    expect(new Map([['remove-queue-as-of', hexOf(stamped(removal))]])).toEqual(goldenLines('commands-v10.hex'));
    expect(decodeRemoveQueue(encodeCommand(removal))).toEqual(removal);
  });

  test('of the golden file can be read', () => {
    const bytes = (name: string): Uint8Array => Buffer.from(goldenLines('commands-v1.hex').get(name) ?? '', 'hex');
    expect(decodeConfigure(bytes('configure-limited'))).toEqual(limited);
    expect(decodeConfigure(bytes('configure-unlimited'))).toEqual(unlimited);
    expect(decodeDropRows(bytes('drop-rows'))).toEqual(drop);
    expect(decodeRemoveQueue(bytes('remove-queue'))).toEqual({ type: 'remove-queue', queueId: 300 });
    expect(stampOf(bytes('time'))).toBe(1_700_000_000_000);
    expect(walk(bytes('settle'))).toEqual([
      'head 1=200',
      'row 1@200',
      '0: 200-203',
      '0: 204-205',
      '1: 203-204',
      '2: 206-208',
      'row 300@0',
      '2: 0-1',
    ]);
  });

  test('of any length are written', () => {
    const accepted = Array.from({ length: 512 }, (_, i) => [100 + i * 2, 101 + i * 2]).flat();
    const rows = Array.from({ length: 50 }, (_, i) => ({ queueId: i + 1, rowBase: 100, accepted }));
    expect(walk(encodeCommand({ type: 'settle', rows }))).toHaveLength(50 * 513);
  });

  test('the rows of a settlement can be passed over', () => {
    const cursor = new SettleCursor();
    cursor.reset(encodeCommand(settle));
    expect(cursor.nextRow() && cursor.nextRow()).toBe(true);
    expect([cursor.queueId, cursor.rowBase]).toEqual([300, 0]);
    expect(cursor.nextRow()).toBe(false);
  });

  test.each([
    ['before its row', { queueId: 1, rowBase: 5, accepted: [4, 6] }],
    ['that is empty', { queueId: 1, rowBase: 5, accepted: [6, 6] }],
    ['longer than a row', { queueId: 1, rowBase: 5, accepted: [5, 5 + 1025] }],
  ])('a range %s is a bug of the proposer', (_what, row) => {
    expect(() => encodeCommand({ type: 'settle', rows: [row] })).toThrow(AssertionFailed);
  });
});

describe('a command that cannot be applied stops the partition', () => {
  function codeOf(bytes: Uint8Array): string {
    try {
      const { machine } = new MachineHarness();
      machine.neededRows([bytes], () => {});
      machine.furtherRows([bytes], ROWS_OF_NOTHING, () => {});
      machine.apply(1, bytes, ROWS_OF_NOTHING, []);
    } catch (error) {
      if (error instanceof SluiceError) return error.code;
      throw error;
    }
    return 'none';
  }

  test('of unknown kind or version, with a hint', () => {
    expect(codeOf(Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 0, 0, 0))).toBe('COMMAND_UNKNOWN');
    expect(codeOf(Uint8Array.of(9, 1, 0, 0, 0, 0, 0, 0, 0, 0))).toBe('COMMAND_UNKNOWN');
    for (const command of golden.values()) {
      const newer = stamped(command);
      newer[1] = 2;
      expect(codeOf(newer)).toBe('COMMAND_UNKNOWN');
    }
    const batch = batchOf([record([target(1)])]);
    batch[1] = 2;
    expect(codeOf(batch)).toBe('COMMAND_UNKNOWN');
  });

  test('cut anywhere', () => {
    for (const [name, command] of [...golden, ['removal', removal] as const]) {
      const bytes = stamped(command);
      for (let length = 0; length < bytes.length; length++) {
        // A settlement may end after any of its rows.
        const isWhole = name === 'settle' && (walksTo(bytes, length) || length === bytes.length);
        if (!isWhole) expect(codeOf(bytes.subarray(0, length))).toMatch(/_MALFORMED$/);
      }
    }
    expect(codeOf(new Uint8Array(0))).toBe('COMMAND_MALFORMED');
  });

  test('with bytes behind its end', () => {
    for (const [name, command] of golden) {
      if (name !== 'settle') expect(codeOf(Buffer.concat([stamped(command), Buffer.alloc(1)]))).toMatch(/_MALFORMED$/);
    }
    expect(codeOf(Buffer.concat([stamped(settle), Buffer.alloc(1)]))).toMatch(/_MALFORMED$/);
  });

  test('with a stamp that is no time', () => {
    const bytes = stamped({ type: 'time' });
    bytes[2] = 0xff;
    expect(codeOf(bytes)).toBe('COMMAND_MALFORMED');
  });
});

function walksTo(bytes: Uint8Array, length: number): boolean {
  try {
    walk(bytes.subarray(0, length));
    return true;
  } catch {
    return false;
  }
}
