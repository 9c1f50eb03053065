import type { DeliverItem } from '@sluice/rpc/contract/consume';

/** A consumer as its queue sees it. `dispatchId` is unique in the store. */
export interface DispatchConsumer {
  readonly dispatchId: number;
  readonly clientId: string;
  /** Up to which size it takes records, as it attaches; undefined: any. */
  readonly recordBytesMax?: number | undefined;
  /** Whether it is of the same gateway as that one, on a newer channel. */
  succeeds(other: DispatchConsumer): boolean;
  deliver(items: readonly DeliverItem[]): void;
  /** Records of the queue began, or ended, to wait because no consumer has credit. */
  waiting(waits: boolean): void;
  /** The store dispatches to it no more; `leader` may. */
  dismissed(reason: 'queue-removed' | 'not-leader', leader: number): void;
}
