/** Why a message that was acknowledged may have been delivered to nobody. */
export const DROP_REASONS = ['purged', 'retention', 'overflow', 'overwritten'] as const;
export type DropReason = (typeof DROP_REASONS)[number];
export type DropCounts = Readonly<Record<DropReason, number>>;

/**
 * Whether what is missing can be told by what a queue counted, each message by one reason that it may have had and each
 * count for one message. That is so when no set of reasons has more messages that had no other one than were counted for
 * these reasons (Hall's theorem); four reasons have fifteen sets. @returns what is not explained; undefined: all is.
 */
export function unexplainedDrops(missing: Iterable<ReadonlySet<DropReason>>, counts: DropCounts): string | undefined {
  const byReasons = new Map<number, number>();
  for (const reasons of missing) {
    let bits = 0;
    for (const [i, reason] of DROP_REASONS.entries()) if (reasons.has(reason)) bits |= 1 << i;
    byReasons.set(bits, (byReasons.get(bits) ?? 0) + 1);
  }
  for (let set = 0; set < 1 << DROP_REASONS.length; set++) {
    let messages = 0;
    for (const [bits, count] of byReasons) if ((bits & ~set) === 0) messages += count;
    let counted = 0;
    const names = DROP_REASONS.filter((_, i) => (set & (1 << i)) !== 0);
    for (const name of names) counted += counts[name];
    if (messages > counted) {
      return `${messages} may have gone by ${names.join(', ') || 'nothing'} alone, ${counted} are counted`;
    }
  }
  return undefined;
}
