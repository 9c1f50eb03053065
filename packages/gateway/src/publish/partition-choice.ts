import { stableHash, stableHashOfText } from '@sluice/common/stable-hash';
import type { QueueDefinition } from '@sluice/meta/queue-definition';

/**
 * Into which partition of a queue a record goes. A queue over several partitions has no order as a whole, so what must
 * stay in order has to meet in one of them, whichever gateway it comes through: the values of one key of a last-value
 * queue (also because a newer one can only supersede an older one beside it), and otherwise the messages of one
 * publisher. Taking partitions in turn would spread better and keep no order at all.
 *
 * The choice is part of what is stored: a gateway that chose otherwise would let a publisher overtake itself. It is the
 * stable hash of the key, or of the client id, modulo the number of partitions; never to be changed for queues that exist.
 *
 * @hotpath
 */
export function partitionForKey(queue: QueueDefinition, key: Uint8Array): number {
  const { partitions } = queue;
  if (partitions.length < 2) return partitions[0] as number;
  return partitions[stableHash(key) % partitions.length] as number;
}

export function partitionForPublisher(queue: QueueDefinition, clientId: string): number {
  const { partitions } = queue;
  if (partitions.length < 2) return partitions[0] as number;
  return partitions[stableHashOfText(clientId) % partitions.length] as number;
}
