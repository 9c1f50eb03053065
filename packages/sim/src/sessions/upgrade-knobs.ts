import { type ClusterKnobs, withUpgrade } from '../cluster/cluster-knobs.ts';
import type { Draw } from '../draw.ts';
import { withSessions } from './session-knobs.ts';

/** An upgrade under queues, and every other time under clients of kept sessions as well. */
export function withUpgradeOfAll(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  return withUpgrade(draw.onceIn(2) ? withSessions(knobs, draw) : knobs, draw);
}
