import type { SessionEffect } from '@sluice/queue/session/session-reply';

/**
 * Which streams began and ended with a batch of entries, in pieces to be told to gateways. A message a stream would be a
 * thousand for one session that ends. One that did both in between is nobody's business; but that something changed is,
 * since somebody may wait until gateways have seen it: there is always a piece, and it may be empty.
 */
export function streamChanges(effects: readonly StreamEffect[]): StreamChange[] {
  const begun = new Map<number, string>();
  const removed: number[] = [];
  for (const effect of effects) {
    if (effect.type === 'stream-added') begun.set(effect.streamId, effect.filter);
    else if (!begun.delete(effect.streamId)) removed.push(effect.streamId);
  }
  let piece: StreamChange = { added: [], removed: [] };
  const pieces = [piece];
  let bytes = 0;
  const room = (filterBytes: number): StreamChange => {
    if (bytes >= PIECE_BYTES) {
      piece = { added: [], removed: [] };
      pieces.push(piece);
      bytes = 0;
    }
    bytes += filterBytes + STREAM_BYTES;
    return piece;
  };
  for (const streamId of removed) room(0).removed.push(streamId);
  for (const [streamId, filter] of begun) room(filter.length).added.push({ streamId, filter });
  return pieces;
}

export type StreamEffect = Extract<SessionEffect, { type: 'stream-added' | 'stream-removed' }>;

export interface StreamChange {
  added: { streamId: number; filter: string }[];
  removed: number[];
}

/** About, of filters; one always fits. */
const PIECE_BYTES = 64 * 1024;
/** Beside the filter. */
const STREAM_BYTES = 16;
