import type { SnapshotAnswer, SnapshotChunk } from '../contract/raft-snapshot.ts';
import type { Codec } from './codec.ts';
import { packedCodec, writeName } from './packed.ts';
import { ENTRY_BYTES_MIN, readEntry, readSnapshotMeta, writeEntry, writeSnapshotMeta } from './raft-entry.ts';

const CHUNKS = ['begin', 'rows', 'entries', 'end'] as const;
const ANSWERS = ['received', 'done', 'refused'] as const;

export const snapshotChunkCodec: Codec<SnapshotChunk> = packedCodec(
  'snapshot chunk',
  (chunk, head, data) => {
    writeName(head, CHUNKS, chunk.type);
    switch (chunk.type) {
      case 'begin':
        head.varint(chunk.groupId).varint(chunk.from).varint(chunk.to).varint(chunk.term).varint(chunk.stint);
        writeSnapshotMeta(head, chunk.snapshot);
        return;
      case 'rows':
        head.u32(chunk.crc).varint(chunk.rows.length);
        // A byte a row: the rows are bounded by bytes that were really sent.
        for (const { key, value } of chunk.rows) {
          head.u8(0);
          data.push(key, value);
        }
        return;
      case 'entries':
        head.u32(chunk.crc).varint(chunk.entries.length);
        for (const entry of chunk.entries) writeEntry(head, data, entry);
        return;
      case 'end':
        head.varint(chunk.rows).varint(chunk.entries);
    }
  },
  (head) => {
    const type = head.name(CHUNKS, 'snapshot chunk');
    switch (type) {
      case 'begin':
        return {
          type,
          groupId: head.integer(),
          from: head.integer(),
          to: head.integer(),
          term: head.integer(),
          stint: head.integer(),
          snapshot: readSnapshotMeta(head),
        };
      case 'rows': {
        const crc = head.u32();
        const rows = head.list(1, () => {
          head.u8();
          return { key: head.data(), value: head.data() };
        });
        return { type, rows, crc };
      }
      case 'entries': {
        const crc = head.u32();
        return { type, entries: head.list(ENTRY_BYTES_MIN, () => readEntry(head)), crc };
      }
      case 'end':
        return { type, rows: head.integer(), entries: head.integer() };
    }
  },
);

export const snapshotAnswerCodec: Codec<SnapshotAnswer> = packedCodec(
  'snapshot answer',
  (answer, head) => {
    writeName(head, ANSWERS, answer.type);
    if (answer.type === 'received') head.varint(answer.chunks);
    if (answer.type === 'refused') head.text(answer.reason);
  },
  (head) => {
    const type = head.name(ANSWERS, 'snapshot answer');
    switch (type) {
      case 'received':
        return { type, chunks: head.integer() };
      case 'done':
        return { type };
      case 'refused':
        return { type, reason: head.text() };
    }
  },
);
