import type { RecordInput } from '@sluice/queue/record/record';
import { checkRecordBatch } from '@sluice/queue/record/record-batch';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { RecordCursor } from '@sluice/queue/record/record-cursor';
import { checksum } from '@sluice/storage/checksum';
import { type Hop, IMAGE_BYTES, type PreparedHop, SMALL_BYTES, TURN_MESSAGES } from './hop.ts';

/** The bytes of a message between gateway, log and disk: encoded once, read over where somebody needs to know. */
export function recordHops(): Hop[] {
  return [
    {
      name: 'record-encode-256',
      what: 'a record of 256 B into its batch, 64 each',
      limit: 'best-copy-256',
      prepare: () => encoding(SMALL_BYTES, TURN_MESSAGES),
    },
    {
      name: 'record-encode-256k',
      what: 'a record of 256 KB into its batch',
      limit: 'best-copy-256k',
      prepare: () => encoding(IMAGE_BYTES, 1),
    },
    { name: 'record-check', what: 'every field read, as before a proposal', prepare: checking },
    { name: 'record-cursor', what: 'walked, as the machine does', prepare: walking },
    { name: 'checksum-256', what: 'CRC32C of 256 B', prepare: () => summing(SMALL_BYTES, 1_024) },
    { name: 'checksum-256k', what: 'CRC32C of 256 KB', prepare: () => summing(IMAGE_BYTES, 8) },
  ];
}

function recordOf(sizeBytes: number, queueId: number): RecordInput {
  return {
    targets: [{ queueId, key: undefined }],
    topic: 'bench/task',
    payload: Buffer.alloc(sizeBytes, 1),
    qos: 1,
    retain: false,
    publisher: 'publisher-1',
    publishedAtMs: 1_700_000_000_000,
    expiresAtMs: 0,
    properties: undefined,
  };
}

/** `queues` of them are the targets in turn. */
export function batchOf(records: number, sizeBytes: number, queues = 1): Uint8Array {
  const builder = new RecordBatchBuilder();
  for (let i = 0; i < records; i++) builder.add(recordOf(sizeBytes, 1 + (i % queues)));
  return builder.finish();
}

function encoding(sizeBytes: number, messages: number): PreparedHop {
  const builder = new RecordBatchBuilder('numbered');
  const record = recordOf(sizeBytes, 1);
  return {
    messages,
    round() {
      for (let i = 0; i < messages; i++) builder.add(record);
      builder.finish();
    },
  };
}

function checking(): PreparedHop {
  const batch = batchOf(TURN_MESSAGES, SMALL_BYTES);
  return {
    messages: TURN_MESSAGES,
    round() {
      checkRecordBatch(batch);
    },
  };
}

function walking(): PreparedHop {
  const batch = batchOf(TURN_MESSAGES, SMALL_BYTES);
  const cursor = new RecordCursor();
  return {
    messages: TURN_MESSAGES,
    round() {
      cursor.reset(batch);
      while (cursor.next()) while (cursor.nextTarget());
    },
  };
}

function summing(sizeBytes: number, messages: number): PreparedHop {
  const bytes = Buffer.alloc(sizeBytes, 1);
  return {
    messages,
    round() {
      for (let i = 0; i < messages; i++) checksum(bytes);
    },
  };
}
