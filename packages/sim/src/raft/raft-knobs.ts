import type { Draw } from '../draw.ts';
import { drawDisk, drawFaultTimes, drawNetwork } from '../machine-knobs.ts';
import { MACHINE_FAULTS, type MachineFault, type NemesisKnobs } from '../nemesis.ts';
import type { DiskKnobs } from '../sim-disk.ts';
import type { NetworkKnobs } from '../sim-network.ts';
import { GROUP_FAULTS, type GroupFault } from './group-moves.ts';

/**
 * What a seed draws before its history begins. Each fault is in about half of the histories: all of them always would
 * hide what needs two of them and quiet from the rest.
 */
export interface RaftKnobs extends NemesisKnobs<GroupFault> {
  nodes: number;
  groups: number;
  disk: DiskKnobs;
  network: NetworkKnobs;
  segmentBytes: number;
  fillBytes: number;
  /** Proposals that leave at once. */
  batch: number;
  proposalEveryMs: number;
  /** Every how many bookings one is retired, so that entries die. */
  retireOneIn: number;
  safetyMs: number;
}

type Fault = MachineFault | GroupFault;

const ALL_FAULTS: readonly Fault[] = [...MACHINE_FAULTS, ...GROUP_FAULTS];

export function drawKnobs(draw: Draw, safetyMs: number): RaftKnobs {
  const nodes = draw.oneOf([1, 3, 3, 3, 4, 5]);
  const latencyMsMin = draw.oneOf([0.05, 0.5, 5]);
  const syncMsMin = draw.oneOf([0.05, 0.5, 4]);
  const faults = ALL_FAULTS.filter(() => draw.onceIn(2));
  const batch = draw.oneOf([1, 2, 20]);
  return {
    nodes,
    groups: draw.oneOf([1, 2, 3]),
    disk: drawDisk(draw, syncMsMin),
    network: drawNetwork(draw, latencyMsMin),
    segmentBytes: draw.oneOf([4_000, 16_000, 64_000, 1_000_000]),
    fillBytes: draw.oneOf([0, 40, 400, 4_000]),
    batch,
    proposalEveryMs: draw.oneOf(batch === 20 ? [300, 1_000] : [20, 60, 200]),
    retireOneIn: draw.oneOf([1, 1, 2, 10]),
    safetyMs,
    ...drawFaultTimes(draw),
    faults,
  };
}
