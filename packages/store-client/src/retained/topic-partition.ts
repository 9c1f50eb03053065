import { stableHash } from '@sluice/common/stable-hash';

/** The partition that keeps what is retained of a topic. 0 while nothing is known of the cluster. */
export function partitionOfTopic(topic: Uint8Array, partitionCount: number): number {
  return partitionCount === 0 ? 0 : (stableHash(topic) % partitionCount) + 1;
}
