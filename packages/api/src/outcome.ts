import type { Outcome } from '@sluice/rpc/contract/queue-management';
import { ownRefusalError, refusalError } from './api-error.ts';

/** The value, or the refusal in the sentences that clients of EMQX's queues compare with. @throws ApiError */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw refusalError(outcome);
  return outcome.value;
}

/** The value, or the refusal in its owner's words. @throws ApiError */
export function granted<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw ownRefusalError(outcome);
  return outcome.value;
}
