import { describe, expect, test } from '@jest/globals';
import { MESSAGE_BYTES_MAX } from '../src/grpc/limits.ts';
import { StreamChannel } from '../src/grpc/stream-channel.ts';
import { appendRequestCodec, appendResponseCodec } from '../src/wire/append.ts';
import { type Frame, splitFrame } from '../src/wire/frame.ts';

/** A stream that takes every frame at once. */
class TakingStream {
  readonly frames: Frame[] = [];
  aborted = '';

  write(frame: Frame, flushed: () => void): void {
    this.frames.push(frame);
    queueMicrotask(flushed);
  }
  abort(_reason: string, detail: string): void {
    this.aborted = detail;
  }
  closing(): void {}
  end(): void {}
  pause(): void {}
  resume(): void {}
}

describe('what a channel sends in one turn', () => {
  test('is no frame that the peer refuses: the largest message there may be does not leave behind others in theirs', async () => {
    const stream = new TakingStream();
    const channel = new StreamChannel(stream, appendRequestCodec as never, appendResponseCodec as never);
    const largest = new Uint8Array(MESSAGE_BYTES_MAX - 64);
    const small = new Uint8Array(100);
    const batches = [small, small, largest, small];
    for (const [sequence, batch] of batches.entries()) channel.send({ sequence, partition: 1, batch });
    while (channel.unsentBytes > 0) await Promise.resolve();
    expect(stream.aborted).toBe('');
    expect(stream.frames).toHaveLength(3);
    for (const { length } of stream.frames) expect(length).toBeLessThanOrEqual(MESSAGE_BYTES_MAX);
    const found = stream.frames.flatMap((frame) => {
      const bytes = Buffer.concat(frame.pieces(0));
      expect(bytes).toHaveLength(frame.length);
      return splitFrame(bytes).map((message) => appendRequestCodec.read(message));
    });
    expect(found.map(({ sequence, batch }) => [sequence, batch.length])).toEqual([
      [0, small.length],
      [1, small.length],
      [2, largest.length],
      [3, small.length],
    ]);
  });
});
