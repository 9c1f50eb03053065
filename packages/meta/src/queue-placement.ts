/**
 * Which partitions hold a queue. Neighbouring ids go to neighbouring partitions, so queues created one after the other
 * spread evenly without a table of loads; partitions are numbered from 1 (group 0 is the metadata itself).
 */
export function placeQueue(queueId: number, count: number, partitionCount: number): number[] {
  const placed: number[] = [];
  for (let i = 0; i < count; i++) placed.push(((queueId - 1 + i) % partitionCount) + 1);
  return placed;
}
