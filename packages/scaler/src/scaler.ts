import type { Clock } from '@sluice/common/clock';
import type { QueueManagement } from '@sluice/rpc/contract/queue-management';
import { ActivityWatch } from './activity-watch.ts';
import { busyWorkers, demand, isActive, shareOf, type Workload } from './demand.ts';
import type { Trigger } from './trigger.ts';
import { WorkPace } from './work-pace.ts';

/** Why there is no figure: the queue is not there, or nobody knows. Never zero, which would take the workers away. */
export interface NoFigure {
  readonly problem: 'no-queue' | 'unknown';
  readonly message: string;
}

/** How many workers a queue needs, for whoever starts and stops them. */
export class Scaler {
  readonly activity: ActivityWatch;
  readonly #queues: Pick<QueueManagement, 'get' | 'statistics'>;
  readonly #clock: Clock;
  /** The one longest unasked for goes when there are too many. */
  readonly #paces = new Map<string, WorkPace>();

  /** What was answered last, in workers, by queue. Of a queue in several triggers, the answer to the newest question. */
  readonly #wanted = new Map<string, { workers: number; askedMs: number }>();

  static readonly PACES_MAX = 1_000;
  /** Nobody asked for so long: the trigger is gone, or asks another node. */
  static readonly WANTED_MS_MAX = 120_000;

  constructor(options: { queues: Pick<QueueManagement, 'get' | 'statistics'>; clock: Clock }) {
    this.#queues = options.queues;
    this.#clock = options.clock;
    this.activity = new ActivityWatch(options.queues);
  }

  async isActive(trigger: Trigger): Promise<boolean | NoFigure> {
    const workload = await this.#workload(trigger.queue);
    return 'problem' in workload ? workload : isActive(trigger, workload);
  }

  shareOf(trigger: Trigger): number {
    return shareOf(trigger);
  }

  async demand(trigger: Trigger): Promise<number | NoFigure> {
    const workload = await this.#workload(trigger.queue);
    if ('problem' in workload) return workload;
    const value = demand(trigger, workload, this.#paces.get(trigger.queue)?.perWorker);
    this.#wanted.delete(trigger.queue);
    const workers = Math.ceil(value / shareOf(trigger));
    this.#wanted.set(trigger.queue, { workers, askedMs: this.#clock.monotonicMs() });
    if (this.#wanted.size > Scaler.PACES_MAX) this.#wanted.delete(this.#wanted.keys().next().value as string);
    return value;
  }

  /** How many workers it last said are wanted, before the autoscaler's own least and most. */
  *wanted(): Iterable<[queue: string, workers: number]> {
    const sinceMs = this.#clock.monotonicMs() - Scaler.WANTED_MS_MAX;
    for (const [queue, { workers, askedMs }] of this.#wanted) if (askedMs >= sinceMs) yield [queue, workers];
  }

  close(): void {
    this.activity.close();
  }

  async #workload(queue: string): Promise<Workload | NoFigure> {
    const found = await this.#queues.get(queue);
    if (!found.ok) {
      if (found.code !== 'NOT_FOUND') return { problem: 'unknown', message: found.message };
      const message = `there is no queue ${JSON.stringify(queue)}: create it, or mend the trigger (sluice queues list)`;
      return { problem: 'no-queue', message };
    }
    const figures = await this.#queues.statistics([queue]);
    const workload = figures.ok ? figures.value.get(queue) : undefined;
    if (workload === undefined) {
      return { problem: 'unknown', message: `the figures of ${queue} are not known: no leader of the queue answered` };
    }
    this.#paceOf(queue).look(this.#clock.monotonicMs(), workload.acceptedTotal, busyWorkers(workload));
    return workload;
  }

  #paceOf(queue: string): WorkPace {
    const pace = this.#paces.get(queue) ?? new WorkPace();
    this.#paces.delete(queue);
    this.#paces.set(queue, pace);
    if (this.#paces.size > Scaler.PACES_MAX) this.#paces.delete(this.#paces.keys().next().value as string);
    return pace;
  }
}
