import { type ApplyReply, NOTED } from './apply-reply.ts';
import { decodeForgetPublishers } from './command-codec.ts';
import { decodePublisherRow } from './publisher-row.ts';
import { publisherRowKey } from './row-keys.ts';
import type { Rows } from './rows.ts';

/** Publishers of whom nothing came for long. Who proposed it may be late: one that published since stays. */
export function applyForget(data: Uint8Array, rows: Rows): ApplyReply {
  const { beforeMs, clientIds } = decodeForgetPublishers(data);
  for (const clientId of clientIds) {
    const key = publisherRowKey(Buffer.from(clientId));
    const value = rows.get(key);
    if (value !== undefined && decodePublisherRow(value).seenMs < beforeMs) rows.delete(key);
  }
  return NOTED;
}
