import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { appendRequestCodec } from '../src/wire/append.ts';
import { FrameWriter, PIECE_BYTES_MIN, splitFrame } from '../src/wire/frame.ts';
import { bytes, integer, uint32 } from './support/codec-cases.ts';

describe('frames', () => {
  test('hold the messages of a turn, and say how large they are', () => {
    const codec = appendRequestCodec;
    const arbitrary = fc.record({ sequence: integer, partition: uint32, batch: bytes });
    fc.assert(
      fc.property(fc.array(arbitrary, { maxLength: 5 }), (values) => {
        const writer = new FrameWriter(codec);
        let grown = 0;
        for (const value of values) grown += writer.add(value);
        expect(writer.sizeBytes).toBe(grown);
        const finished = writer.finish();
        expect(finished.length).toBe(grown);
        expect(writer.sizeBytes).toBe(0);
        const memory = Buffer.concat(finished.pieces(5));
        expect(memory).toHaveLength(5 + grown);
        const frame = memory.subarray(5);
        expect(splitFrame(frame).map((one) => codec.read(one))).toEqual(values);
      }),
      { numRuns: 50 },
    );
  });

  test('leave large payloads where they were', () => {
    const batches = [PIECE_BYTES_MIN - 1, PIECE_BYTES_MIN, 5, 3 * PIECE_BYTES_MIN].map((sizeBytes, at) =>
      new Uint8Array(sizeBytes).fill(at + 1),
    );
    const writer = new FrameWriter(appendRequestCodec);
    for (const [sequence, batch] of batches.entries()) writer.add({ sequence, partition: 1, batch });
    const frame = writer.finish();
    const pieces = frame.pieces(5);
    const read = splitFrame(Buffer.concat(pieces).subarray(5)).map((bytes) => appendRequestCodec.read(bytes));
    expect(read).toEqual(batches.map((batch, sequence) => ({ sequence, partition: 1, batch })));
    for (const batch of batches) expect(pieces.includes(batch)).toBe(batch.length >= PIECE_BYTES_MIN);
    const small = new FrameWriter(appendRequestCodec);
    small.add({ sequence: 1, partition: 1, batch: new Uint8Array(9) });
    expect(small.finish().pieces(5)).toHaveLength(1);
  });
});
