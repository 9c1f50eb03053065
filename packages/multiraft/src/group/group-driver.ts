import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Message } from '@sluice/raft/message';
import { isDamage } from '@sluice/storage/entry-log/log-errors';
import type { ApplyLoop } from '../apply/apply-loop.ts';
import type { ImpairedNotes } from '../replica/impaired-notes.ts';
import type { Replica } from '../replica/replica.ts';
import type { StoreLoop } from '../store-loop.ts';
import { othersCanDo } from './others-can-do.ts';

/**
 * What is done to a group's core on this node, and what must follow each time.
 *
 * A core only answers: after a message, a tick, a lost peer or a finished snapshot somebody must look whether it has
 * something to write or to send, whether something is committed, and whether it leads. Many touch cores here, and one
 * that forgot would leave its group waiting for the next tick, or its listener believing in a leadership that is over.
 * So whoever touched one calls `settle`; and only here is it decided what a replica does not hear, and when it is
 * trusted no more: an impaired one says nothing further to anybody, until it is made anew.
 */
export class GroupDriver {
  readonly #nodeId: number;
  readonly #storeLoop: StoreLoop;
  readonly #applyLoop: ApplyLoop;
  readonly #impairedNotes: ImpairedNotes;
  readonly #logger: Logger;

  constructor(options: {
    nodeId: number;
    storeLoop: StoreLoop;
    applyLoop: ApplyLoop;
    impairedNotes: ImpairedNotes;
    logger: Logger;
  }) {
    this.#nodeId = options.nodeId;
    this.#storeLoop = options.storeLoop;
    this.#applyLoop = options.applyLoop;
    this.#impairedNotes = options.impairedNotes;
    this.#logger = options.logger;
  }

  /** What another node, or a snapshot that came, says to it. */
  step(replica: Replica, message: Message): void {
    if (replica.removed || replica.deaf || replica.impaired !== undefined) return;
    const { type } = message;
    if ((type === 'vote' || type === 'pre-vote' || type === 'timeout-now') && !replica.mayVote()) return;
    try {
      replica.raft.step(message);
    } catch (cause) {
      if (!(cause instanceof SluiceError) || cause.code !== 'BYTES_MALFORMED') this.impair(replica, cause as Error);
      this.#logger.error({ err: cause, group: replica.groupId, from: message.from }, 'a message cannot be right');
      return;
    }
    this.settle(replica);
    if (type === 'pre-vote' || type === 'pre-vote-response') this.#storeLoop.hasten();
  }

  /** Something was done to a core: its Ready goes into the next turn, and whoever must know hears who leads. */
  settle(replica: Replica): void {
    if (replica.removed) return;
    this.#storeLoop.applyCommitted(replica);
    if (replica.raft.hasReady()) this.#storeLoop.wake(replica);
    else this.#applyLoop.leadershipMayHaveMoved(replica);
  }

  /** A group that cannot apply leads nothing while others could; a damaged log is one that must be exchanged. */
  stopped(replica: Replica, cause: Error): void {
    if (replica.isAlone(this.#nodeId)) return;
    if (isDamage(cause)) this.impair(replica, cause);
    else replica.raft.stepDown();
    this.settle(replica);
  }

  /**
   * What a member needs cannot be read here, however often it is asked for. If the group can do without it, another one leads
   * and sends it, and this replica is made anew.
   */
  leaveToOthers(replica: Replica, cause: Error): void {
    if (othersCanDo(replica.raft.status())) this.impair(replica, cause);
  }

  impair(replica: Replica, cause: Error): void {
    if (replica.impaired !== undefined || replica.removed) return;
    replica.raft.stepDown();
    // Its last words, that somebody else should lead, must still leave.
    this.settle(replica);
    replica.impaired = cause;
    replica.recent.clear();
    this.#applyLoop.giveUp(replica, 'unavailable');
    this.#applyLoop.leadershipMayHaveMoved(replica);
    this.#impairedNotes.write(replica.groupId, cause);
    this.#logger.error(
      { err: cause, group: replica.groupId },
      'a replica cannot be trusted: it takes no part in its group until it is made anew',
    );
  }
}
