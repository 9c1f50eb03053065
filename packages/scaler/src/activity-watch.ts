import type { QueueManagement } from '@sluice/rpc/contract/queue-management';
import { isActive } from './demand.ts';
import type { Trigger } from './trigger.ts';

/**
 * Tells who waits for the first message of a queue that there is one, within a second. All are looked after in one
 * question to the stores, so that a hundred triggers cost what one does; while nobody waits, nobody is asked.
 *
 * What nobody knows is no news: a queue whose leader is lost has neither become empty nor full.
 */
export class ActivityWatch {
  readonly #queues: Pick<QueueManagement, 'statistics'>;
  readonly #waiting = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  static readonly LOOK_MS = 500;
  static readonly WAITING_MAX = 1_000;

  constructor(queues: Pick<QueueManagement, 'statistics'>) {
    this.#queues = queues;
  }

  /** `tell` hears how it is, and then of every change. Undefined when too many wait already. */
  watch(trigger: Trigger, tell: (active: boolean) => void): (() => void) | undefined {
    if (this.#waiting.size >= ActivityWatch.WAITING_MAX) return undefined;
    const waiting: Waiting = { trigger, tell, told: undefined };
    this.#waiting.add(waiting);
    this.#timer ??= setInterval(() => void this.look(), ActivityWatch.LOOK_MS);
    void this.look();
    return () => {
      this.#waiting.delete(waiting);
      if (this.#waiting.size === 0) this.close();
    };
  }

  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const names = [...new Set([...this.#waiting].map(({ trigger }) => trigger.queue))];
    const answer = await this.#queues.statistics(names).finally(() => {
      this.#looking = false;
    });
    if (!answer.ok) return;
    for (const waiting of this.#waiting) {
      const workload = answer.value.get(waiting.trigger.queue);
      if (workload === undefined) continue;
      const active = isActive(waiting.trigger, workload);
      if (active === waiting.told) continue;
      waiting.told = active;
      waiting.tell(active);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

interface Waiting {
  readonly trigger: Trigger;
  readonly tell: (active: boolean) => void;
  /** Undefined: it has heard nothing yet. */
  told: boolean | undefined;
}
