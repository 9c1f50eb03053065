import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import { isStream } from '@sluice/queue/session/stream-id';
import type { Partition } from '../partition/partition.ts';

/** What of a queue is with somebody, or may be: a job may be done yet, a client may be owed its message. It does not expire. */
export interface HeldRecords {
  isHeld(row: IndexRow, offset: number): boolean;
  /** From now until it is looked at again, if nothing else happens to it. */
  readonly againMs: number;
}

/** To be asked when the rows have been read: what somebody was given before that is known then. */
export async function heldRecordsOf(partition: Partition, queueId: number): Promise<HeldRecords> {
  if (isStream(queueId)) return await partition.sessions.sent.of(queueId);
  const { resumption } = partition;
  const dispatch = partition.dispatches.get(queueId);
  return {
    isHeld: (row, offset) => resumption?.mayBeHeld(row.entryIndex) === true || dispatch?.isHeld(offset) === true,
    againMs: JOB_AGAIN_MS,
  };
}

const JOB_AGAIN_MS = 1_000;
