import type { Draw } from './draw.ts';
import type { NemesisKnobs } from './nemesis.ts';
import type { DiskKnobs } from './sim-disk.ts';
import type { NetworkKnobs } from './sim-network.ts';

/** A disk as a seed has it, of which the fastest sync is known. */
export function drawDisk(draw: Draw, syncMsMin: number): DiskKnobs {
  const bytesPerMs = draw.oneOf([20_000, 500_000]);
  return { callMs: 0.02, bytesPerMs, syncMsMin, syncMsMax: syncMsMin * draw.oneOf([1, 3, 20]) };
}

/** The same disk with syncs of another length: where what is stored slowly is the matter. */
export function withSyncs(disk: DiskKnobs, draw: Draw, syncMsMin: number): DiskKnobs {
  return { ...disk, syncMsMin, syncMsMax: syncMsMin * draw.oneOf([1, 4]) };
}

/** Wires as a seed has them, of which the fastest way is known. */
export function drawNetwork(draw: Draw, latencyMsMin: number): NetworkKnobs {
  const latencyMsMax = latencyMsMin * draw.oneOf([1, 4, 20]);
  return { latencyMsMin, latencyMsMax, keepaliveMs: draw.oneOf([1_000, 5_000, 10_000]), callTimeoutMs: 5_000 };
}

/** How often something is done to somebody, and for how long. */
export function drawFaultTimes(draw: Draw): Omit<NemesisKnobs<never>, 'faults'> {
  return {
    faultEveryMs: draw.oneOf([300, 1_000, 3_000]),
    faultMsMax: draw.oneOf([300, 1_500, 6_000]),
    downMsMax: draw.oneOf([1, 200, 2_000, 8_000]),
  };
}
