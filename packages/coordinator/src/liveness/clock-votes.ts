import { CLOCK_TOLERANCE_MS } from '@sluice/common/clock';
import type { ClockReading, ClockView } from '@sluice/rpc/contract/topology-feed';

/**
 * Which time the cluster has, as the clocks of its nodes say. No clock is right by itself, that of the coordinator as little
 * as others; most of those that live decide. They are compared at this node's monotonic clock, of which nothing but its pace
 * is used: a reading that was a second on its way looks a second behind, which is far from what clocks may differ by.
 *
 * First count the clocks of the machines. Where most of them do not agree, as of two of which one was stepped, it is what nodes
 * go by: whose clock jumped goes on as before until others agree with it. Where most do not agree on that either,
 * nobody knows what time it is, and nobody is told anything.
 *
 * Time is an argument.
 */
export class ClockVotes {
  readonly #heard = new Map<number, { reading: ClockReading; atMs: number }>();

  /** Nodes report every second; one that has not for longer has no vote. */
  static readonly HEARD_MS_MAX = 5_000;

  clear(): void {
    this.#heard.clear();
  }

  heard(nodeId: number, reading: ClockReading | undefined, atMs: number): void {
    if (reading === undefined) this.#heard.delete(nodeId);
    else this.#heard.set(nodeId, { reading, atMs });
  }

  /** Of `alive` those that are heard, and how far each is ahead of what most of `alive` say. */
  views(alive: readonly number[], nowMs: number): ClockView[] {
    const votes = alive.flatMap((nodeId) => {
      const heard = this.#heard.get(nodeId);
      if (heard === undefined || nowMs - heard.atMs > ClockVotes.HEARD_MS_MAX) return [];
      const { reading, atMs } = heard;
      return { nodeId, reading, wall: reading.wallMs - atMs, held: reading.nowMs - atMs };
    });
    const majority = Math.floor(alive.length / 2) + 1;
    const time =
      agreed(
        votes.map(({ wall }) => wall),
        majority,
      ) ??
      agreed(
        votes.map(({ held }) => held),
        majority,
      );
    return votes.map(({ nodeId, reading: { wallMs, monotonicMs }, wall }) => {
      const view = { nodeId, wallMs, monotonicMs };
      return time === undefined ? view : { ...view, aheadMs: Math.round(wall) - Math.round(time) };
    });
  }
}

/** The middle of the closest so many; undefined: they are not that close. */
function agreed(offsets: readonly number[], count: number): number | undefined {
  const sorted = [...offsets].sort((a, b) => a - b);
  let best: number | undefined;
  let width = CLOCK_TOLERANCE_MS;
  for (let i = 0; i + count <= sorted.length; i++) {
    const spread = (sorted[i + count - 1] as number) - (sorted[i] as number);
    if (spread > width || (best !== undefined && spread === width)) continue;
    width = spread;
    best = sorted[i + ((count - 1) >> 1)];
  }
  return best;
}
