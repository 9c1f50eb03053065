import type { QueueDefinition } from '@sluice/meta/queue-definition';

/**
 * Into which partition of a queue a record goes. A queue over several partitions has no order as a whole, so what must
 * stay in order has to meet in one of them, whichever gateway it comes through: the values of one key of a last-value
 * queue (also because a newer one can only supersede an older one beside it), and otherwise the messages of one
 * publisher. Taking partitions in turn would spread better and keep no order at all.
 *
 * The choice is part of what is stored: a gateway that chose otherwise would let a publisher overtake itself. It is
 * FNV-1a over 32 bits with a final mix, over the key's bytes or the UTF-16 units of the client id, modulo the number of
 * partitions; never to be changed for queues that exist.
 *
 * @hotpath
 */
export function partitionForKey(queue: QueueDefinition, key: Uint8Array): number {
  const { partitions } = queue;
  if (partitions.length < 2) return partitions[0] as number;
  let hash = FNV_OFFSET;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ (key[i] as number), FNV_PRIME);
  return partitions[mixed(hash) % partitions.length] as number;
}

export function partitionForPublisher(queue: QueueDefinition, clientId: string): number {
  const { partitions } = queue;
  if (partitions.length < 2) return partitions[0] as number;
  let hash = FNV_OFFSET;
  for (let i = 0; i < clientId.length; i++) {
    const unit = clientId.charCodeAt(i);
    hash = Math.imul(hash ^ (unit & 0xff), FNV_PRIME);
    hash = Math.imul(hash ^ (unit >>> 8), FNV_PRIME);
  }
  return partitions[mixed(hash) % partitions.length] as number;
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** The low bits of FNV alone are poor, and ids such as `device-0001` differ in few places (MurmurHash3's finalizer). */
function mixed(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
