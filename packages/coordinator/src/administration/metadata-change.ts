import type { MetaCommand } from '@sluice/meta/meta-commands';
import type { MetaReply } from '@sluice/meta/meta-reply';
import type { Topology } from '@sluice/meta/topology';
import { type Refusal, refuse } from '@sluice/rpc/contract/queue-management';

/** What the metadata said to a change, and whether every live node acts on it. */
export interface MetadataChange {
  reply: MetaReply;
  reached: boolean;
}

/** Replicates a change; undefined when nobody knows whether it was done. */
export interface MetadataExecutor {
  execute(command: MetaCommand): Promise<MetadataChange | undefined>;
}

/** Nothing is known of the cluster yet, hence not that something is missing in it either. */
export function refuseUnlessReady({ epoch }: Pick<Topology, 'epoch'>): Refusal | undefined {
  return epoch > 0 ? undefined : NOT_READY;
}

const NOT_READY: Refusal = refuse(
  'NOT_READY',
  'Not ready',
  'this node has not heard of the cluster yet: try again in a moment',
);
export const UNKNOWN_OUTCOME: Refusal = refuse(
  'UNAVAILABLE',
  'The metadata could not be changed, or nobody knows whether it was',
  'look whether the change is there, then try again',
);
export const NOT_EVERYWHERE: Refusal = refuse(
  'TIMEOUT',
  'The change is stored, but not every node acts on it yet',
  'it takes effect by itself; sluice cluster status says which node is away or behind',
);
