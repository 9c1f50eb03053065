import { decodeForgetPublishers } from '../command/command-codec.ts';
import { decodePublisherRow } from '../row/publisher-row.ts';
import { publisherRowKey } from '../row/row-keys.ts';
import type { Rows } from '../row/rows.ts';
import { type ApplyReply, NOTED } from './apply-reply.ts';

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
