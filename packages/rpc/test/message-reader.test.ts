import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MessageReader, PREFIX_BYTES, writePrefix } from '../src/grpc/message-reader.ts';

const SIZE_MAX = 5000;

function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(PREFIX_BYTES + message.length);
  writePrefix(bytes, message.length);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

describe('messages of a gRPC stream', () => {
  test('are the same however their bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 40 }),
        (messages, cuts) => {
          const bytes = Buffer.concat(messages.map(framed));
          const got: Uint8Array[] = [];
          const reader = new MessageReader(SIZE_MAX, (message) => got.push(new Uint8Array(message)));
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const end = Math.min(bytes.length, at + (cuts[turn % cuts.length] as number));
            // Of a chunk nothing may be needed once it was taken, but by a message that is a view into it.
            reader.push(Buffer.from(bytes.subarray(at, end)));
            at = end;
          }
          expect(got).toEqual(messages);
          expect(reader.isBetween).toBe(true);
        },
      ),
    );
  });

  test('one within a chunk is not copied, one over several has memory of its own', () => {
    const got: Uint8Array[] = [];
    const reader = new MessageReader(SIZE_MAX, (message) => got.push(message));
    const whole = framed(new Uint8Array(100).fill(1));
    reader.push(whole);
    const parted = framed(new Uint8Array(100).fill(2));
    reader.push(parted.subarray(0, 50));
    expect(reader.isBetween).toBe(false);
    reader.push(parted.subarray(50));
    expect(got.map(({ buffer }) => buffer === whole.buffer)).toEqual([true, false]);
    expect(got[1]?.buffer.byteLength).toBe(100);
  });

  test('a length is a claim: room for a large one is made as it arrives', () => {
    const reader = new MessageReader(0xffff_ffff, () => {});
    const prefix = Buffer.alloc(PREFIX_BYTES + 1);
    writePrefix(prefix, 0xffff_fff0);
    const before = process.memoryUsage().arrayBuffers;
    reader.push(prefix);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
  });

  test('too large ones, and compressed ones, are refused at their head', () => {
    const reader = () => new MessageReader(SIZE_MAX, () => {});
    const head = Buffer.alloc(PREFIX_BYTES);
    writePrefix(head, SIZE_MAX + 1);
    expect(() => reader().push(head)).toThrow(expect.objectContaining({ code: 'MESSAGE_TOO_LARGE' }));
    writePrefix(head, 1);
    head[0] = 1;
    expect(() => reader().push(head)).toThrow(expect.objectContaining({ code: 'MESSAGE_COMPRESSED' }));
  });
});
