import { createHash } from 'node:crypto';
import type { ClusterResponse, Founder } from '@sluice/rpc/contract/cluster';

/**
 * Whether the nodes named in a common list may found a cluster now. Pure: the answers of all of them in, a verdict out.
 *
 * The usual shortcut, a majority that has not heard of a cluster founds one, lets a node that lost its disk vote a second
 * time under its old id. Here founding needs the answer of every founder, all of them blank. One that is a member already
 * has had those answers: it founded with exactly this incarnation of us, and then with its word we found as well; or it
 * remembers a disk that we do not have, and we are somebody new.
 */
export type FoundingVerdict =
  | { type: 'found'; founders: readonly Founder[]; clusterId: string }
  /** `missing` did not answer. */
  | { type: 'wait'; missing: readonly string[] }
  /** The cluster exists and we are not of it: ask for a place. */
  | { type: 'join'; coordinators: readonly { nodeId: number; address: string }[] }
  /** Founders were given different lists, or an address does not lead to the node it names. */
  | { type: 'contradiction'; message: string };

/** `founders` and the keys of `answers` are addresses; `own` is ours, whose answer is left out. */
export function foundingVerdict(
  own: { address: string; incarnation: string },
  founders: readonly string[],
  answers: ReadonlyMap<string, ClusterResponse>,
): FoundingVerdict {
  const incarnations = new Map<string, string>([[own.address, own.incarnation]]);
  const missing: string[] = [];
  for (const address of founders) {
    if (address === own.address) continue;
    const answer = answers.get(address);
    if (answer?.type === 'member') {
      const { clusterId, coordinators, foundedWith } = answer;
      const us = foundedWith.find((founder) => founder.address === own.address);
      // It has heard all founders, and what it heard from us is still so: its word is the founding.
      if (us?.incarnation === own.incarnation) return { type: 'found', founders: foundedWith, clusterId };
      return { type: 'join', coordinators };
    }
    if (answer?.type === 'blank') {
      if (answer.address !== address)
        return { type: 'contradiction', message: `the node at ${address} says that it is ${answer.address}` };
      if (!sameSet(answer.founders, founders))
        return {
          type: 'contradiction',
          message: `the node at ${address} was given another list: ${answer.founders.join(', ') || 'none'}`,
        };
      incarnations.set(address, answer.incarnation);
    } else missing.push(address);
  }
  if (missing.length > 0) return { type: 'wait', missing };
  return { type: 'found', ...foundersOf(incarnations) };
}

/** Ids by sorted address, and the cluster's id from all incarnations: every founder computes the same. */
export function foundersOf(incarnations: ReadonlyMap<string, string>): { founders: Founder[]; clusterId: string } {
  const founders = [...incarnations]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([address, incarnation], i): Founder => ({ nodeId: i + 1, address, incarnation }));
  const hash = createHash('sha256');
  for (const { address, incarnation } of founders) hash.update(`${address} ${incarnation}\n`);
  const hex = hash.digest('hex');
  // In the form people know identities by.
  const clusterId = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
  return { founders, clusterId };
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  const set = new Set(a);
  return set.size === new Set(b).size && b.every((item) => set.has(item));
}
