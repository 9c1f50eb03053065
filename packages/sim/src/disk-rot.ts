import { segmentFile } from '@sluice/storage/entry-log/segment/segment-header';
import type { Draw } from './draw.ts';
import type { SimMachine } from './sim-machine.ts';

/**
 * Bits of a machine's disk flip while it runs, in any of its files.
 *
 * The log's last frame is spared until another one is durable behind it: damage there cannot be told from a write that a
 * crash tore (storage/DESIGN.md, what counts as torn). Who starts on it has forgotten what it acknowledged, votes all the
 * same, and with one other that never had the entry is a majority without it. No protocol that keeps one copy of its end
 * survives that, so nobody is asked to; what rots earlier must be found.
 */
export function rotDisk(machine: SimMachine, draw: Draw, flips: number): void {
  const { disk, world, storage } = machine;
  const mark = storage?.entryLog.mark();
  const paths = disk.paths().filter((path) => !path.endsWith('/reserve'));
  const bits: { path: string; position: number; bit: number }[] = [];
  for (let i = flips; i > 0 && paths.length > 0; i--) {
    const path = draw.oneOf(paths);
    bits.push({ path, position: draw.between(0, Math.max(0, disk.sizeOf(path) - 1)), bit: draw.between(0, 7) });
  }
  if (mark === undefined) return;
  const isAhead = (path: string, position: number): boolean =>
    position >= mark.position && path.endsWith(`/${segmentFile(mark.segmentId)}`);
  const look = (): void => {
    // It died meanwhile: what its log ends with now may be what should rot.
    if (storage === undefined || machine.storage !== storage) return;
    const now = storage.entryLog.mark();
    if (now.segmentId === mark.segmentId && now.position === mark.position) {
      world.after(LOOK_MS, world.outside, look);
      return;
    }
    for (const { path, position, bit } of bits) {
      if (!isAhead(path, position) && disk.rot(path, position, bit)) machine.trace(`${path} rots at ${position}`);
    }
  };
  look();
}

const LOOK_MS = 10;
