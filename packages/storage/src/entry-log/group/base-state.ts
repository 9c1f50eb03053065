import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import type { GroupScalars } from './group-state.ts';

/**
 * The first frame of each segment: the state of all groups and the list of the sealed segments. Because of it an old
 * segment never has to be kept for a vote, recovery replays one segment only, and a segment that vanished is noticed.
 */
export interface BaseState {
  groups: GroupScalars[];
  sealed: SealedFacts[];
  /** Released segments whose files are not removed yet, or could not be. */
  leftovers: number[];
}

export interface SealedFacts {
  segmentId: number;
  /** Exact size of the file. */
  bytes: number;
  /** Group id to the index from which on the segment's entries of that group are superseded; 0 means all. */
  cuts: Map<number, number>;
}

const VERSION = 1;

export function encodeBaseState(base: BaseState): Uint8Array {
  const out = new ByteWriter(1024).u8(VERSION).varint(base.groups.length);
  for (const group of base.groups) {
    out.varint(group.groupId);
    out.varint(group.hardState.term).varint(group.hardState.vote).varint(group.hardState.commit);
    out.varint(group.firstIndex).varint(group.lastIndex).varint(group.compactedTerm);
    out.u32(group.compactedChain).u32(group.lastChain);
  }
  out.varint(base.sealed.length);
  for (const segment of base.sealed) {
    out.varint(segment.segmentId).varint(segment.bytes).varint(segment.cuts.size);
    for (const [groupId, index] of segment.cuts) out.varint(groupId).varint(index);
  }
  out.varint(base.leftovers.length);
  for (const segmentId of base.leftovers) out.varint(segmentId);
  return out.finish();
}

/** @throws SluiceError `BYTES_MALFORMED` */
export function decodeBaseState(bytes: Uint8Array): BaseState {
  const input = new ByteReader(bytes);
  const base: BaseState = { groups: [], sealed: [], leftovers: [] };
  input.u8();
  for (let left = input.varint(); left > 0; left--) {
    base.groups.push({
      groupId: input.varint(),
      hardState: { term: input.varint(), vote: input.varint(), commit: input.varint() },
      firstIndex: input.varint(),
      lastIndex: input.varint(),
      compactedTerm: input.varint(),
      compactedChain: input.u32(),
      lastChain: input.u32(),
    });
  }
  for (let left = input.varint(); left > 0; left--) {
    const segment: SealedFacts = { segmentId: input.varint(), bytes: input.varint(), cuts: new Map() };
    for (let cuts = input.varint(); cuts > 0; cuts--) segment.cuts.set(input.varint(), input.varint());
    base.sealed.push(segment);
  }
  for (let left = input.varint(); left > 0; left--) base.leftovers.push(input.varint());
  return base;
}
