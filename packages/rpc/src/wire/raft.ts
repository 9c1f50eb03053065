import type { ByteWriter } from '@sluice/common/bytes/byte-writer';
import type { Message } from '@sluice/raft/message';
import type { RaftFrame } from '../contract/raft.ts';
import type { Codec } from './codec.ts';
import { type HeadReader, packedCodec, writeFlag, writeName } from './packed.ts';
import { ENTRY_BYTES_MIN, readEntry, readSnapshotMeta, writeEntry, writeSnapshotMeta } from './raft-entry.ts';

const TYPES = [
  'pre-vote',
  'pre-vote-response',
  'vote',
  'vote-response',
  'append',
  'append-response',
  'heartbeat',
  'heartbeat-response',
  'snapshot',
  'timeout-now',
] as const;
/** Group, type and envelope of a byte or more each. */
const MESSAGE_BYTES_MIN = 5;
const QUIESCED_BYTES_MIN = 4;

export const raftFrameCodec: Codec<RaftFrame> = packedCodec(
  'raft frame',
  (frame, head, data) => {
    head.varint(frame.messages.length);
    for (const { groupId, message } of frame.messages) {
      head.varint(groupId);
      writeMessage(head, data, message);
    }
    head.varint(frame.quiesced.length);
    for (const { groupId, notice } of frame.quiesced) {
      head.varint(groupId).varint(notice.leader).varint(notice.term).varint(notice.lastIndex);
    }
  },
  (head) => ({
    messages: head.list(MESSAGE_BYTES_MIN, () => ({ groupId: head.integer(), message: readMessage(head) })),
    quiesced: head.list(QUIESCED_BYTES_MIN, () => ({
      groupId: head.integer(),
      notice: { leader: head.integer(), term: head.integer(), lastIndex: head.integer() },
    })),
  }),
);

function writeMessage(head: ByteWriter, data: Uint8Array[], message: Message): void {
  writeName(head, TYPES, message.type);
  head.varint(message.from).varint(message.to).varint(message.term);
  switch (message.type) {
    case 'pre-vote':
    case 'vote':
      head.varint(message.lastIndex).varint(message.lastTerm);
      writeFlag(head, message.force);
      return;
    case 'pre-vote-response':
    case 'vote-response':
      writeFlag(head, message.granted);
      return;
    case 'append':
      head.varint(message.prevIndex).varint(message.prevTerm).varint(message.first).varint(message.last);
      head.varint(message.commit).varint(message.stint).varint(message.entries.length);
      for (const entry of message.entries) writeEntry(head, data, entry);
      return;
    case 'append-response':
      head.varint(message.index);
      writeFlag(head, message.rejected);
      head.varint(message.hintIndex).varint(message.hintTerm).varint(message.stint);
      return;
    case 'heartbeat':
      head.varint(message.commit).varint(message.readContext);
      return;
    case 'heartbeat-response':
      head.varint(message.readContext);
      return;
    case 'snapshot':
      writeSnapshotMeta(head, message.snapshot);
      head.varint(message.stint);
      return;
    case 'timeout-now':
      return;
  }
}

function readMessage(head: HeadReader): Message {
  const type = head.name(TYPES, 'message of Raft');
  const from = head.integer();
  const to = head.integer();
  const term = head.integer();
  switch (type) {
    case 'pre-vote':
    case 'vote':
      return { type, from, to, term, lastIndex: head.integer(), lastTerm: head.integer(), force: head.flag() };
    case 'pre-vote-response':
    case 'vote-response':
      return { type, from, to, term, granted: head.flag() };
    case 'append': {
      const prevIndex = head.integer();
      const prevTerm = head.integer();
      const first = head.integer();
      const last = head.integer();
      const commit = head.integer();
      const stint = head.integer();
      const entries = head.list(ENTRY_BYTES_MIN, () => readEntry(head));
      return { type, from, to, term, prevIndex, prevTerm, first, last, entries, commit, stint };
    }
    case 'append-response': {
      const index = head.integer();
      const rejected = head.flag();
      const hintIndex = head.integer();
      const hintTerm = head.integer();
      return { type, from, to, term, index, rejected, hintIndex, hintTerm, stint: head.integer() };
    }
    case 'heartbeat':
      return { type, from, to, term, commit: head.integer(), readContext: head.integer() };
    case 'heartbeat-response':
      return { type, from, to, term, readContext: head.integer() };
    case 'snapshot':
      return { type, from, to, term, snapshot: readSnapshotMeta(head), stint: head.integer() };
    case 'timeout-now':
      return { type, from, to, term };
  }
}
