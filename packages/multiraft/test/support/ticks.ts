import { jest } from '@jest/globals';
import { PeerWatch } from '../../src/peers/peer-watch.ts';
import { GroupTicker } from '../../src/tick/group-ticker.ts';

/**
 * Elections count ticks, and a busy machine makes fewer of them in a second: what is a matter of election timeouts is
 * counted in ticks here as well. Undone by `jest.restoreAllMocks`.
 */

/** How many the node that had the fewest has had since. */
export function countTicks(): () => number {
  const tick = jest.spyOn(GroupTicker.prototype, 'tick');
  return () => {
    const counts = new Map<GroupTicker, number>();
    tick.mock.calls.forEach(([, , ticks], i) => {
      const ticker = tick.mock.contexts[i] as GroupTicker;
      counts.set(ticker, (counts.get(ticker) ?? 0) + ticks);
    });
    return counts.size === 0 ? 0 : Math.min(...counts.values());
  };
}

/**
 * No group ticks from now on, so that no election timeout ends: who leads afterwards was told to stand. Whose turn is the
 * second waits for so long that the first, however slow, is not disturbed.
 */
export function ticksStand(): void {
  jest.spyOn(GroupTicker.prototype, 'tick').mockImplementation(function (this: GroupTicker, _replicas, nowMs) {
    this.begin(nowMs);
    return true;
  });
  jest.replaceProperty(PeerWatch, 'TURN_MS', 2_000 as typeof PeerWatch.TURN_MS);
}
