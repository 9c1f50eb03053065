import type { NodeInfo } from './node-info.ts';
import type { PartitionInfo } from './partition-info.ts';
import { type SpreadCost, type SpreadTask, spread } from './spread.ts';

/**
 * Where partitions shall live and who shall lead them: a pure function of the stores and of where they live now. Racks
 * come before even loads, because a rack that fails takes everything in it; even loads come before rest, because a node
 * that joins is to carry its part; and nothing moves that need not.
 *
 * A node that only just fell silent keeps its replicas: it is back sooner than they could be copied. One that is given
 * up (`lost`) keeps them only while there are too few others: a majority is counted over voters, and taking the dead
 * one out of three gains nothing until there is a third to take its place.
 */
export function placePartitions(input: PlacementInput): PartitionInfo[] {
  const replicas = placeReplicas(input);
  const leaders = placeLeaders(input, replicas);
  return input.current.map((former, i) => ({
    partition: former.partition,
    replicas: replicas[i] as readonly number[],
    preferredLeader: leaders[i] as number,
    bootstrap: former.bootstrap,
  }));
}

/** Those of `placed` that differ from `current`, the order of replicas aside. */
export function changedPlacements(
  current: readonly PartitionInfo[],
  placed: readonly PartitionInfo[],
): readonly PartitionInfo[] {
  return placed.filter((to, i) => {
    const was = current[i];
    return was === undefined || was.preferredLeader !== to.preferredLeader || !isSameSet(was.replicas, to.replicas);
  });
}

export interface PlacementInput {
  /** Nodes that have the role; those that are gone are ignored. */
  stores: readonly PlacementStore[];
  replicationFactor: number;
  /** Partition 1 first; without replicas while it was never placed. */
  current: readonly PartitionInfo[];
  /** Silent at the moment: they lead nothing, and nothing new is put there when it can be elsewhere. */
  silent: ReadonlySet<number>;
  /** Silent for so long that others take their place. */
  lost: ReadonlySet<number>;
}

export interface PlacementStore {
  nodeId: number;
  rack: string;
  state: NodeInfo['state'];
}

function placeReplicas(input: PlacementInput): (readonly number[])[] {
  const { replicationFactor, current, silent, lost } = input;
  const staying = input.stores.filter(({ state }) => state === 'active' || state === 'draining');
  const sound = staying.filter(({ nodeId }) => !lost.has(nodeId));
  const stores = sound.length >= replicationFactor ? sound : staying;
  if (stores.length === 0) return current.map(({ replicas }) => replicas);
  const racks = [...new Set(stores.map(({ rack }) => rack))];
  const columns = spreadAll({
    // While its replicas may still begin their log, a partition stays where it is.
    unitsOfRow: current.map(({ bootstrap }) => (bootstrap ? 0 : Math.min(replicationFactor, stores.length))),
    columns: stores.length,
    groupOfColumn: stores.map(({ rack }) => racks.indexOf(rack)),
    cost: (row, column): SpreadCost | undefined => {
      const { nodeId, state } = stores[column] as PlacementStore;
      if (current[row]?.replicas.includes(nodeId)) return 'stays';
      if (lost.has(nodeId)) return undefined;
      return silent.has(nodeId) || state === 'draining' ? 'avoids' : 'moves';
    },
  });
  return current.map(({ replicas, bootstrap }, row) => {
    if (bootstrap) return replicas;
    const chosen = (columns[row] as number[]).map((column) => (stores[column] as PlacementStore).nodeId);
    if (chosen.length === 0) return replicas;
    const added = chosen.filter((nodeId) => !replicas.includes(nodeId)).sort((a, b) => a - b);
    return [...replicas.filter((nodeId) => chosen.includes(nodeId)), ...added];
  });
}

function placeLeaders(input: PlacementInput, replicas: readonly (readonly number[])[]): number[] {
  const { current, silent, lost } = input;
  const able = input.stores
    .filter(({ nodeId, state }) => state === 'active' && !silent.has(nodeId) && !lost.has(nodeId))
    .map(({ nodeId }) => nodeId);
  const columns = spreadAll({
    unitsOfRow: current.map(() => 1),
    columns: able.length,
    groupOfColumn: able.map(() => 0),
    cost: (row, column) => {
      const nodeId = able[column] as number;
      if (!replicas[row]?.includes(nodeId)) return undefined;
      return current[row]?.preferredLeader === nodeId ? 'stays' : 'moves';
    },
  });
  return columns.map((chosen) => able[chosen[0] ?? -1] ?? 0);
}

/** Partitions up to which the best of all is looked for; beyond, it is looked for in parts. */
const EXACT_ROWS_MAX = 256;
const PART_ROWS = 64;
const ROUNDS = 2;

/**
 * As `spread`. Many rows are taken in parts, each in view of what all the others carry, because the time grows with the
 * square of the rows: loads end as even, a little more may move.
 */
function spreadAll(task: Omit<SpreadTask, 'baseLoads'>): number[][] {
  const { unitsOfRow, columns, groupOfColumn } = task;
  const loads = new Array<number>(columns).fill(0);
  const rows = unitsOfRow.length;
  if (rows <= EXACT_ROWS_MAX) return spread({ ...task, baseLoads: loads });
  const count = (column: number, change: number): void => {
    loads[column] = (loads[column] as number) + change;
  };
  let found = unitsOfRow.map((units, row) =>
    units === 0 ? [] : [...loads.keys()].filter((column) => task.cost(row, column) === 'stays'),
  );
  for (const chosen of found) for (const column of chosen) count(column, 1);
  // What an early part took from a full column a later one could not know of: once more evens that out.
  for (let round = 0; round < ROUNDS; round++) {
    const next: number[][] = [];
    for (let first = 0; first < rows; first += PART_ROWS) {
      for (const chosen of found.slice(first, first + PART_ROWS)) for (const column of chosen) count(column, -1);
      const part = spread({
        unitsOfRow: unitsOfRow.slice(first, first + PART_ROWS),
        columns,
        groupOfColumn,
        baseLoads: loads,
        cost: (row, column) => task.cost(first + row, column),
      });
      for (const chosen of part) for (const column of chosen) count(column, 1);
      next.push(...part);
    }
    found = next;
  }
  return found;
}

function isSameSet(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((nodeId) => b.includes(nodeId));
}
