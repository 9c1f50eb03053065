/** What one applied command answers to its proposer. An expected refusal is a value here, never an exception. */
export type ApplyReply =
  | { type: 'appended'; refused: readonly Refusal[] }
  /** `stale` settlements named what was not live any more. */
  | { type: 'settled'; stale: number }
  /** False: it was late, the queue is removed, or it would turn a regular queue into a last-value one or back. */
  | { type: 'configured'; changed: boolean }
  | { type: 'dropped'; count: number }
  /** False: there is no such queue any more, or it is removed already. */
  | { type: 'removed'; changed: boolean }
  | { type: 'noted' };

/** A record that one of its queues did not take; its other queues may have. */
export interface Refusal {
  /** Position of the record in its batch. */
  slot: number;
  queueId: number;
  code: RefusalCode;
}

export type RefusalCode = 'queue-full' | 'queue-unknown' | 'queue-removed';

/** The answers that say nothing more, shared. */
export const APPENDED: ApplyReply = Object.freeze({ type: 'appended', refused: Object.freeze([]) });
export const SETTLED: ApplyReply = Object.freeze({ type: 'settled', stale: 0 });
export const NOTED: ApplyReply = Object.freeze({ type: 'noted' });
