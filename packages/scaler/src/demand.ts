import type { QueueStatistics } from '@sluice/rpc/contract/queue-management';
import type { Trigger } from './trigger.ts';

/** The part of a queue's figures that says how much there is to do, and who does it. */
export type Workload = Pick<
  QueueStatistics,
  'lagMessages' | 'readyMessages' | 'inflightMessages' | 'consumers' | 'acceptedTotal'
>;

/** Whether the first worker is needed, or the last one still is. */
export function isActive(trigger: Trigger, workload: Workload): boolean {
  return waiting(trigger, workload) > trigger.activation;
}

/** One worker's share of `demand`. */
export function shareOf({ share }: Trigger): number {
  return 'messages' in share ? share.messages : 1;
}

/**
 * How much there is to do, over all workers: KEDA divides it by one worker's share and rounds up. In messages it is what
 * waits. By time it is the number of workers that finish what waits in time, at the pace they have shown; while none has
 * finished anything it is as many as there are, since a job of minutes says nothing before its end. More than there are
 * messages would have nothing to do: workers that finish nothing for hours show a pace that no number makes up for.
 *
 * Neither is below what the workers that are busy amount to, unless those are not to count: a fleet shrinks when workers
 * have nothing to do, and not because little waits behind what they do.
 */
export function demand(trigger: Trigger, workload: Workload, perWorker: number | undefined): number {
  const { share } = trigger;
  const messages = waiting(trigger, workload);
  const busy = trigger.includeInflight ? busyWorkers(workload) : 0;
  if (messages === 0) return 0;
  if ('messages' in share) return Math.max(messages, busy * share.messages);
  if (perWorker === undefined) return Math.max(1, workload.consumers);
  return Math.max(1, busy, Math.min(messages, Math.ceil(messages / (perWorker * share.lagSeconds))));
}

/** As far as figures of the whole queue can tell: nobody holds less than one message. */
export function busyWorkers({ consumers, inflightMessages }: Workload): number {
  return Math.min(consumers, inflightMessages);
}

function waiting({ includeInflight }: Trigger, { lagMessages, inflightMessages }: Workload): number {
  return includeInflight ? lagMessages : Math.max(0, lagMessages - inflightMessages);
}
