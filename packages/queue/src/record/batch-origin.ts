import { assert } from '@sluice/common/assert';
import { writeU32, writeU53 } from './byte-cursor.ts';
import { BATCH_FLAGS_AT, BATCH_NUMBERED, BATCH_ORIGIN_AT } from './record-format.ts';

/**
 * Where a batch comes from, so that one that is sent again is stored once, and none before its turn. A producer is one
 * life of one gateway's way to the partitions; in each of them it numbers its batches.
 */
export interface BatchOrigin {
  /** Drawn at random for each life; never 0. */
  producer: number;
  /** 1, 2, ... by producer and partition. Whatever is sent again keeps its number. */
  sequence: number;
  /**
   * The batch is taken only when this one is in the log: the one before it, or, where that was given up (refused for
   * good, or told to its publishers as unknown), the last before it that was not. 0: there is none.
   */
  after: number;
  /** The producer has the answers of all up to this one, or waits for none of them any more. */
  answeredTo: number;
}

/**
 * What is given up changes what comes after what, so the numbers are written where the batch is sent, each time, into
 * room that its builder left.
 */
export function writeBatchOrigin(batch: Uint8Array, origin: BatchOrigin): void {
  const { producer, sequence, after, answeredTo } = origin;
  assert(((batch[BATCH_FLAGS_AT] as number) & BATCH_NUMBERED) !== 0, 'the builder left room for the origin');
  assert(Number.isSafeInteger(producer) && producer > 0, 'a producer is a positive integer');
  assert(after >= 0 && after < sequence && answeredTo >= 0 && answeredTo < sequence, 'a batch comes behind others');
  let at = writeU53(batch, BATCH_ORIGIN_AT, producer);
  at = writeU53(batch, at, sequence);
  at = writeU32(batch, at, sequence - after);
  writeU32(batch, at, sequence - answeredTo);
}
