/**
 * Streams are queues of the queue machine that no topology names. Ids of defined queues count up from 1; those of streams
 * are the partition's own numbers above this one, so neither meets the other, and who sees an id knows what it is. Below
 * it, from 2^52 on, lie the few queues that each partition keeps for the broker itself.
 */
export const STREAM_ID_MIN = 2 ** 52 + 2 ** 20;

export function isStream(queueId: number): boolean {
  return queueId >= STREAM_ID_MIN;
}
