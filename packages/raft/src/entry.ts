/** What an entry holds. A no-op starts each term (thesis 6.4); a membership change is decoded by `conf-change`. */
export const EntryKind = { NORMAL: 0, NO_OP: 1, MEMBERSHIP: 2 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** One log entry. `data` is opaque to Raft and is never copied by it. */
export interface Entry {
  term: number;
  /** First entry of a group has index 1. */
  index: number;
  kind: EntryKind;
  data: Uint8Array;
}

/** Must be durable before any message that depends on it leaves the node. `commit` may lag behind the truth. */
export interface HardState {
  term: number;
  /** Peer voted for in `term`; 0 for none. Peer ids are positive safe integers. */
  vote: number;
  commit: number;
}

/** Joint consensus (thesis 4.3): while `votersOutgoing` is not empty, both majorities must agree. */
export interface Membership {
  voters: number[];
  votersOutgoing: number[];
  learners: number[];
  /** Become learners when the joint configuration is left. */
  learnersNext: number[];
}

/** Names a snapshot; its bytes travel outside of the core. */
export interface SnapshotMeta {
  index: number;
  term: number;
  membership: Membership;
}
