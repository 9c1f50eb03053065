import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import { median } from '../report/peer-results.ts';
import type { Hop, PreparedHop } from './hop.ts';

export interface HopFigures {
  name: string;
  /** Processor time of the process a message, all its threads, collecting garbage included. Median of the slices. */
  ns: number;
  nsLeast: number;
  nsMost: number;
  /** Allocated a message, in the heap and beside it. */
  bytes: number;
}

/** A slice that something else disturbed is one of several. */
const SLICES = 7;
const WARM_UP_SHARE = 0.5;
/** Short of what fills the young generation: a collection in between is the exception. */
const WINDOWS = 33;

/** `measureMs` of rounds, cut into slices, after half as much to warm up. */
export async function measureHop(hop: Hop, directory: string, measureMs: number): Promise<HopFigures> {
  const own = join(directory, hop.name);
  await mkdir(own);
  const prepared = await hop.prepare(own);
  try {
    await runFor(prepared, measureMs * WARM_UP_SHARE);
    const slices: number[] = [];
    for (let slice = 0; slice < SLICES; slice++) {
      const before = process.cpuUsage();
      const messages = await runFor(prepared, measureMs / SLICES);
      const { user, system } = process.cpuUsage(before);
      slices.push(((user + system) * 1000) / messages);
    }
    slices.sort((a, b) => a - b);
    return {
      name: hop.name,
      ns: median(slices),
      nsLeast: slices[0] as number,
      nsMost: slices.at(-1) as number,
      bytes: await allocatedBy(prepared),
    };
  } finally {
    await prepared.close?.();
    await rm(own, { recursive: true, force: true });
  }
}

/** At least one round; how many messages it was. */
async function runFor(prepared: PreparedHop, ms: number): Promise<number> {
  const endMs = performance.now() + ms;
  let messages = 0;
  do {
    const pending = prepared.round();
    if (pending !== undefined) await pending;
    messages += prepared.messages;
  } while (performance.now() < endMs);
  return messages;
}

/** A window in which garbage was collected shows too little, and the median is none of those. */
async function allocatedBy(prepared: PreparedHop): Promise<number> {
  const windows: number[] = [];
  for (let window = 0; window < WINDOWS; window++) {
    const before = allocatedBytes();
    const pending = prepared.round();
    if (pending !== undefined) await pending;
    windows.push(allocatedBytes() - before);
  }
  windows.sort((a, b) => a - b);
  return Math.max(0, median(windows) / prepared.messages);
}

function allocatedBytes(): number {
  const heap = getHeapStatistics();
  return heap.used_heap_size + heap.external_memory;
}
