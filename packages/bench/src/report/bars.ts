import type { FigureName } from '../run/measurement.ts';
import type { PeerResult } from './peer-results.ts';

/**
 * What Sluice wants to hold. Against a peer it is a ratio of two medians of the same run: both had the same machine on
 * the same day. A few are absolute: what an idle connection may cost does not depend on what it costs others.
 */
export interface Bar {
  workloads: readonly string[];
  peers: readonly string[];
  figure: FigureName;
  /** `atMost` and `atLeast` are times the other's figure; without `of` they are the figure itself. */
  of?: string;
  atMost?: number;
  atLeast?: number;
}

const THREE = ['sluice-3', 'sluice-tiers'];
const ONE = ['sluice-1'];
const ALL = [...THREE, ...ONE];
const TASKS = ['task-4x4', 'task-1x1'];
const FLAT = ['flat-queues', 'flat-queues-paced', 'flat-backlog', 'flat-consumers', 'flat-consumers-paced'];
const FEW = ['fan-1-qos0', 'fan-1-qos1', 'fan-10-qos0', 'fan-10-qos1'];

const BARS: readonly Bar[] = [
  { workloads: TASKS, peers: THREE, figure: 'cpuUs', of: 'rabbitmq-3', atMost: 1 / 3 },
  { workloads: TASKS, peers: THREE, figure: 'cpuUs', of: 'nats-3', atMost: 0.5 },
  { workloads: TASKS, peers: THREE, figure: 'rate', of: 'rabbitmq-3', atLeast: 2 },
  { workloads: TASKS, peers: THREE, figure: 'rate', of: 'nats-3', atLeast: 1 },
  { workloads: TASKS, peers: ONE, figure: 'cpuUs', of: 'rabbitmq-1', atMost: 0.4 },
  { workloads: TASKS, peers: ONE, figure: 'rate', of: 'rabbitmq-1', atLeast: 2 },
  { workloads: ['images-4x4'], peers: THREE, figure: 'cpuUs', of: 'rabbitmq-3', atMost: 1 },
  { workloads: ['images-4x4'], peers: ONE, figure: 'cpuUs', of: 'rabbitmq-1', atMost: 0.6 },
  { workloads: ['images-4x4'], peers: ONE, figure: 'writtenBytes', atMost: 1.1 * 256 * 1024 },
  { workloads: ['images-4x4'], peers: THREE, figure: 'writtenBytes', atMost: 3 * 1.1 * 256 * 1024 },
  { workloads: ['latency'], peers: THREE, figure: 'p50Ms', of: 'rabbitmq-3', atMost: 1 },
  { workloads: ['latency'], peers: THREE, figure: 'p99Ms', of: 'rabbitmq-3', atMost: 1 },
  { workloads: ['latency'], peers: ONE, figure: 'p50Ms', atMost: 0.5 },
  { workloads: FEW, peers: ONE, figure: 'cpuUs', of: 'aedes', atMost: 0.6 },
  { workloads: ['fan-1-qos1', 'fan-10-qos1'], peers: ONE, figure: 'cpuUs', of: 'mosquitto', atMost: 1 },
  { workloads: ['start'], peers: ONE, figure: 'startS', atMost: 0.4 },
  { workloads: ['start'], peers: ONE, figure: 'rssMb', atMost: 80 },
  { workloads: ['idle-10k'], peers: ONE, figure: 'connectionKb', atMost: 8 },
  { workloads: FLAT, peers: ALL, figure: 'timesMost', atMost: 1.3 },
  { workloads: ['surge'], peers: ALL, figure: 'backS', atMost: 60 },
];

export interface Verdict {
  bar: Bar;
  /** The ratio, or the figure of an absolute bar; undefined when it or the other was not measured. */
  value: number | undefined;
  isHeld: boolean;
}

/** What one row is held to; empty for peers. Loss misses every bar there is. */
export function verdictsOf(result: PeerResult, all: readonly PeerResult[], bars: readonly Bar[] = BARS): Verdict[] {
  return bars
    .filter(({ workloads, peers }) => workloads.includes(result.workload) && peers.includes(result.peer))
    .map((bar) => {
      const value = figureOf(bar, result, all);
      return { bar, value, isHeld: value !== undefined && isHeld(bar, value) && (result.sequences?.lost ?? 0) === 0 };
    });
}

function figureOf({ figure, of }: Bar, result: PeerResult, all: readonly PeerResult[]): number | undefined {
  const own = result.median[figure];
  if (of === undefined) return own;
  const other = all.find(({ workload, peer }) => workload === result.workload && peer === of)?.median[figure];
  return own === undefined || other === undefined || other === 0 ? undefined : own / other;
}

function isHeld({ atMost, atLeast }: Bar, value: number): boolean {
  return (atMost === undefined || value <= atMost) && (atLeast === undefined || value >= atLeast);
}
