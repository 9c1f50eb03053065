/**
 * The numbers of a measurement. What is the same for everybody is here and nowhere else, so that no broker gets another
 * window, payload or duration than its neighbour in the table.
 */
export type Workload = FlowWorkload | FlatWorkload | BacklogWorkload | SurgeWorkload | IdleWorkload | StartWorkload;

interface WorkloadBase {
  readonly name: string;
  /** A sentence under the heading. */
  readonly title: string;
}

/** How messages flow: the part that publishers and consumers share. */
export interface Flow {
  readonly channel: 'queue' | 'queues' | 'last-value' | 'fan-out';
  readonly qos: 0 | 1;
  readonly publishers: number;
  readonly consumers: number;
  readonly payloadBytes: number;
  /** Unanswered messages of a publisher. */
  readonly window: number;
  /** Unacknowledged messages of a consumer. */
  readonly prefetch: number;
  /** Published and not consumed, of all publishers: a queue is measured while it flows. 0: no bound. */
  readonly backlogMax: number;
  readonly keys: number;
  /** By consumer, repeated as needed: how long it works on a message. */
  readonly workMs: readonly number[];
}

/** Publish and consume at the same time, at full speed or at a rate. */
export interface FlowWorkload extends WorkloadBase {
  readonly kind: 'flow';
  readonly flow: Flow;
  /** Of all publishers; 0: as fast as the windows allow. */
  readonly perSecond: number;
  readonly warmUpMs: number;
  /** As well, where messages are so few that a time says little about how warm anybody is. */
  readonly warmUpMessages?: number;
  readonly measureMs: number;
}

/** The same flow over more and more of something: what a message costs must not grow with it. */
export interface FlatWorkload extends WorkloadBase {
  readonly kind: 'flat';
  /** The first is what the others are compared with. */
  readonly steps: readonly FlatStep[];
  /** Of all publishers of a step; 0: as fast as the windows allow. */
  readonly perSecond: number;
  /** Of each step; both must be over. */
  readonly warmUpMessages: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface FlatStep {
  /** What there is of it, for the progress lines. */
  readonly label: string;
  readonly flow: Flow;
  /** Lies in the queue before anybody consumes, and for as long as it is measured. */
  readonly backlog: number;
}

/** Nobody consumes; then consumers come while publishing goes on. */
export interface BacklogWorkload extends WorkloadBase {
  readonly kind: 'backlog';
  readonly flow: Flow;
  readonly messages: number;
  /** Published while the backlog is drained, as a share of the rate at which it was filled. */
  readonly publishShare: number;
  readonly drainMsMax: number;
}

/** A steady load at half of what is sustained, then several times what is sustained, then the way back. */
export interface SurgeWorkload extends WorkloadBase {
  readonly kind: 'surge';
  readonly flow: Flow;
  readonly findMs: number;
  readonly steadyMs: number;
  readonly surgeMs: number;
  readonly factor: number;
  readonly recoverMsMax: number;
}

export interface IdleWorkload extends WorkloadBase {
  readonly kind: 'idle';
  readonly connections: number;
  readonly settleMs: number;
}

export interface StartWorkload extends WorkloadBase {
  readonly kind: 'start';
  readonly idleMs: number;
}
