import { NOBODY, type SessionAnswer } from '@sluice/store-client/session/session-questions';

/** What the stores answer of a session that keeps nothing: tests say what they want otherwise. */
export function plainSessionAnswer(over: Partial<SessionAnswer> = {}): SessionAnswer {
  return { ...NOBODY, status: 'done', epoch: 1, ...over };
}
