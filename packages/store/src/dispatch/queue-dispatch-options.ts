import type { Clock } from '@sluice/common/clock';
import type { Prng } from '@sluice/common/prng';
import type { DispatchStrategy } from '@sluice/meta/queue-definition';
import type { DispatchCounts } from '../metrics/dispatch-counts.ts';
import type { IndexReader } from '../read/index-reader.ts';
import type { RecordReader } from '../read/record-reader.ts';
import type { SettleBatcher } from '../settle/settle-batcher.ts';
import type { PumpTurn } from './pump-turn.ts';

/** What the dispatch of a queue is made of, and what it tells its partition. */
export interface QueueDispatchOptions {
  queueId: number;
  groupId: number;
  head: number;
  /** The next offset to be given. */
  tail: number;
  strategy: DispatchStrategy;
  redispatchIntervalMs: number;
  index: IndexReader;
  records: RecordReader;
  settles: SettleBatcher;
  /** Shared by the queues of a partition. */
  turn: PumpTurn;
  /** Whether consumers hear when records begin and end to wait for want of credit. */
  tellsWaiting: boolean;
  /** Too many settlements wait for the log: nothing is handed out until `wake`. */
  isHeldUp: () => boolean;
  /** Whether a worker may have records of this entry from a former leader: it, and what lies behind, waits for `wake`. */
  mayBeHeld: (entryIndex: number) => boolean;
  clock: Clock;
  prng: Prng;
  counts: DispatchCounts;
  /** A record cannot be read; it is tried again until `onRecovered`. */
  onTrouble: (cause: Error) => void;
  onRecovered: () => void;
  /** So many wait that no consumer takes for their size. */
  onTooLarge: (count: number) => void;
}
