import type { SequenceVerdict } from '../load/sequence-verdict.ts';
import type { DiskCount, FigureName, Figures, Measurement, SyncFinding } from '../run/measurement.ts';

/** All rounds of one peer under one workload: medians, and how far the rounds lie apart. */
export interface PeerResult {
  peer: string;
  workload: string;
  rounds: number;
  median: Figures;
  least: Figures;
  most: Figures;
  /** Added up. */
  sequences: SequenceVerdict | undefined;
  sync: SyncFinding | undefined;
  disk: DiskCount | undefined;
  shares: number[] | undefined;
  notes: string[];
}

export function resultsOf(measurements: readonly Measurement[]): PeerResult[] {
  const groups = new Map<string, Measurement[]>();
  for (const measurement of measurements) {
    const key = `${measurement.workload} ${measurement.peer}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [measurement]);
    else group.push(measurement);
  }
  return [...groups.values()].map(resultOf);
}

function resultOf(group: Measurement[]): PeerResult {
  const first = group[0] as Measurement;
  const result: PeerResult = {
    peer: first.peer,
    workload: first.workload,
    rounds: group.filter(({ figures }) => Object.keys(figures).length > 0).length,
    median: {},
    least: {},
    most: {},
    sequences: undefined,
    sync: group.find(({ sync }) => sync !== undefined)?.sync,
    disk: group.find(({ disk }) => disk !== undefined)?.disk,
    shares: group.find(({ shares }) => shares !== undefined)?.shares,
    notes: [...new Set(group.flatMap(({ notes }) => notes))],
  };
  for (const name of new Set(group.flatMap(({ figures }) => Object.keys(figures) as FigureName[]))) {
    const values = group.flatMap(({ figures }) => figures[name] ?? []).sort((a, b) => a - b);
    result.median[name] = median(values);
    result.least[name] = values[0] as number;
    result.most[name] = values.at(-1) as number;
  }
  for (const { sequences } of group) {
    if (sequences === undefined) continue;
    const sum = result.sequences ?? { lost: 0, duplicated: 0, outOfOrder: 0, foreign: 0 };
    sum.lost += sequences.lost;
    sum.duplicated += sequences.duplicated;
    sum.outOfOrder += sequences.outOfOrder;
    sum.foreign += sequences.foreign;
    result.sequences = sum;
  }
  return result;
}

/** Of an even number, the mean of the two in the middle. */
export function median(sorted: readonly number[]): number {
  const middle = sorted.length / 2;
  const above = sorted[Math.floor(middle)] as number;
  return Number.isInteger(middle) ? (above + (sorted[middle - 1] as number)) / 2 : above;
}
