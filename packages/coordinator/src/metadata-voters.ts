import { hasRole, type NodeInfo } from '@sluice/meta/node-info';
import { successorOf } from '@sluice/meta/node-table';
import { isJoint, type MembershipChange } from '@sluice/raft/conf-change';
import type { Membership } from '@sluice/raft/entry';

/** Enough to survive two failures; more would only make every change slower. */
export const METADATA_VOTERS_MAX = 5;
/** Entries a learner may be behind and vote all the same: the metadata is small and rarely changes. */
const CAUGHT_UP_ENTRIES = 64;

/**
 * The next step that brings the voters of the metadata in line with the coordinators there are: those that are gone leave,
 * others take their places, and more are taken in only when the number stays odd, because an even one survives no more
 * failures and needs one more vote. Who joins learns first. Undefined: nothing to do, or nothing that can be done now.
 */
export function nextMetadataStep(view: VotersView): MetadataStep | undefined {
  const { membership, self } = view;
  if (isJoint(membership)) return undefined;
  const fits = (node: NodeInfo | undefined): boolean =>
    node !== undefined &&
    hasRole(node, 'coordinator') &&
    (node.state === 'active' || node.state === 'draining') &&
    !view.isImpaired(node.nodeId);
  const nodeOf = new Map(view.nodes.map((node) => [node.nodeId, node]));
  const staying = membership.voters.filter((nodeId) => fits(nodeOf.get(nodeId)));
  const leaving = membership.voters.filter((nodeId) => !fits(nodeOf.get(nodeId)));
  const candidates = candidatesOf(view, leaving, fits);
  const joining = candidates.slice(0, seatsFor(staying.length, candidates.length));
  const learnersToDrop = membership.learners.filter((nodeId) => !joining.includes(nodeId));
  const isReady = (nodeId: number): boolean => membership.learners.includes(nodeId) && view.isCaughtUp(nodeId);
  const ready = joining.filter(isReady);
  const learnersToAdd = joining.filter((nodeId) => !membership.learners.includes(nodeId));
  if (learnersToAdd.length > 0 || learnersToDrop.length > 0) {
    return { change: { addLearners: learnersToAdd, remove: learnersToDrop } };
  }
  // All at once, so that the number is odd in between too; but the gone do not wait for those who are slow to learn.
  const isComplete = ready.length === joining.length;
  if (isComplete && joining.length > 0) return leave({ addVoters: ready, remove: leaving }, self, staying);
  if (leaving.length > 0 && staying.length > 0) {
    const substitutes = ready.slice(0, leaving.length);
    return leave({ addVoters: substitutes, remove: leaving }, self, staying);
  }
  return undefined;
}

export interface VotersView {
  self: number;
  membership: Membership;
  nodes: readonly NodeInfo[];
  isAlive(nodeId: number): boolean;
  /** Its replica of the metadata cannot be trusted: it is out until that is wiped. */
  isImpaired(nodeId: number): boolean;
  /** Of a learner: it has what the others have. */
  isCaughtUp(nodeId: number): boolean;
}

export type MetadataStep = { change: MembershipChange } | { transferTo: number };

export function isCaughtUp(match: number, commit: number, recentlyActive: boolean): boolean {
  return recentlyActive && match > 0 && match + CAUGHT_UP_ENTRIES >= commit;
}

/** Who leads hands over before it is removed. */
function leave(change: MembershipChange, self: number, staying: readonly number[]): MetadataStep | undefined {
  if (!change.remove?.includes(self)) return { change };
  const to = staying.find((nodeId) => nodeId !== self);
  if (to !== undefined) return { transferTo: to };
  // The last one goes: who follows it must vote before it can lead.
  return change.addVoters === undefined || change.addVoters.length === 0
    ? undefined
    : { change: { addVoters: change.addVoters } };
}

/** Successors of those that leave first, then the oldest. */
function candidatesOf(
  view: VotersView,
  leaving: readonly number[],
  fits: (node: NodeInfo | undefined) => boolean,
): number[] {
  const successors = new Set<number>();
  for (const node of view.nodes) {
    if (!leaving.includes(node.nodeId)) continue;
    const successor = successorOf(node, view.nodes);
    if (successor !== undefined) successors.add(successor.nodeId);
  }
  const isMember = (nodeId: number): boolean => view.membership.learners.includes(nodeId);
  return view.nodes
    .filter((node) => fits(node) && !view.membership.voters.includes(node.nodeId) && view.isAlive(node.nodeId))
    .map(({ nodeId }) => nodeId)
    .sort(
      (a, b) =>
        Number(successors.has(b)) - Number(successors.has(a)) || Number(isMember(b)) - Number(isMember(a)) || a - b,
    );
}

/** How many of the candidates are taken in, so that the number of voters is odd. */
function seatsFor(staying: number, candidates: number): number {
  const total = Math.min(METADATA_VOTERS_MAX, staying + candidates);
  const odd = total % 2 === 1 ? total : total - 1;
  return Math.max(0, odd - staying);
}
