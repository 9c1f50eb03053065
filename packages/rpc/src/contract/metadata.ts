import type { MetaCommand } from '@sluice/meta/meta-commands';
import type { MetaReply } from '@sluice/meta/meta-reply';

/**
 * Any node to a coordinator: changes of the metadata. Whoever does not lead says who does; `executed` comes when the
 * change is committed and, as far as `reached` says, every live node acts on it.
 */
export type MetadataRequest =
  | { type: 'execute'; command: MetaCommand }
  /** Resolves when every live node acts on the epoch, or the leader's patience ends. */
  | { type: 'reach'; epoch: number }
  /** Somebody subscribed to a queue that does not exist; made when `auto_create` says so. */
  | { type: 'wanted'; name: string; topicFilter: string }
  /** Who belongs to the metadata group. Asked by a coordinator before it gives up a replica that cannot be trusted. */
  | { type: 'members' };

export type MetadataResponse =
  | { type: 'executed'; reply: MetaReply; reached: boolean }
  | { type: 'reached'; reached: boolean }
  | { type: 'wanted'; created: boolean }
  /** Committed, and a majority has confirmed that this coordinator still leads. */
  | { type: 'members'; members: readonly number[] }
  /** Nothing was done. 0: this coordinator does not know who leads. */
  | { type: 'not-leader'; leader: number }
  /** Nobody knows whether it was done. */
  | { type: 'unknown' };
