import { CLOCK_TOLERANCE_MS } from '@sluice/common/clock';
import { humanizeDuration } from '@sluice/common/human-duration';
import type { ClusterProblem } from '@sluice/rpc/contract/cluster-management';

/** The clock of a node, by its name. */
export interface ClockNamed {
  node: string;
  /** Of the time that most nodes have; undefined: most do not agree on any. */
  aheadMs?: number | undefined;
}

/**
 * Clocks that an operator has to set. `aliveCount`: for a moment after a coordinator came to lead it has not heard of most, which
 * is nothing to be told of; where it heard of all and they do not agree, nobody knows what time it is.
 */
export function clockProblems(clocks: readonly ClockNamed[], aliveCount: number): ClusterProblem[] {
  if (clocks.length >= aliveCount && clocks.length > 1 && clocks.every(({ aheadMs }) => aheadMs === undefined)) {
    const names = clocks.map(({ node }) => node).join(', ');
    return [
      {
        severity: 'failing',
        message: `The clocks of ${names} do not agree, and no majority of them does: each node goes by its own, and messages and sessions may expire early or late.`,
        hint: 'On each: date -u; timedatectl. Set those right that are wrong; nodes see it within seconds.',
      },
    ];
  }
  return clocks.flatMap(({ node, aheadMs = 0 }) => {
    if (Math.abs(aheadMs) <= CLOCK_TOLERANCE_MS) return [];
    const off = `${humanizeDuration(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'}`;
    return {
      severity: 'degraded',
      message: `The clock of ${node} is ${off} the others: it goes by their time, for as long as most of them agree.`,
      hint: `On ${node}: date -u; timedatectl; chronyc tracking. Set it right: nothing has to be restarted.`,
    };
  });
}
