import type { Logger } from '@sluice/common/logger';

/**
 * Says which partitions leave questions about sessions unanswered until their time is over, and what was heard meanwhile.
 * Clients are hung up on, whether nobody leads, a leader takes nothing, or does not answer at all; and by the time that
 * somebody asks, nothing is left to see.
 *
 * The first of a partition is described at once, then one every `REPEAT_MS` with the number of those between: a partition
 * that stands still has thousands.
 */
export class UnansweredQuestions {
  readonly #logger: Logger;
  readonly #told = new Map<number, { atMs: number; since: number }>();

  static readonly REPEAT_MS = 10_000;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  note(question: UnansweredQuestion, nowMs: number): void {
    const { partition } = question;
    const told = this.#told.get(partition);
    if (told !== undefined && nowMs - told.atMs < UnansweredQuestions.REPEAT_MS) {
      told.since++;
      return;
    }
    this.#told.set(partition, { atMs: nowMs, since: 0 });
    this.#logger.warn(
      { ...question, others: told?.since ?? 0 },
      'a partition does not answer about sessions: clients that come are hung up on, and those that subscribe or go may be cut off',
    );
  }
}

export interface UnansweredQuestion {
  partition: number;
  /** What was asked for. */
  asked: string;
  waitedMs: number;
  attempts: number;
  /** What was answered last; `nothing` when nobody did. */
  said: string;
  /** Who was asked last, and who is believed to lead; 0: nobody. */
  store: number;
  leader: number;
}
