/** Commands besides the record batch, as their proposers write them. What each means is said by its `apply-…` file. */
export type Command =
  | SettleCommand
  | ConfigureQueueCommand
  | DropRowsCommand
  | RemoveQueueCommand
  | TimeCommand
  | ForgetPublishersCommand;

export interface SettleCommand {
  type: 'settle';
  rows: readonly SettleRow[];
  /**
   * Optional knowledge of the proposer: no live record of the queue lies before `head`. True for ever once it was seen
   * in applied rows, and it saves later readers the walk over deleted ones.
   */
  heads?: readonly QueueHead[];
}

/** Ranges are flat pairs, `[from, to, from, to, …]` with `to` excluded, of absolute offsets inside the row. */
export interface SettleRow {
  queueId: number;
  /** The base offset that keys the index row. */
  rowBase: number;
  accepted?: readonly number[] | undefined;
  expired?: readonly number[] | undefined;
  /** Handed out and given back: they stay live, their delivery count goes up. */
  returned?: readonly number[] | undefined;
}

export interface QueueHead {
  queueId: number;
  head: number;
}

export type Overflow = 'refuse' | 'drop_oldest';

/** What the machine must know of a queue's definition. */
export interface QueueConfig {
  queueId: number;
  /** Grows with every change; a late configuration is recognised by it. */
  version: number;
  /** For those who read dumps. */
  name: string;
  isLastValue: boolean;
  countMax: number | null;
  bytesMax: number | null;
  overflow: Overflow;
  /** An empty payload ends the value of its key and is not kept itself. Last-value queues only; fixed for ever. */
  erasesEmpty?: boolean;
}

export interface ConfigureQueueCommand {
  type: 'configure-queue';
  config: QueueConfig;
}

/** In the order of their numbers. `passed`: every session of a stream has received it. */
export const DROP_REASONS = ['expired', 'purged', 'overflow', 'removed', 'passed'] as const;
export type DropReason = (typeof DROP_REASONS)[number];

export interface DropRowsCommand {
  type: 'drop-rows';
  queueId: number;
  reason: DropReason;
  /** Base offsets, ascending. The proposer bounds the list; it costs one row each. */
  rowBases: readonly number[];
  /** Of the last row only records before this offset go; undefined drops all of it. */
  upperOffset?: number;
}

export interface RemoveQueueCommand {
  type: 'remove-queue';
  queueId: number;
  /**
   * Of an image of the cluster without the queue, whose other queues are all in the log before this. Undefined: not said, as
   * before machine version 10.
   */
  epoch?: number;
}

/** What these clients published at QoS 2 cannot come again by now; those who published since `beforeMs` are left alone. */
export interface ForgetPublishersCommand {
  type: 'forget-publishers';
  beforeMs: number;
  clientIds: readonly string[];
}

/** Nothing but its stamp. */
export interface TimeCommand {
  type: 'time';
}
