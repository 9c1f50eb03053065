import type { Membership, SnapshotMeta } from './entry.ts';

/**
 * The port of what a group replicates. The core never calls it: the host does, with what `Ready.committed` names.
 * `apply` is a pure function of the machine's state and the entries: no clock, no chance, no wait; what an entry needs
 * from the disk is fetched for the whole batch before. It is called once for each index and in order, except after a
 * crash, where it starts again after the last index that was stored together with the state.
 */
export interface StateMachine<Result> {
  /** What version of the rules this process knows; an old entry keeps the meaning of the version it was written in. */
  readonly version: number;
  /** One result for each entry, in order. No-op and membership entries are not handed to the machine. */
  apply(entries: readonly AppliedEntry[]): readonly Result[];
  /** A frozen view of the state; writing entries may go on while it is streamed. */
  snapshot(meta: SnapshotMeta): MachineSnapshot;
  /** Replaces the state by the streamed one; until `finish` the old one stays in force. */
  restore(meta: SnapshotMeta): MachineRestore;
}

export interface AppliedEntry {
  index: number;
  term: number;
  data: Uint8Array;
}

/** Chunks carry no meaning across versions; `release` ends it early or late and may be called twice. */
export interface MachineSnapshot {
  readonly version: number;
  /** Undefined after the last one. Each at most `bytesMax` long. */
  nextChunk(bytesMax: number): Promise<Uint8Array | undefined>;
  release(): void;
}

export interface MachineRestore {
  accept(chunk: Uint8Array): Promise<void>;
  /** State, applied index and membership become durable together, or not at all. */
  finish(membership: Membership): Promise<void>;
  abort(): void;
}
