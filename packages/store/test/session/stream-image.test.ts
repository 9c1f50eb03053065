import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { StreamImage } from '../../src/session/stream-image.ts';

type Stream = { streamId: number; filter: string; sessions: number };

const stream = (streamId: number, length = 30_000): Stream => ({
  streamId,
  filter: `${streamId}`.padEnd(length, 'x'),
  sessions: 1,
});

/** All that is left of an image, page by page. */
function pagesOf(image: StreamImage): number[][] {
  const pages: number[][] = [];
  while (!image.isOver) pages.push(image.page().map(({ streamId }) => streamId));
  return pages;
}

test('a page holds about 64 KiB of filters, and one filter whatever its size', () => {
  const image = (...lengths: number[]): number[][] => {
    const streams = lengths.map((length, i) => stream(i + 1, length));
    return pagesOf(new StreamImage({ streams: () => streams }, 1));
  };
  expect(image()).toEqual([[]]);
  expect(image(10, 10, 10)).toEqual([[1, 2, 3]]);
  expect(image(30_000, 30_000, 30_000, 30_000)).toEqual([[1, 2, 3], [4]]);
  expect(image(65_535, 65_535)).toEqual([[1], [2], []]);
});

test('pages and what changes between them make the table, whatever begins and ends meanwhile', () => {
  const change = fc.oneof(fc.constant('page'), fc.constant('begin'), fc.nat());
  fc.assert(
    fc.property(fc.nat(12), fc.array(change, { maxLength: 30 }), (count, changes) => {
      const table = new Map<number, Stream>();
      for (let streamId = 1; streamId <= count; streamId++) table.set(streamId, stream(streamId));
      const image = new StreamImage({ streams: () => table.values() }, 1);
      const told = new Set<number>();
      const page = (): void => {
        for (const { streamId } of image.page()) told.add(streamId);
      };
      let last = count;
      for (const one of changes) {
        if (one === 'page') {
          if (!image.isOver) page();
        } else if (one === 'begin') {
          table.set(++last, stream(last));
          told.add(last);
        } else {
          const streamId = [...table.keys()][one % Math.max(1, table.size)];
          if (streamId === undefined) continue;
          table.delete(streamId);
          told.delete(streamId);
        }
      }
      while (!image.isOver) page();
      expect([...told].sort()).toEqual([...table.keys()].sort());
    }),
  );
});
