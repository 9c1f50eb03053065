import { expect, test } from '@jest/globals';
import { NUMBERS_LEFT_OUT } from '@sluice/queue/session/restored-numbers';
import { numbersRowKey } from '@sluice/queue/session/row-keys';
import { decodeNumbersRow, encodeNumbersRow } from '@sluice/queue/session/session-rows';
import type { KeyValue } from '@sluice/storage/engine';
import { restoredPartition } from '../../src/backup/restored-partition.ts';

type Part = { type: 'rows'; rows: KeyValue[] } | { type: 'entries'; entries: { index: number; data: Uint8Array }[] };

const row = (table: string): KeyValue => ({ key: Buffer.from(`${table}1`), value: Buffer.from('x') });
const numbers = (last: number): KeyValue => ({
  key: numbersRowKey(),
  value: encodeNumbersRow({ last, sessions: 3 }),
});
const rows = (...some: KeyValue[]): Part => ({ type: 'rows', rows: some });
const entries: Part = { type: 'entries', entries: [{ index: 1, data: Buffer.from('e') }] };

/** Tables in their order, `N` with its numbers, `|` before entries. */
async function told(...parts: Part[]): Promise<string> {
  const out: string[] = [];
  const contents = (async function* () {
    yield* parts;
  })();
  for await (const part of restoredPartition(contents as never)) {
    if (part.type === 'entries') out.push('|');
    else
      for (const { key, value } of part.rows) {
        const isNumbers = Buffer.compare(key, numbersRowKey()) === 0;
        const { last, sessions } = isNumbers ? decodeNumbersRow(value) : { last: 0, sessions: 0 };
        out.push(isNumbers ? `N+${last - NUMBERS_LEFT_OUT}/${sessions}` : (Buffer.from(key).toString()[0] as string));
      }
  }
  return out.join(' ');
}

test('numbers go on far above those of the backup, in their place, and all else is as it was', async () => {
  expect(await told(rows(row('B'), row('K')), rows(row('M'), numbers(7), row('S')), entries)).toBe('B K M N+7/3 S |');
  expect(await told(rows(numbers(7)), rows(row('S')), entries, entries)).toBe('N+7/3 S | |');
});

test('a partition that had given none begins above those it may have given since', async () => {
  expect(await told(rows(row('B')), rows(row('S'), row('U')), entries)).toBe('B N+0/0 S U |');
  expect(await told(rows(row('B')), entries)).toBe('B N+0/0 |');
  expect(await told(rows(row('B')))).toBe('B N+0/0');
  expect(await told()).toBe('N+0/0');
});
