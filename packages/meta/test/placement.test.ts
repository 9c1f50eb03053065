import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { PartitionInfo } from '../src/partition-info.ts';
import { changedPlacements, type PlacementStore, placePartitions } from '../src/placement.ts';

/** A cluster whose partitions follow every placement at once. */
class Cluster {
  stores: PlacementStore[] = [];
  partitions: PartitionInfo[];
  factor: number;
  silent = new Set<number>();
  lost = new Set<number>();
  #nextId = 1;

  constructor(partitionCount: number, factor: number) {
    this.factor = factor;
    this.partitions = Array.from({ length: partitionCount }, (_, i) => ({
      partition: i + 1,
      replicas: [],
      preferredLeader: 0,
      bootstrap: false,
    }));
  }

  join(rack = ''): number {
    this.stores.push({ nodeId: this.#nextId, rack, state: 'active' });
    return this.#nextId++;
  }

  state(nodeId: number, state: PlacementStore['state']): void {
    this.stores = this.stores.map((store) => (store.nodeId === nodeId ? { ...store, state } : store));
  }

  /** How many replicas came to a node that did not have them. */
  place(): number {
    const before = this.partitions;
    this.partitions = placePartitions({
      stores: this.stores,
      replicationFactor: this.factor,
      current: before,
      silent: this.silent,
      lost: this.lost,
    });
    let moves = 0;
    for (const [i, { replicas }] of this.partitions.entries()) {
      for (const nodeId of replicas) if (!before[i]?.replicas.includes(nodeId)) moves++;
    }
    return moves;
  }

  load(nodeId: number): number {
    return this.partitions.filter(({ replicas }) => replicas.includes(nodeId)).length;
  }

  leads(nodeId: number): number {
    return this.partitions.filter(({ preferredLeader }) => preferredLeader === nodeId).length;
  }

  staying(): PlacementStore[] {
    return this.stores.filter(({ state }) => state === 'active' || state === 'draining');
  }
}

function range(numbers: readonly number[]): number {
  return numbers.length === 0 ? 0 : Math.max(...numbers) - Math.min(...numbers);
}

function expectSound(cluster: Cluster): void {
  const staying = cluster.staying();
  const voters = Math.min(cluster.factor, staying.length);
  const rackOf = new Map(cluster.stores.map(({ nodeId, rack }) => [nodeId, rack]));
  const sizes = new Map<string, number>();
  for (const { rack } of staying) sizes.set(rack, (sizes.get(rack) ?? 0) + 1);
  for (const { replicas, preferredLeader } of cluster.partitions) {
    expect(new Set(replicas).size).toBe(replicas.length);
    if (voters > 0) expect(replicas.length).toBe(voters);
    if (preferredLeader !== 0) expect(replicas).toContain(preferredLeader);
    if (staying.length === 0) continue;
    // As many racks as there can be, and none has two more than another that still has a free node.
    const perRack = new Map([...sizes.keys()].map((rack) => [rack, 0]));
    for (const nodeId of replicas) {
      const rack = rackOf.get(nodeId) as string;
      perRack.set(rack, (perRack.get(rack) ?? 0) + 1);
    }
    for (const [rack, count] of perRack) {
      for (const [other, otherCount] of perRack) {
        if (otherCount < (sizes.get(other) ?? 0)) expect([rack, count - otherCount <= 1]).toEqual([rack, true]);
      }
    }
  }
  // Within a rack loads are even; over all nodes too when racks do not force anything else.
  for (const rack of sizes.keys()) {
    expect(
      range(staying.filter((store) => store.rack === rack).map(({ nodeId }) => cluster.load(nodeId))),
    ).toBeLessThanOrEqual(1);
  }
  if (sizes.size === 1) {
    expect(range(staying.map(({ nodeId }) => cluster.load(nodeId)))).toBeLessThanOrEqual(1);
  }
  for (const { nodeId, state } of cluster.stores) if (state !== 'active') expect(cluster.leads(nodeId)).toBe(0);
}

describe('places of partitions', () => {
  test('the first: even over nodes, every node leads its part', () => {
    const cluster = new Cluster(16, 3);
    for (let i = 0; i < 3; i++) cluster.join();
    expect(cluster.place()).toBe(48);
    expectSound(cluster);
    expect(range(cluster.stores.map(({ nodeId }) => cluster.leads(nodeId)))).toBe(1);
    expect(cluster.place()).toBe(0);
    expect(changedPlacements(cluster.partitions, cluster.partitions)).toEqual([]);
  });

  test('one node, then three, then five, and back: only what must moves', () => {
    const cluster = new Cluster(16, 1);
    cluster.join();
    expect(cluster.place()).toBe(16);
    cluster.factor = 3;
    cluster.join();
    cluster.join();
    expect(cluster.place()).toBe(32);
    expectSound(cluster);
    cluster.join();
    expect(cluster.place()).toBe(12);
    cluster.join();
    expect(cluster.place()).toBe(9);
    expectSound(cluster);
    expect(range(cluster.stores.map(({ nodeId }) => cluster.leads(nodeId)))).toBe(1);
    const held = cluster.load(5);
    cluster.state(5, 'leaving');
    expect(cluster.place()).toBe(held);
    cluster.state(4, 'leaving');
    expect(cluster.place()).toBe(12);
    cluster.factor = 1;
    expect(cluster.place()).toBe(0);
    expectSound(cluster);
    cluster.state(3, 'leaving');
    expect(cluster.place()).toBeLessThanOrEqual(6);
    cluster.state(2, 'leaving');
    cluster.place();
    expect(cluster.load(1)).toBe(16);
  });

  test('a node that is drained leads nothing, keeps its replicas, and gets its part back', () => {
    const cluster = new Cluster(16, 3);
    for (let i = 0; i < 4; i++) cluster.join();
    cluster.place();
    const held = cluster.load(2);
    cluster.state(2, 'draining');
    expect(cluster.place()).toBe(0);
    expect(cluster.leads(2)).toBe(0);
    expect(cluster.load(2)).toBe(held);
    expect(range([1, 3, 4].map((nodeId) => cluster.leads(nodeId)))).toBeLessThanOrEqual(1);
    cluster.state(2, 'active');
    expect(cluster.place()).toBe(0);
    expect(cluster.leads(2)).toBe(4);
  });

  test('a node that fell silent keeps its replicas; given up, others take them, if there are enough', () => {
    const cluster = new Cluster(8, 3);
    for (let i = 0; i < 3; i++) cluster.join();
    cluster.place();
    cluster.silent.add(3);
    expect(cluster.place()).toBe(0);
    expect(cluster.leads(3)).toBe(0);
    cluster.lost.add(3);
    expect(cluster.place()).toBe(0);
    expect(cluster.load(3)).toBe(8);
    cluster.join();
    expect(cluster.place()).toBe(8);
    expect([cluster.load(3), cluster.load(4)]).toEqual([0, 8]);
    // It is back after all, and takes its part.
    cluster.silent.clear();
    cluster.lost.clear();
    expect(cluster.place()).toBe(6);
    expectSound(cluster);
  });

  test('nothing new is put on a node that is silent or drained while others can take it', () => {
    const cluster = new Cluster(8, 1);
    for (let i = 0; i < 4; i++) cluster.join();
    cluster.silent.add(1);
    cluster.state(2, 'draining');
    cluster.place();
    expect([1, 2, 3, 4].map((nodeId) => cluster.load(nodeId))).toEqual([0, 0, 4, 4]);
  });

  test('racks come before even loads', () => {
    const cluster = new Cluster(9, 2);
    cluster.join('a');
    for (let i = 0; i < 3; i++) cluster.join('b');
    cluster.place();
    expect(cluster.load(1)).toBe(9);
    expect([2, 3, 4].map((nodeId) => cluster.load(nodeId))).toEqual([3, 3, 3]);
    expectSound(cluster);
  });

  test('very many partitions: as even, and a join moves about its part', () => {
    const cluster = new Cluster(300, 3);
    for (let i = 0; i < 5; i++) cluster.join(`rack ${i % 3}`);
    cluster.place();
    expectSound(cluster);
    expect(cluster.place()).toBe(0);
    cluster.join('rack 2');
    const moves = cluster.place();
    expectSound(cluster);
    expect(cluster.load(6)).toBe(150);
    expect(moves).toBeLessThan(165);
    expect(range(cluster.stores.map(({ nodeId }) => cluster.leads(nodeId)))).toBeLessThanOrEqual(1);
  });

  test('without any store that stays, everything stays where it is', () => {
    const cluster = new Cluster(4, 3);
    cluster.place();
    expect(cluster.partitions.every(({ replicas, preferredLeader }) => replicas.length + preferredLeader === 0)).toBe(
      true,
    );
    cluster.join();
    cluster.place();
    cluster.state(1, 'leaving');
    expect(cluster.place()).toBe(0);
    expect(cluster.load(1)).toBe(4);
  });

  test('a partition whose replicas may still begin its log stays, whatever happens to them', () => {
    const cluster = new Cluster(4, 2);
    for (let i = 0; i < 3; i++) cluster.join();
    cluster.place();
    cluster.partitions = cluster.partitions.map((info) => ({ ...info, bootstrap: info.partition === 1 }));
    const { replicas } = cluster.partitions[0] as PartitionInfo;
    cluster.state(replicas[0] as number, 'leaving');
    cluster.place();
    expect(cluster.partitions[0]?.replicas).toEqual(replicas);
    expect(cluster.partitions[0]?.preferredLeader).toBe(replicas[1]);
  });

  test('hold what they promise after any history of nodes', () => {
    const event = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('join' as const), n: fc.nat(2) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constantFrom('leaving' as const, 'draining' as const, 'active' as const, 'gone' as const),
          n: fc.nat(9),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('rack' as const), n: fc.nat(9) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('factor' as const), n: fc.constantFrom(1, 2, 3, 5) }) },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(event, { minLength: 1, maxLength: 12 }),
        (partitionCount, racks, events) => {
          const cluster = new Cluster(partitionCount, 3);
          for (const { do: action, n } of events) {
            const wasOne = new Set(cluster.stores.map(({ rack }) => rack)).size <= 1;
            const target = cluster.stores[n % Math.max(1, cluster.stores.length)];
            if (action === 'join') cluster.join(`rack ${n % racks}`);
            else if (action === 'factor') cluster.factor = n;
            else if (target === undefined) continue;
            else if (action === 'rack') {
              cluster.stores = cluster.stores.map((store) =>
                store === target ? { ...store, rack: `rack ${(n + 1) % racks}` } : store,
              );
            } else if (target.state !== 'gone') cluster.state(target.nodeId, action);
            const held = target === undefined ? 0 : cluster.load(target.nodeId);
            const before = new Map(cluster.stores.map(({ nodeId }) => [nodeId, cluster.load(nodeId)]));
            const moves = cluster.place();
            if (cluster.staying().some(({ state }) => state === 'active')) {
              if (cluster.stores.every(({ state }) => state !== 'draining')) expectSound(cluster);
              if (wasOne && racks === 1 && cluster.stores.every(({ state }) => state !== 'draining')) {
                // Least movement: nobody took more than it lacks in the end.
                let lacked = 0;
                for (const { nodeId } of cluster.staying()) {
                  lacked += Math.max(0, cluster.load(nodeId) - (before.get(nodeId) ?? 0));
                }
                expect(moves).toBe(lacked);
                if (action === 'leaving') expect(moves).toBeLessThanOrEqual(held + partitionCount);
              }
            }
            expect(cluster.place()).toBe(0);
          }
        },
      ),
      { numRuns: 100, seed: 7 },
    );
  });
});
