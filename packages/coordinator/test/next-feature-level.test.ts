import { expect, test } from '@jest/globals';
import { FIRST_LEVEL, type LevelRange } from '@sluice/meta/feature-levels';
import type { NodeInfo } from '@sluice/meta/node-info';
import { NodeLiveness } from '../src/liveness/node-liveness.ts';
import { nextFeatureLevel } from '../src/next-feature-level.ts';
import { nodeInfo } from './support/test-cluster.ts';

function next(maxima: readonly (number | undefined)[], over: Partial<Parameters<typeof nextFeatureLevel>[0]> = {}) {
  const nodes = maxima.map((_, i) => nodeInfo(i + 1, ['store']));
  const levelsOf = (nodeId: number): LevelRange | undefined => {
    const max = maxima[nodeId - 1];
    return max === undefined ? undefined : { min: 1, max };
  };
  return nextFeatureLevel({ featureLevel: FIRST_LEVEL, nodes, levelsOf, ...over });
}

test('rises to the lowest of what all support, and never falls', () => {
  expect(next([2, 2, 2])).toBe(2);
  expect(next([4, 3, 5])).toBe(3);
  expect(next([3, 1, 3])).toBeUndefined();
  expect(next([2, 2], { featureLevel: { level: 3, isHeld: false } })).toBeUndefined();
  expect(next([])).toBeUndefined();
});

test('stays for a node that is not heard of, until that is gone, and while it is held', () => {
  expect(next([2, undefined, 2])).toBeUndefined();
  const nodes: NodeInfo[] = [nodeInfo(1, ['store']), nodeInfo(2, ['store'], { state: 'gone' })];
  expect(next([2, undefined], { nodes })).toBe(2);
  expect(next([3, 3], { featureLevel: { level: 2, isHeld: true } })).toBeUndefined();
});

test('a node that comes back says anew what it supports: it may be another build', () => {
  const liveness = new NodeLiveness();
  const report = { leads: [], impaired: [], replicas: [], consumers: [] };
  liveness.begin(0);
  liveness.opened(1);
  expect(liveness.levels(1, 10)).toBeUndefined();
  expect(liveness.reported(1, { ...report, levels: { min: 1, max: 3 } }, 10)).toBe(true);
  expect(liveness.reported(1, { ...report, levels: { min: 1, max: 3 } }, 20)).toBe(false);
  expect(liveness.levels(1, 20)).toEqual({ min: 1, max: 3 });
  liveness.closed(1, 30);
  expect(liveness.levels(1, 30)).toBeUndefined();
  liveness.opened(1);
  expect(liveness.levels(1, 40)).toBeUndefined();
  expect(liveness.reported(1, report, 50)).toBe(true);
  expect(liveness.levels(1, 50)).toEqual({ min: 1, max: 1 });
  expect(liveness.levelsOf([1, 2], 60)).toEqual([{ nodeId: 1, min: 1, max: 1 }]);
});
