import type { NodeTrouble } from '@sluice/meta/cluster-liveness';
import type { NodeLiveness } from './node-liveness.ts';

/**
 * Nodes that are heard of and cannot do all they should. A node whose disk refuses publishes answers every question and
 * reports every second: by its life alone all would seem well with it. One that was killed counts as heard of for seconds more,
 * whatever its role, and nothing of it shows in copies where it keeps none.
 */
export function nodeTroubles(
  alive: readonly number[],
  liveness: Pick<NodeLiveness, 'isParted' | 'report'>,
): NodeTrouble[] {
  return alive.flatMap((nodeId): NodeTrouble[] => {
    if (liveness.isParted(nodeId)) return [{ nodeId, kind: 'parted' }];
    const disk = liveness.report(nodeId)?.disk;
    return disk === undefined ? [] : [{ nodeId, kind: disk }];
  });
}
