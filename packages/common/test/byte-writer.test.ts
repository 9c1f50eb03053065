import { expect, test } from '@jest/globals';
import { ByteReader } from '../src/bytes/byte-reader.ts';
import { ByteWriter } from '../src/bytes/byte-writer.ts';

test.each([
  '',
  'a',
  'bench/7',
  'café',
  'aé'.repeat(40),
  'x'.repeat(127),
  'x'.repeat(128),
  'x'.repeat(129),
  '\u{1f40c}/ü',
])('text is its UTF-8, whatever is in it: %j', (text) => {
  const bytes = new ByteWriter(4).u8(7).text(text).u8(9).finish();
  const utf8 = Buffer.from(text, 'utf8');
  expect(Buffer.from(bytes)).toEqual(
    Buffer.from(new ByteWriter(400).u8(7).varint(utf8.length).raw(utf8).u8(9).finish()),
  );
  const reader = new ByteReader(bytes);
  expect([reader.u8(), reader.text(), reader.u8(), reader.remaining]).toEqual([7, text, 9, 0]);
});

test('what was finished stays as it is when the writer goes on', () => {
  for (const length of [3, 300]) {
    const writer = new ByteWriter().raw(new Uint8Array(length).fill(1));
    const first = writer.finish();
    writer.restart().raw(new Uint8Array(length).fill(2));
    expect(first).toEqual(new Uint8Array(length).fill(1));
    expect(first.buffer.byteLength).toBe(length);
  }
});
