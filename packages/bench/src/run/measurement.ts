import type { SequenceVerdict } from '../load/sequence-verdict.ts';
import type { SyncAnswer } from './peer.ts';

/** One peer under one workload, once. Figures that a workload does not have are absent. */
export interface Measurement {
  peer: string;
  workload: string;
  round: number;
  figures: Figures;
  /** Undefined where no messages flow. */
  sequences?: SequenceVerdict;
  sync?: SyncFinding;
  /** Who counted `writtenBytes`: the device itself, or, where it does not count, the kernel for the processes. */
  disk?: DiskCount;
  /** By worker, the first one first. */
  shares?: number[];
  notes: string[];
}

export type Figures = Partial<Record<FigureName, number>>;

export type FigureName =
  /** Messages (fan-out: deliveries) a second. */
  | 'rate'
  /** Processor time of all broker processes for one of them. */
  | 'cpuUs'
  /** From when a message was due to its delivery. */
  | 'p50Ms'
  | 'p99Ms'
  | 'p999Ms'
  /** From when a message was due to its acknowledgement. */
  | 'ackP50Ms'
  | 'ackP99Ms'
  | 'rssMb'
  /**
   * Written to the disk, as `disk` says; what the kernel counts for the processes; the growth of their directories. For each
   * message, all copies.
   */
  | 'writtenBytes'
  | 'processBytes'
  | 'grownBytes'
  /** Share of one core the generator took. */
  | 'loadShare'
  | 'loadCpuUs'
  | 'refused'
  /** Flat: processor time a message in each step, and the most of them as times the first. */
  | 'firstCpuUs'
  | 'secondCpuUs'
  | 'thirdCpuUs'
  | 'timesMost'
  /** Start and idle. */
  | 'startS'
  | 'idleShare'
  | 'connectUs'
  | 'connectionKb'
  /** Backlog. */
  | 'fillRate'
  | 'fillCpuUs'
  | 'fullRssMb'
  | 'drainRate'
  | 'drainCpuUs'
  /** Surge. */
  | 'sustainedRate'
  | 'takenRate'
  | 'backlogMost'
  | 'rssBeforeMb'
  | 'p99BeforeMs'
  | 'backS';

export type DiskCount = 'device' | 'processes';

export interface SyncFinding {
  answer: SyncAnswer;
  /** `seen`: system calls were counted. `documented`: they could not be. */
  by: 'seen' | 'documented';
}

export const MB = 1024 * 1024;
