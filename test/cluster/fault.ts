import type { Prng } from '@sluice/common/prng';
import type { Load } from '../faults/load.ts';
import type { Tool } from '../harness/left-out.ts';
import type { ClusterOptions, ClusterUnderTest } from './cluster-under-test.ts';
import type { NodeNetworks } from './node-networks.ts';

/** One kind of fault: what it needs, what is done, and how soon everything must be well again. */
export interface FaultKind {
  id: string;
  title: string;
  needs?: readonly Tool[];
  cluster?: ClusterOptions;
  /** Does it, and undoes it; clients publish and consume meanwhile. Returns what was done, for whoever reads the round. */
  strike(arena: Arena): Promise<string>;
  bounds: Bounds;
  /** Nothing may come twice, except what a client sent twice. */
  noDuplicates?: boolean;
  /** Nothing may be taken from a consumer that stays connected: gateways are not touched. */
  keepsHeld?: boolean;
  /** The negative control: acknowledged messages must be lost. */
  mustLose?: boolean;
}

export interface Bounds {
  /** Longest wait of any publisher: median over the rounds, and worst. */
  gapMedianMs?: number;
  gapWorstMs?: number;
  /** From the healing until every queue took and gave a message. */
  resumeMs: number;
  /** From the healing until leadership is back where it belongs. */
  restMs: number;
}

export interface Arena {
  cluster: ClusterUnderTest;
  load: Load;
  prng: Prng;
  round: number;
  /** From now on the fault counts as over; without it, when `strike` returns. */
  healed(): void;
  /** Something was not as it was promised, though nothing was lost: the verdict says so. */
  beyond(what: string): void;
  /** A promise was broken that the checker of the queues does not look at. */
  broke(what: string): void;
}

export function networksOf({ networks }: ClusterUnderTest): NodeNetworks {
  if (networks === undefined) throw new Error('the nodes have no networks of their own: the test is wrong');
  return networks;
}

export function pick<T>(prng: Prng, among: readonly T[]): T {
  return among[prng.below(among.length)] as T;
}
