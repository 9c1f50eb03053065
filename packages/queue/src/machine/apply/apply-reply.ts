/** What one applied command answers to its proposer. An expected refusal is a value here, never an exception. */
export type ApplyReply =
  | { type: 'appended'; refused: readonly Refusal[] }
  /** The batch was in the log before and is not stored again: this is what was answered then. */
  | { type: 'repeated'; refused: readonly Refusal[] }
  /** Likewise, but what was answered is not remembered. */
  | { type: 'answer-forgotten' }
  /** The batch it has to come after is not in the log: not stored. */
  | { type: 'out-of-order' }
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
export const REPEATED: ApplyReply = Object.freeze({ type: 'repeated', refused: Object.freeze([]) });
export const ANSWER_FORGOTTEN: ApplyReply = Object.freeze({ type: 'answer-forgotten' });
export const OUT_OF_ORDER: ApplyReply = Object.freeze({ type: 'out-of-order' });
export const SETTLED: ApplyReply = Object.freeze({ type: 'settled', stale: 0 });
export const NOTED: ApplyReply = Object.freeze({ type: 'noted' });
