import type { FeatureLevel, LevelRange } from '@sluice/meta/feature-levels';
import type { NodeInfo } from '@sluice/meta/node-info';

/**
 * To which level the cluster may rise now: the lowest maximum of all nodes it knows; undefined while it is to stay. A node
 * that is down counts, and nobody knows what it will be when it comes back, so it holds the level where it is: what all
 * can read, it can. One that never comes back is to leave.
 */
export function nextFeatureLevel(view: {
  featureLevel: FeatureLevel;
  nodes: readonly NodeInfo[];
  /** Undefined: it is not connected, or has not said so yet. */
  levelsOf: (nodeId: number) => LevelRange | undefined;
}): number | undefined {
  const { level, isHeld } = view.featureLevel;
  if (isHeld) return undefined;
  let lowest = Number.POSITIVE_INFINITY;
  for (const { nodeId, state } of view.nodes) {
    if (state !== 'gone') lowest = Math.min(lowest, view.levelsOf(nodeId)?.max ?? 0);
  }
  return lowest > level && Number.isFinite(lowest) ? lowest : undefined;
}
