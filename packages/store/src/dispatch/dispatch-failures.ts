import { withHint } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Topology } from '@sluice/meta/topology';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import { isDamage } from '@sluice/storage/entry-log/log-errors';
import { viewOf } from '../placement/group-view.ts';
import { canDoWithoutSelf } from '../placement/membership-step.ts';

/**
 * Queues of which a stored record could not be read.
 *
 * To skip it would lose an acknowledged message without a word, and to try again for ever would keep its queue standing,
 * though what is damaged here is whole elsewhere. So where the other voters of the group can do without this replica, one
 * of them leads and this one is made anew; where they cannot, the queue stands still, tries again, and says so here.
 */
export class DispatchFailures {
  readonly #host: Pick<RaftHost, 'status' | 'peerAlive' | 'markImpaired'>;
  readonly #topology: Topology;
  readonly #logger: Logger;
  /** By partition and queue: one stands still in one partition and goes on in another. */
  readonly #failures = new Map<string, { queue: string; cause: Error }>();

  constructor(options: {
    host: Pick<RaftHost, 'status' | 'peerAlive' | 'markImpaired'>;
    topology: Topology;
    logger: Logger;
  }) {
    this.#host = options.host;
    this.#topology = options.topology;
    this.#logger = options.logger;
  }

  failed(groupId: number, queueId: number, cause: Error): void {
    const id = idOf(groupId, queueId);
    const view = viewOf(this.#host, groupId);
    if (isDamage(cause) && view !== undefined && canDoWithoutSelf(view)) {
      this.#failures.delete(id);
      this.#host.markImpaired(groupId, cause);
      return;
    }
    const name = queueId === RETAINED_QUEUE_ID ? 'of retained messages' : String(queueId);
    const queue = this.#topology.queue(queueId)?.name ?? name;
    const known = this.#failures.get(id);
    this.#failures.set(id, { queue, cause });
    if (known?.cause.message === cause.message) return;
    this.#logger.error(
      { err: cause, partition: groupId, queue },
      'a stored record cannot be read: this queue stands still rather than skip it, and tries again',
    );
  }

  recovered(groupId: number, queueId: number): void {
    const id = idOf(groupId, queueId);
    const known = this.#failures.get(id);
    if (known === undefined) return;
    this.#failures.delete(id);
    this.#logger.info(
      { partition: groupId, queue: known.queue },
      'the stored record could be read: this queue goes on',
    );
  }

  /** Of the queues that stand still, for people. */
  problems(): string[] {
    return [...new Set([...this.#failures.values()].map(({ queue, cause }) => `queue ${queue}: ${withHint(cause)}`))];
  }
}

function idOf(groupId: number, queueId: number): string {
  return `${groupId}:${queueId}`;
}
