import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Topology } from '@sluice/meta/topology';
import { RouteTable } from '../../src/route/route-table.ts';
import { clusterOf } from '../doubles/cluster-image.ts';

let topology: Topology;
let routes: RouteTable;
let heard: string[];

beforeEach(() => {
  topology = clusterOf([1, 2, 3], 4);
  routes = new RouteTable(topology);
  heard = [];
  routes.onLeader((partition, nodeId) => heard.push(`${partition}:${nodeId}`));
});

function coordinatorSays(leaders: [partition: number, nodeId: number, term: number][], alive = [1, 2, 3]): void {
  topology.applyLiveness({
    leaders: leaders.map(([partition, nodeId, term]) => ({ partition, nodeId, term })),
    alive,
  });
  routes.topologyChanged();
}

describe('a leader', () => {
  test('is known from the coordinator, and told once', () => {
    coordinatorSays([[2, 3, 5]]);
    coordinatorSays([[2, 3, 5]]);
    expect(routes.leaderOf(2)).toBe(3);
    expect(routes.leaderOf(1)).toBe(0);
    expect(heard).toEqual(['2:3']);
  });

  test('is told again when it says itself what others said of it: only now it serves', () => {
    coordinatorSays([[1, 2, 5]]);
    routes.announced(1, 2, 5);
    expect(heard).toEqual(['1:2', '1:2']);
  });

  test('of a later term replaces one of an earlier, never the other way, whoever says it', () => {
    routes.announced(1, 2, 6);
    coordinatorSays([[1, 1, 5]]);
    routes.announced(1, 1, 5);
    expect(routes.leaderOf(1)).toBe(2);
    routes.announced(1, 3, 7);
    expect(heard).toEqual(['1:2', '1:3']);
    expect(topology.leaderOf(1)).toBe(3);
  });

  test('is not believed from a hint while one is known', () => {
    routes.announced(1, 2, 6);
    routes.hinted(1, 3);
    expect(routes.leaderOf(1)).toBe(2);
  });

  test('that refused is forgotten, and the hint believed; the coordinator’s older news changes nothing', () => {
    routes.announced(1, 2, 6);
    routes.suspect(1, 2);
    expect(routes.leaderOf(1)).toBe(0);
    routes.hinted(1, 3);
    coordinatorSays([[1, 2, 6]]);
    expect(routes.leaderOf(1)).toBe(3);
    coordinatorSays([[1, 1, 7]]);
    expect(routes.leaderOf(1)).toBe(1);
  });

  test('that was lost is not believed again by hearsay of the same term, but at its own word', () => {
    coordinatorSays([
      [1, 2, 6],
      [2, 2, 3],
      [3, 1, 3],
    ]);
    routes.lost(2);
    expect([1, 2, 3].map((partition) => routes.leaderOf(partition))).toEqual([0, 0, 1]);
    routes.topologyChanged();
    routes.hinted(1, 2);
    expect(routes.leaderOf(1)).toBe(0);
    routes.announced(1, 2, 6);
    expect(routes.leaderOf(1)).toBe(2);
  });

  test('is whoever took a batch, while nobody is known', () => {
    routes.confirmed(1, 3);
    routes.confirmed(1, 2);
    expect(routes.leaderOf(1)).toBe(3);
    expect(heard).toEqual(['1:3']);
  });
});

describe('asking around', () => {
  const round = (count: number): number[] =>
    Array.from({ length: count }, () => {
      const nodeId = routes.candidate(1);
      routes.suspect(1, nodeId);
      return nodeId;
    });

  test('goes through all replicas in each round', () => {
    const asked = round(9);
    for (let i = 0; i < 9; i += 3) expect([...asked.slice(i, i + 3)].sort()).toEqual([1, 2, 3]);
  });

  test('begins with those believed alive, and leaves nobody out', () => {
    coordinatorSays([], [3]);
    expect(round(3)[0]).toBe(3);
    expect(round(3).sort()).toEqual([1, 2, 3]);
  });

  test('two stores that hint at each other are not asked for ever: the third has its turn', () => {
    const asked: number[] = [];
    for (let i = 0; i < 12; i++) {
      const nodeId = routes.candidate(1);
      asked.push(nodeId);
      routes.suspect(1, nodeId);
      routes.hinted(1, nodeId === 1 ? 2 : nodeId === 2 ? 1 : 0);
    }
    expect(asked).toContain(3);
  });

  test('a partition that is not placed has nobody to ask', () => {
    expect(new RouteTable(clusterOf([], 1)).candidate(1)).toBe(0);
  });
});
