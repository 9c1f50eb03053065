/**
 * Queues that the broker keeps for itself live in the partitions beside those of users and by the same machine: record
 * batches, key rows, superseding, limits and space need no second mechanism. Their numbers lie above all that the
 * metadata will ever give out, so nobody defines, lists, counts or removes them; each partition's leader configures them.
 */
const INTERNAL_QUEUE_ID_MIN = 2 ** 52;

/** The last retained message of each topic that hashes to the partition. The key is the topic, in UTF-8. */
export const RETAINED_QUEUE_ID = INTERNAL_QUEUE_ID_MIN;

export function isInternalQueue(queueId: number): boolean {
  return queueId >= INTERNAL_QUEUE_ID_MIN;
}
