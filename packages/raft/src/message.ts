import type { Entry, SnapshotMeta } from './entry.ts';

/**
 * Messages between the peers of one group. Each may be lost, repeated or reordered; the note says what then happens.
 * A message of a lower term is answered so that its sender learns the new one, or dropped.
 */
export type Message =
  /** Lost: the candidate tries again at its next timeout. Granting changes nothing at the voter (thesis 9.6). */
  | (Envelope & { type: 'pre-vote'; lastIndex: number; lastTerm: number; force: boolean })
  | (Envelope & { type: 'pre-vote-response'; granted: boolean })
  /** Lost: next timeout. Repeated: answered from the durable vote. `force` marks a transfer, which overrides leases. */
  | (Envelope & { type: 'vote'; lastIndex: number; lastTerm: number; force: boolean })
  | (Envelope & { type: 'vote-response'; granted: boolean })
  /**
   * `entries` is filled by the host from `first` to `last` when it sends (the core holds no payloads); the core sets it
   * to []. On the way in it holds the entries. Lost or reordered: the follower rejects the gap and the leader probes.
   */
  | (Envelope & {
      type: 'append';
      prevIndex: number;
      prevTerm: number;
      first: number;
      last: number;
      entries: Entry[];
      commit: number;
      /** Of the leader's `Progress`, see there; the answer repeats it. */
      stint: number;
    })
  | (Envelope & {
      type: 'append-response';
      /** Matched up to here when accepted; the rejected `prevIndex` otherwise. */
      index: number;
      rejected: boolean;
      /** On rejection: where the logs may agree (index and term of the follower's hint). */
      hintIndex: number;
      hintTerm: number;
      /** Of the message that is answered: a leader hears no answer of a stint that is over. */
      stint: number;
    })
  /** Lost: a late commit and, after an election timeout of them, an election. `readContext` 0 carries no read. */
  | (Envelope & { type: 'heartbeat'; commit: number; readContext: number })
  | (Envelope & { type: 'heartbeat-response'; readContext: number })
  /** The host streams the bytes; lost: `reportSnapshot(peer, false)` returns the follower to probing. */
  | (Envelope & { type: 'snapshot'; snapshot: SnapshotMeta; stint: number })
  /** Leadership transfer (thesis 3.10): campaign at once. Lost: the transfer times out. */
  | (Envelope & { type: 'timeout-now' });

export interface Envelope {
  from: number;
  to: number;
  term: number;
}
