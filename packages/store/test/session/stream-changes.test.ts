import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type StreamEffect, streamChanges } from '../../src/session/stream-changes.ts';

const begins = (streamId: number, length = 3): StreamEffect => ({
  type: 'stream-added',
  streamId,
  filter: 'f'.repeat(length),
});
const ends = (streamId: number): StreamEffect => ({ type: 'stream-removed', streamId });

test('a thousand that end are one message; 64 KiB of filters are a piece, and one filter whatever its size', () => {
  const ids = Array.from({ length: 1_000 }, (_, i) => i + 1);
  expect(streamChanges(ids.map(ends))).toEqual([{ added: [], removed: ids }]);
  const long = [1, 2, 3].map((streamId) => begins(streamId, 65_535));
  expect(streamChanges(long).map(({ added }) => added.map(({ streamId }) => streamId))).toEqual([[1], [2], [3]]);
});

test('what began and ended in between is not told of, but that something changed is', () => {
  expect(streamChanges([begins(1), ends(1)])).toEqual([{ added: [], removed: [] }]);
});

test('whoever knew the streams before knows them afterwards, piece by piece: ends first, then beginnings', () => {
  fc.assert(
    fc.property(fc.nat(5), fc.array(fc.tuple(fc.boolean(), fc.nat(), fc.nat(40_000))), (count, steps) => {
      const table = new Set(Array.from({ length: count }, (_, i) => i + 1));
      const told = new Set(table);
      let last = count;
      const effects: StreamEffect[] = [];
      for (const [isBeginning, which, length] of steps) {
        const streamId = isBeginning ? ++last : [...table][which % Math.max(1, table.size)];
        if (streamId === undefined) continue;
        if (isBeginning) table.add(streamId);
        else table.delete(streamId);
        effects.push(isBeginning ? begins(streamId, length) : ends(streamId));
      }
      for (const { added, removed } of streamChanges(effects)) {
        for (const streamId of removed) told.delete(streamId);
        for (const { streamId } of added) told.add(streamId);
      }
      expect([...told].sort()).toEqual([...table].sort());
    }),
  );
});
