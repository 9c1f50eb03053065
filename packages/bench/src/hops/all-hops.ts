import { applyHops } from './apply-hops.ts';
import { bestHops } from './best-hops.ts';
import { codecHops } from './codec-hops.ts';
import { dispatchHops } from './dispatch-hops.ts';
import type { Hop } from './hop.ts';
import { logHops } from './log-hops.ts';
import { recordHops } from './record-hops.ts';
import { streamHops } from './stream-hops.ts';
import { topicHops } from './topic-hops.ts';

/** In the order of the walks, after what the machine can do. */
export function allHops(): Hop[] {
  return [
    ...bestHops(),
    ...codecHops(),
    ...topicHops(),
    ...recordHops(),
    ...streamHops(),
    ...logHops(),
    ...applyHops(),
    ...dispatchHops(),
  ];
}

/** Those whose name is, or begins with, one of these, and what they are compared with; all, when none is named. */
export function hopsNamed(names: readonly string[]): Hop[] {
  const all = allHops();
  if (names.length === 0) return all;
  const named = all.filter(({ name }) => names.some((each) => name === each || name.startsWith(`${each}-`)));
  const limits = new Set(named.map(({ limit }) => limit));
  return all.filter((hop) => named.includes(hop) || limits.has(hop.name));
}
