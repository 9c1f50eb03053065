import { describe, expect, test } from '@jest/globals';
import type { Entry } from '@sluice/raft/entry';
import { type BackupPart, BackupWriter, readBackup } from '@sluice/storage/backup-format';
import type { KeyValue } from '@sluice/storage/engine';
import { codeOf, entry } from './support/open-test-log.ts';

const HEAD = { groupId: 7, index: 9_000_000_000, term: 12 };
const row = (key: string, value: string): KeyValue => ({ key: Buffer.from(key), value: Buffer.from(value) });
const ROWS = [[row('a', '1'), row('b', '')], [row('c', 'x'.repeat(700))]];
const ENTRIES = [[entry(1, 1, 'one'), entry(5, 2, '')], [entry(6, 12, 'y'.repeat(5000))]];

function written(rows: readonly KeyValue[][] = ROWS, entries: readonly Entry[][] = ENTRIES): Buffer {
  const writer = new BackupWriter();
  const parts = [writer.head(HEAD)];
  for (const some of rows) parts.push(writer.rows(some));
  for (const some of entries) parts.push(writer.entries(some));
  parts.push(writer.end());
  return Buffer.concat(parts.flat());
}

/** In chunks of so many bytes: a network cuts where it likes. */
async function* chunks(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(bytes: Buffer, size = bytes.length): Promise<BackupPart[]> {
  const parts: BackupPart[] = [];
  for await (const part of readBackup(chunks(bytes, Math.max(1, size)), 'a.group')) parts.push(part);
  return parts;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const plain = (parts: readonly BackupPart[]): unknown[] =>
  parts.map((part) => {
    if (part.type === 'head') return part.head;
    if (part.type === 'rows') return part.rows.map(({ key, value }) => [text(key), text(value)]);
    return part.entries.map(({ index, term, kind, data }) => [index, term, kind, text(data)]);
  });

describe('a group in a backup', () => {
  test('gives back what was written, however its bytes arrive; an empty one too', async () => {
    const rows = ROWS.map((some) => some.map(({ key, value }) => [text(key), text(value)]));
    const entries = ENTRIES.map((some) => some.map((one) => [one.index, one.term, one.kind, text(one.data)]));
    for (const size of [1, 7, 64, 1e6]) expect(plain(await read(written(), size))).toEqual([HEAD, ...rows, ...entries]);
    expect(plain(await read(written([], [])))).toEqual([HEAD]);
  });

  test('every flipped byte and every missing end is found', async () => {
    const whole = written();
    for (let at = 0; at < whole.length; at += at < 200 ? 1 : 97) {
      const damaged = Buffer.from(whole);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 0x10, at);
      // The last of the magic is the format.
      expect([at, await codeOf(read(damaged))]).toEqual([at, at === 7 ? 'BACKUP_NEWER' : 'BACKUP_DAMAGED']);
    }
    for (let length = 0; length < whole.length; length += 61) {
      expect([length, await codeOf(read(whole.subarray(0, length)))]).toEqual([length, 'BACKUP_DAMAGED']);
    }
    expect(await codeOf(read(Buffer.concat([whole, Buffer.of(0)])))).toBe('BACKUP_DAMAGED');
  });

  test('blocks that are left out, repeated or exchanged are found', async () => {
    const writer = new BackupWriter();
    const [head, first, second, end] = [
      writer.head(HEAD),
      writer.rows(ROWS[0] as KeyValue[]),
      writer.rows(ROWS[0] as KeyValue[]),
      writer.end(),
    ].map((parts) => Buffer.concat(parts)) as [Buffer, Buffer, Buffer, Buffer];
    expect(plain(await read(Buffer.concat([head, first, second, end])))).toHaveLength(3);
    for (const wrong of [
      [head, first, end],
      [head, second, first, end],
      [head, first, first, second, end],
      [first, second, end],
    ]) {
      expect(await codeOf(read(Buffer.concat(wrong)))).toBe('BACKUP_DAMAGED');
    }
  });

  test('what the first release wrote is read for ever', async () => {
    expect(written([[row('k', 'v')]], [[entry(3, 2, 'e')]]).toString('hex')).toBe(GOLDEN);
    expect(plain(await read(Buffer.from(GOLDEN, 'hex')))).toEqual([HEAD, [['k', 'v']], [[3, 2, 0, 'e']]]);
  });
});

const GOLDEN =
  '534c5549434542310100000014acb481eb000000070000000218711a00000000000000000c0200000004206c3a0b016b0176' +
  '03000000137d3d4b4b000000000000000200000000000000030001650400000010f4c817f100000000000000010000000000' +
  '000001';
