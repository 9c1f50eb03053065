import type { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { type Entry, EntryKind, type SnapshotMeta } from '@sluice/raft/entry';
import { wireInvalid } from './codec.ts';
import { type HeadReader, writeIntegers } from './packed.ts';

const ENTRY_KINDS: readonly number[] = Object.values(EntryKind);
/** Of an entry in the head: index, term and kind of a byte or more each. */
export const ENTRY_BYTES_MIN = 3;

/** The payload goes beside the head, as it is stored. */
export function writeEntry(head: ByteWriter, data: Uint8Array[], entry: Entry): void {
  head.varint(entry.index).varint(entry.term).u8(entry.kind);
  data.push(entry.data);
}

export function readEntry(head: HeadReader): Entry {
  const index = head.integer();
  const term = head.integer();
  const kind = head.u8();
  if (!ENTRY_KINDS.includes(kind)) throw wireInvalid(`unknown kind of entry ${kind}`);
  return { index, term, kind: kind as EntryKind, data: head.data() };
}

export function writeSnapshotMeta(head: ByteWriter, { index, term, membership }: SnapshotMeta): void {
  head.varint(index).varint(term);
  writeIntegers(head, membership.voters);
  writeIntegers(head, membership.votersOutgoing);
  writeIntegers(head, membership.learners);
  writeIntegers(head, membership.learnersNext);
}

export function readSnapshotMeta(head: HeadReader): SnapshotMeta {
  return {
    index: head.integer(),
    term: head.integer(),
    membership: {
      voters: head.integers(),
      votersOutgoing: head.integers(),
      learners: head.integers(),
      learnersNext: head.integers(),
    },
  };
}
