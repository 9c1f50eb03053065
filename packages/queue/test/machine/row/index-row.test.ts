import { describe, expect, test } from '@jest/globals';
import { SluiceError } from '@sluice/common/errors';
import type { Producer } from '../../../src/machine/apply/producers.ts';
import { QueueMachine } from '../../../src/machine/queue-machine.ts';
import { QueueState } from '../../../src/machine/queue-state.ts';
import { encodeEntryRow } from '../../../src/machine/row/entry-row.ts';
import { DELIVERY_COUNT_MAX, IndexRow } from '../../../src/machine/row/index-row.ts';
import { IndexRowBuilder } from '../../../src/machine/row/index-row-builder.ts';
import { encodeKeyRow } from '../../../src/machine/row/key-row.ts';
import { decodeMachineRow, encodeMachineRow } from '../../../src/machine/row/machine-row.ts';
import { decodeIndexEntry } from '../../../src/machine/row/offset-index.ts';
import { decodeProducerRow, encodeProducerRow } from '../../../src/machine/row/producer-row.ts';
import { decodeQueueRow, encodeQueueRow } from '../../../src/machine/row/queue-row.ts';
import {
  entryRowKey,
  indexRange,
  indexRowKey,
  indexRowKeyOf,
  keyRowKey,
  machineRowKey,
  producerRowKey,
  queueRowKeyOnce,
} from '../../../src/machine/row/row-keys.ts';
import { goldenLines, hexOf } from '../../golden.ts';

const PRODUCER: Producer = {
  id: 2 ** 53 - 2,
  last: 1000,
  index: 70_000,
  forgottenTo: 7,
  refusals: [
    {
      sequence: 800,
      refused: [
        { slot: 0, queueId: 300, code: 'queue-full' },
        { slot: 1, queueId: 300, code: 'queue-full' },
        { slot: 2, queueId: 300, code: 'queue-removed' },
        { slot: 2, queueId: 301, code: 'queue-unknown' },
      ],
    },
    { sequence: 1000, refused: [{ slot: 1023, queueId: 1, code: 'queue-full' }] },
  ],
  refusalCount: 5,
  rowName: undefined,
  isDirty: false,
};

function builderOf(base: number, sizes: readonly number[]): IndexRowBuilder {
  const builder = new IndexRowBuilder();
  builder.reset(base);
  for (const size of sizes) builder.add(size, 0, undefined);
  return builder;
}

/** Everything an index row can hold. */
function fullRow(): IndexRow {
  const builder = new IndexRowBuilder();
  builder.reset(1000);
  builder.add(300, 0, Buffer.from('a'));
  builder.reject(1);
  builder.add(70_000, 1_700_000_005_000, undefined);
  builder.add(5, 1, Buffer.from(''));
  builder.reject(5);
  builder.reject(7);
  builder.add(6, 1_700_000_001_000, Buffer.from('a'));
  builder.settle(1000);
  const row = new IndexRow(1000, builder.encode(77, 1_700_000_000_000, 0));
  row.return(1003);
  row.return(1001);
  row.return(1003);
  return row;
}

function fullQueue(): QueueState {
  const queue = new QueueState({
    queueId: 300,
    version: 2,
    name: 'öl',
    isLastValue: true,
    countMax: 1000,
    bytesMax: 104_857_600,
    overflow: 'drop_oldest',
  });
  const counters = [
    'head',
    'tail',
    'depth',
    'depthBytes',
    'keyCount',
    'published',
    'publishedBytes',
    'accepted',
    'expired',
    'overwritten',
    'droppedExpired',
    'droppedPurged',
    'droppedOverflow',
    'droppedRemoved',
    'refused',
    'returned',
    'stale',
  ] as const;
  for (const [i, counter] of counters.entries()) queue[counter] = 1000 + i;
  queue.isRemoved = true;
  return queue;
}

describe('rows', () => {
  test('have the bytes of the golden file', () => {
    const rows = new Map<string, string>([
      ['index-key', hexOf(indexRowKey(300, 1000))],
      ['index-plain', hexOf(builderOf(0, [256, 257]).encode(77, 1_700_000_000_000, 560))],
      ['index-full', hexOf(fullRow().encode())],
      ['key-key', hexOf(keyRowKey(300, Buffer.from('k')))],
      ['key', hexOf(encodeKeyRow(1000, 1003, 77))],
      ['entry-key', hexOf(entryRowKey(77))],
      ['entry', hexOf(encodeEntryRow(3, 70_500))],
      ['queue-key', hexOf(queueRowKeyOnce(300))],
      ['queue', hexOf(encodeQueueRow(fullQueue()))],
      ['machine-key', hexOf(machineRowKey())],
    ]);
    const { machine, ...first } = Object.fromEntries(goldenLines('rows-v1.hex'));
    expect(Object.fromEntries(rows)).toEqual(first);
    expect(decodeMachineRow(Buffer.from(machine as string, 'hex'))).toMatchObject({ nowMs: 1_700_000_000_000 });
  });

  test('of the second version have the bytes of the golden file, and can be read', () => {
    const rows = {
      'producer-key': hexOf(producerRowKey(PRODUCER.id)),
      producer: hexOf(encodeProducerRow(PRODUCER)),
    };
    const { machine, ...others } = Object.fromEntries(goldenLines('rows-v2.hex'));
    expect(rows).toEqual(others);
    expect(decodeMachineRow(Buffer.from(machine as string, 'hex'))).toMatchObject({ nowMs: 1_700_000_000_000 });
    expect(decodeProducerRow(producerRowKey(PRODUCER.id), encodeProducerRow(PRODUCER))).toEqual(PRODUCER);
  });

  test('of the third version have the bytes of the golden file', () => {
    const queue = new QueueState({
      queueId: 2 ** 52,
      version: 1,
      name: '$retained',
      isLastValue: true,
      countMax: 100,
      bytesMax: null,
      overflow: 'refuse',
      erasesEmpty: true,
    });
    const { machine, ...others } = Object.fromEntries(goldenLines('rows-v3.hex'));
    expect({ 'erasing-queue': hexOf(encodeQueueRow(queue)) }).toEqual(others);
    expect(decodeMachineRow(Buffer.from(machine as string, 'hex'))).toMatchObject({ nowMs: 1_700_000_000_000 });
    expect(decodeQueueRow(encodeQueueRow(queue))).toEqual(queue);
  });

  test('of the fourth to eighth version can be read, later ones have the bytes of the golden files', () => {
    for (const name of ['rows-v4.hex', 'rows-v5.hex', 'rows-v6.hex', 'rows-v7.hex', 'rows-v8.hex']) {
      const before = goldenLines(name).get('machine') as string;
      expect(decodeMachineRow(Buffer.from(before, 'hex'))).toMatchObject({ nowMs: 1_700_000_000_000 });
    }
    const row = { nowMs: 1_700_000_000_000, removalEpoch: 70_000 };
    for (const [version, removalEpoch] of [
      [9, 0],
      [10, 70_000],
    ] as const) {
      const bytes = encodeMachineRow({ ...row, version });
      expect(new Map([['machine', hexOf(bytes)]])).toEqual(goldenLines(`rows-v${version}.hex`));
      expect(decodeMachineRow(bytes)).toEqual({ ...row, version, removalEpoch });
    }
  });

  test('of queues and of the machine come back as they were', () => {
    expect(decodeQueueRow(encodeQueueRow(fullQueue()))).toEqual(fullQueue());
    const row = { version: 8, nowMs: 12_345, removalEpoch: 0 };
    expect(decodeMachineRow(encodeMachineRow(row))).toEqual(row);
  });

  test('of a newer release are not guessed at', () => {
    const codeOf = (key: Uint8Array, value: Uint8Array): unknown => {
      try {
        QueueMachine.restore([{ key, value }]);
      } catch (error) {
        return error instanceof SluiceError ? error.code : error;
      }
      return 'none';
    };
    expect(codeOf(Uint8Array.of(0x5a), new Uint8Array(0))).toBe('ROW_UNKNOWN');
    expect(codeOf(queueRowKeyOnce(1), Uint8Array.of(3, 0))).toBe('ROW_UNKNOWN');
    expect(codeOf(producerRowKey(1), Uint8Array.of(2, 0, 0, 0))).toBe('ROW_UNKNOWN');
    expect(codeOf(producerRowKey(1), Uint8Array.of(1, 9, 1, 0, 0, 1, 0, 1, 1, 7))).toBe('BYTES_MALFORMED');
    expect(codeOf(machineRowKey(), Uint8Array.of(11, 0, 0, 0, 0, 0, 0, 0, 0))).toBe('MACHINE_VERSION_UNKNOWN');
    expect(() => new IndexRow(0, Uint8Array.of(2, 0))).toThrow('index row of version 2');
  });

  test('of a queue lie in offset order, and in a range of their own', () => {
    const keys = [0, 1, 255, 256, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER].map((base) => indexRowKey(7, base));
    expect([...keys].sort(Buffer.compare)).toEqual(keys);
    expect(indexRowKeyOf(keys[5] as Uint8Array)).toEqual({ queueId: 7, rowBase: 2 ** 32 });
    const { from, to } = indexRange(7, 256);
    const isInside = (key: Uint8Array): boolean => Buffer.compare(from, key) <= 0 && Buffer.compare(key, to) < 0;
    expect(keys.map(isInside)).toEqual([false, false, false, true, true, true, true]);
    expect(isInside(indexRowKey(8, 300))).toBe(false);
  });
});

describe('an index row', () => {
  test('tells everything of its records', () => {
    const row = decodeIndexEntry(indexRowKey(300, 1000), fullRow().encode());
    expect([row.base, row.count, row.entryIndex, row.appendedAtMs, row.entryBytes]).toEqual([
      1000, 4, 77, 1_700_000_000_000, 0,
    ]);
    expect(row.rejectedSlots).toEqual([1, 5, 7]);
    expect([row.liveCount, row.liveBytes]).toEqual([3, 70_011]);
    const live: unknown[] = [];
    for (let offset = row.nextLive(0); offset !== -1; offset = row.nextLive(offset + 1)) {
      const key = row.keyOf(offset);
      live.push([
        row.n(offset),
        row.sizeBytesOf(offset),
        row.deliveryCountOf(offset),
        row.expiresAtMsOf(offset),
        key === undefined ? undefined : Buffer.from(key).toString(),
      ]);
    }
    expect(live).toEqual([
      [1, 70_000, 2, 1_700_000_005_000, undefined],
      [2, 5, 1, 1_700_000_000_000, ''],
      [3, 6, 3, 1_700_000_001_000, 'a'],
    ]);
  });

  test('finds the next live record over whole bytes of settled ones', () => {
    const row = new IndexRow(5, builderOf(5, new Array(40).fill(1)).encode(1, 1, 1));
    for (let offset = 5; offset < 45; offset++) if (![13, 20, 44].includes(offset)) row.settle(offset);
    expect([0, 14, 20, 21, 44, 45].map((from) => row.nextLive(from))).toEqual([13, 20, 20, 44, 44, -1]);
    expect(row.isLive(4) || row.isLive(45) || row.isLive(5)).toBe(false);
    expect(() => row.settle(5)).toThrow('a record is settled once');
  });

  test('changes nothing in the bytes it was read from, also when an engine gave them as a buffer', () => {
    const row = new IndexRow(0, builderOf(0, [1, 1, 1]).encode(1, 1, 1));
    row.settle(0);
    const value = Buffer.from(row.encode());
    const before = hexOf(value);
    new IndexRow(0, value).settle(1);
    expect(hexOf(value)).toBe(before);
  });

  test('keeps no delivery counts of what is settled', () => {
    const row = new IndexRow(0, builderOf(0, [1, 1, 1]).encode(1, 1, 1));
    const other = new IndexRow(0, builderOf(0, [1, 1, 1]).encode(1, 1, 1));
    for (const offset of [2, 0, 1]) row.return(offset);
    for (const offset of [0, 1]) row.settle(offset);
    other.return(2);
    for (const offset of [1, 0]) other.settle(offset);
    expect(hexOf(row.encode())).toBe(hexOf(other.encode()));
  });

  test('counts deliveries up to a limit', () => {
    const row = new IndexRow(0, builderOf(0, [1]).encode(1, 1, 1));
    for (let i = 0; i < DELIVERY_COUNT_MAX + 5; i++) row.return(0);
    expect(new IndexRow(0, row.encode()).returnCountOf(0)).toBe(DELIVERY_COUNT_MAX);
  });

  test('that is damaged gives a typed error', () => {
    const value = fullRow().encode();
    for (let length = 0; length < value.length; length++) {
      expect(() => new IndexRow(1000, value.subarray(0, length))).toThrow(SluiceError);
    }
  });
});
