import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { type QueueManagement, refuse } from '@sluice/rpc/contract/queue-management';
import { refusalError } from '../api-error.ts';
import { unwrap } from '../outcome.ts';

/** Every queue call is refused while the subsystem is switched off. @throws ApiError 503 */
export async function requireEnabled(queues: QueueManagement): Promise<void> {
  if (unwrap(await queues.config()).enable === false) throw refusalError(refuse('NOT_ENABLED', 'Not enabled'));
}

/**
 * The queue a path names. Queues created without a name are called `/<filter>`; those who created them so know only the
 * filter, so a name that is not found is tried as one. @throws ApiError 404, 503
 */
export async function findQueue(queues: QueueManagement, nameOrFilter: string): Promise<QueueDefinition> {
  await requireEnabled(queues);
  const exact = await queues.get(nameOrFilter);
  if (exact.ok || exact.code !== 'NOT_FOUND') return unwrap(exact);
  return unwrap(await queues.get(`/${nameOrFilter}`));
}
