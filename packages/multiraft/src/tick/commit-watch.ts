import type { Logger } from '@sluice/common/logger';
import type { Replica } from '../replica/replica.ts';

/**
 * A leader whose proposals are not answered says so, and what it waits for: its own disk (`persisted` stands still), its
 * followers (their `match` does), or its own apply loop (`commit` goes ahead of `applied`). From outside all three are
 * the same silence. One comparison a tick and group that is led here.
 */
export class CommitWatch {
  readonly #logger: Logger;

  /** Without a proposal answered although some wait: five seconds, and then every ten. */
  static readonly STALL_TICKS = 50;
  static readonly REPEAT_TICKS = 100;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Once a tick, of a group that is led here. */
  look(replica: Replica): void {
    if (replica.pending.size === 0 || replica.appliedIndex !== replica.stalledIndex) {
      replica.stalledIndex = replica.appliedIndex;
      replica.stalledTicks = 0;
      return;
    }
    const ticks = ++replica.stalledTicks - CommitWatch.STALL_TICKS;
    if (ticks < 0 || ticks % CommitWatch.REPEAT_TICKS !== 0) return;
    const { term, commit, lastIndex, persistedIndex, quiesced, transferee, progress } = replica.raft.status();
    this.#logger.warn(
      {
        group: replica.groupId,
        term,
        proposals: replica.pending.size,
        applied: replica.appliedIndex,
        commit,
        last: lastIndex,
        persisted: persistedIndex,
        quiesced,
        transferee,
        peers: progress,
      },
      'proposals wait: nothing is committed and applied',
    );
  }
}
