import { once } from 'node:events';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { PAGE_MS_MAX, pageStream } from '../../src/ops/metrics-routes.ts';

let open = 0;
async function* page(): AsyncGenerator<string> {
  open++;
  try {
    for (;;) yield 'sluice_up 1\n'.repeat(10_000);
  } finally {
    open--;
  }
}

beforeEach(() => void jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] }));
afterEach(() => void jest.useRealTimers());

test('a page of the detail that somebody asks for and does not read is given up', async () => {
  const stream = pageStream(page);
  stream.on('error', () => {});
  await once(stream, 'readable');
  jest.advanceTimersByTime(PAGE_MS_MAX - 1);
  expect([open, stream.destroyed]).toEqual([1, false]);
  const closed = new Promise((resolve) => stream.once('close', resolve));
  jest.advanceTimersByTime(1);
  await closed;
  expect([open, jest.getTimerCount()]).toEqual([0, 0]);
});

test('one that is read to its end leaves no deadline behind', async () => {
  const stream = pageStream(async function* () {
    yield 'a';
    yield 'b';
  });
  let text = '';
  for await (const piece of stream) text += piece;
  expect([text, jest.getTimerCount()]).toEqual(['ab', 0]);
});
