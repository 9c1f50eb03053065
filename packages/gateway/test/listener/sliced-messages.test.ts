import { expect, test } from '@jest/globals';
import { SlicedMessages } from '../../src/listener/sliced-messages.ts';

const { SLICE_BYTES } = SlicedMessages;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function watched(): { messages: SlicedMessages; bytes: Buffer[]; waits: boolean[] } {
  const bytes: Buffer[] = [];
  const waits: boolean[] = [];
  const messages = new SlicedMessages(
    (chunk) => bytes.push(chunk),
    (isWaiting) => waits.push(isWaiting),
  );
  return { messages, bytes, waits };
}
const lengths = (bytes: readonly Buffer[]): number[] => bytes.map(({ length }) => length);

test('what fits into a slice goes on as it is, at once', () => {
  const { messages, bytes, waits } = watched();
  const message = Buffer.alloc(SLICE_BYTES);
  messages.push(message);
  expect([bytes[0] === message, waits]).toEqual([true, []]);
});

test('a large message goes on a slice a turn, and what comes behind it waits', async () => {
  const { messages, bytes, waits } = watched();
  const large = Buffer.from(Uint8Array.from({ length: 2 * SLICE_BYTES + 5 }, (_, i) => i >>> 9));
  const small = Buffer.from('behind');
  messages.push(large);
  messages.push(small);
  expect([lengths(bytes), waits]).toEqual([[SLICE_BYTES], [true]]);
  await turn();
  expect(lengths(bytes)).toEqual([SLICE_BYTES, SLICE_BYTES]);
  while (waits.at(-1)) await turn();
  expect(lengths(bytes)).toEqual([SLICE_BYTES, SLICE_BYTES, 5, 6]);
  expect(Buffer.concat(bytes).equals(Buffer.concat([large, small]))).toBe(true);
  expect(waits).toEqual([true, false]);
});

test('at the end of the stream all that waits goes on, and nothing comes later', async () => {
  const { messages, bytes } = watched();
  messages.push(Buffer.alloc(3 * SLICE_BYTES));
  messages.push(Buffer.from('behind'));
  messages.flush();
  expect(lengths(bytes)).toEqual([SLICE_BYTES, 2 * SLICE_BYTES, 6]);
  await turn();
  expect(bytes.length).toBe(3);
});

test('what is not wanted any more does not go on', async () => {
  const { messages, bytes, waits } = watched();
  messages.push(Buffer.alloc(3 * SLICE_BYTES));
  messages.drop();
  await turn();
  expect([lengths(bytes), waits]).toEqual([[SLICE_BYTES], [true, false]]);
});
