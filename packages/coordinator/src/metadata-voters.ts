import { hasRole, type NodeInfo } from '@sluice/meta/node-info';
import { successorOf } from '@sluice/meta/node-table';
import { isJoint, type MembershipChange } from '@sluice/raft/conf-change';
import type { Membership } from '@sluice/raft/entry';

/** Enough to survive two failures; more would only make every change slower. */
export const METADATA_VOTERS_MAX = 5;
/** Entries a learner may be behind and vote all the same: the metadata is small and rarely changes. */
const CAUGHT_UP_ENTRIES = 64;

/**
 * The next step that brings the voters of the metadata in line with the coordinators there are. Undefined: nothing to do, or
 * nothing that can be done now.
 *
 * 1. Who is to vote learns first; learners that are not wanted go. Neither touches a majority.
 * 2. Whoever leaves, or is gone, is exchanged for a newcomer that has caught up, in one joint change, so that the group is
 *    never smaller on the way. While only some of the newcomers are fit, each of those takes the place of one of the leaving,
 *    the unfit first; the others wait. Only for whom nobody is there, nor about to be, leaves without a substitute. A
 *    learner that stands still is not about to be: anybody else takes its place, and without anybody it is not waited for.
 * 3. Beyond that more are taken in only when the number becomes odd: an even one survives no more failures.
 * 4. Who leads hands over before it leaves. Where nobody stays, the newcomers are made voters beside it first.
 *
 * Whatever happens, a change is proposed only if a majority of the voters it leads to is fit: the group must not be led into
 * a membership that could commit nothing.
 */
export function nextMetadataStep(view: VotersView): MetadataStep | undefined {
  const { membership } = view;
  if (isJoint(membership)) return undefined;
  const { staying, leaving, candidates, isOneAwaited } = castOf(view);
  const joining = candidates.slice(0, seatsFor(staying.length, leaving.length, candidates.length));
  const learnersToAdd = joining.filter((nodeId) => !membership.learners.includes(nodeId));
  const learnersToDrop = membership.learners.filter((nodeId) => !joining.includes(nodeId));
  if (learnersToAdd.length > 0 || learnersToDrop.length > 0) {
    return { change: { addLearners: learnersToAdd, remove: learnersToDrop } };
  }
  const ready = joining.filter((nodeId) => isFit(view, nodeId));
  const learning = joining.filter((nodeId) => !ready.includes(nodeId) && !view.standsStill(nodeId));
  const mustWait = learning.length > 0 || (ready.length < leaving.length && isOneAwaited);
  const going = mustWait ? inOrderOfLeaving(view, leaving).slice(0, ready.length) : leaving;
  const promoted = ready.length < joining.length ? ready.slice(0, going.length) : ready;
  return exchange(view, promoted, going, staying);
}

export interface VotersView {
  self: number;
  membership: Membership;
  nodes: readonly NodeInfo[];
  isAlive(nodeId: number): boolean;
  /** Of one that is not alive: not for long, so it may well be back. */
  isAwaited(nodeId: number): boolean;
  /** Its replica of the metadata cannot be trusted: it is out until that is wiped. */
  isImpaired(nodeId: number): boolean;
  /** Of another member: it answers, and has what the others have. */
  isCaughtUp(nodeId: number): boolean;
  /** Of a learner: it has come no further for long. */
  standsStill(nodeId: number): boolean;
}

export type MetadataStep = { change: MembershipChange } | { transferTo: number };

export function isCaughtUp(match: number, commit: number): boolean {
  return match > 0 && match + CAUGHT_UP_ENTRIES >= commit;
}

/** Who votes and may go on, who votes and shall not, and who could vote instead, best first. */
function castOf(view: VotersView): Cast {
  const { nodes } = view;
  const { voters } = view.membership;
  const able = new Set<number>();
  for (const node of nodes) {
    const isStaying = node.state === 'active' || node.state === 'draining';
    if (isStaying && hasRole(node, 'coordinator') && !view.isImpaired(node.nodeId)) able.add(node.nodeId);
  }
  const leaving = voters.filter((nodeId) => !able.has(nodeId));
  const spares = [...able].filter((nodeId) => !voters.includes(nodeId));
  return {
    staying: voters.filter((nodeId) => able.has(nodeId)),
    leaving,
    candidates: inOrderOfJoining(
      view,
      spares.filter((nodeId) => view.isAlive(nodeId)),
      leaving,
    ),
    isOneAwaited: spares.some((nodeId) => !view.isAlive(nodeId) && view.isAwaited(nodeId)),
  };
}

interface Cast {
  staying: readonly number[];
  leaving: readonly number[];
  candidates: readonly number[];
  isOneAwaited: boolean;
}

function exchange(
  view: VotersView,
  promoted: readonly number[],
  going: readonly number[],
  staying: readonly number[],
): MetadataStep | undefined {
  const { self } = view;
  if (!going.includes(self)) return safeChange(view, promoted, going);
  const heir = staying.find((nodeId) => isFit(view, nodeId));
  if (heir === undefined) {
    const others = going.filter((nodeId) => nodeId !== self);
    return safeChange(view, promoted, others);
  }
  return safeChange(view, promoted, going) === undefined ? undefined : { transferTo: heir };
}

function safeChange(view: VotersView, promoted: readonly number[], going: readonly number[]): MetadataStep | undefined {
  if (promoted.length === 0 && going.length === 0) return undefined;
  const voters = [...view.membership.voters.filter((nodeId) => !going.includes(nodeId)), ...promoted];
  const fit = voters.filter((nodeId) => isFit(view, nodeId)).length;
  return fit > voters.length / 2 ? { change: { addVoters: promoted, remove: going } } : undefined;
}

function isFit(view: VotersView, nodeId: number): boolean {
  return !view.isImpaired(nodeId) && (nodeId === view.self || view.isCaughtUp(nodeId));
}

/** The unfit first, who leads last. */
function inOrderOfLeaving(view: VotersView, leaving: readonly number[]): number[] {
  const rank = (nodeId: number): number => (nodeId === view.self ? 2 : isFit(view, nodeId) ? 1 : 0);
  return [...leaving].sort((a, b) => rank(a) - rank(b) || a - b);
}

/** Successors of those that leave first, then those that learn already, then the oldest; who stands still comes last. */
function inOrderOfJoining(view: VotersView, candidates: readonly number[], leaving: readonly number[]): number[] {
  const successors = new Set<number>();
  for (const node of view.nodes) {
    if (leaving.includes(node.nodeId)) successors.add(successorOf(node, view.nodes)?.nodeId ?? 0);
  }
  const rank = (nodeId: number): number => {
    if (view.standsStill(nodeId)) return 3;
    return successors.has(nodeId) ? 0 : view.membership.learners.includes(nodeId) ? 1 : 2;
  };
  return [...candidates].sort((a, b) => rank(a) - rank(b) || a - b);
}

/** How many of the candidates are taken in: one for each that leaves, and more where that makes the number odd. */
function seatsFor(staying: number, leaving: number, candidates: number): number {
  const total = Math.min(METADATA_VOTERS_MAX, staying + candidates);
  const odd = total % 2 === 1 ? total : total - 1;
  return Math.max(Math.min(leaving, candidates), odd - staying);
}
