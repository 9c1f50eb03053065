import type { MembershipChange } from '@sluice/raft/conf-change';

/** A group as its leader sees it. */
export interface GroupView {
  groupId: number;
  /** The leader. */
  self: number;
  voters: readonly number[];
  learners: readonly number[];
  /** A change is under way: the next one waits for its end. */
  isChanging: boolean;
  /** Members that are alive and have nearly all of the log; the leader is one. */
  fit: ReadonlySet<number>;
}

export interface PlacementTarget {
  /** Who shall vote; empty while nobody has decided. */
  replicas: readonly number[];
  /** 0: no wish. */
  preferredLeader: number;
}

export type MembershipStep =
  | { type: 'change'; change: MembershipChange }
  /** One of these shall lead and go on, best first. */
  | { type: 'hand-over'; heirs: readonly number[] };

/**
 * The next step from a group's membership to where the coordinator wants it; undefined when it is there, or must wait.
 *
 * 1. Who is missing begins to learn; learners that nobody wants go. Neither touches a majority.
 * 2. When the newcomers have the log, they vote and the surplus goes, in one joint change, so that the group is never
 *    smaller on the way, nor even where it was odd. While only some of the newcomers are fit, each of those replaces one
 *    of the surplus, the unfit first: a dead voter goes as soon as there is somebody for its place.
 * 3. A leader that is itself surplus does not remove itself: it hands over to one that stays, which removes it. Where
 *    nobody stays, the newcomers are made voters beside it first.
 *
 * Whatever happens, a change is proposed only if a majority of the voters it leads to is fit: a group must not be led
 * into a membership that could commit nothing.
 */
export function nextStep(view: GroupView, target: PlacementTarget): MembershipStep | undefined {
  const { self, voters, learners, fit } = view;
  const { replicas } = target;
  if (view.isChanging || replicas.length === 0) return undefined;
  const missing = replicas.filter((node) => !voters.includes(node) && !learners.includes(node));
  const strays = learners.filter((node) => !replicas.includes(node));
  if (missing.length > 0 || strays.length > 0) {
    return { type: 'change', change: { addLearners: missing, remove: strays } };
  }
  const newcomers = replicas.filter((node) => learners.includes(node));
  const ready = newcomers.filter((node) => fit.has(node));
  const surplus = inOrderOfLeaving(
    voters.filter((node) => !replicas.includes(node)),
    view,
  );
  const all = ready.length === newcomers.length;
  const leaving = all ? surplus : surplus.slice(0, ready.length);
  const promoted = all ? ready : ready.slice(0, leaving.length);
  if (leaving.includes(self)) {
    const heirs = heirsOf(view, target);
    if (heirs.length > 0) return { type: 'hand-over', heirs };
  }
  return safeChange(
    view,
    promoted,
    leaving.filter((node) => node !== self),
  );
}

/**
 * Who may lead instead of `self`: voters that stay and are fit, the preferred one first. The others take turns by group, so
 * that what one store led is spread over all that are left.
 */
export function heirsOf(view: GroupView, target: PlacementTarget): number[] {
  const stays = target.replicas.length === 0 ? view.voters : target.replicas;
  const fit = view.voters.filter((node) => node !== view.self && stays.includes(node) && view.fit.has(node));
  const others = fit.filter((node) => node !== target.preferredLeader).sort((a, b) => a - b);
  const turn = others.length === 0 ? 0 : view.groupId % others.length;
  const preferred = fit.filter((node) => node === target.preferredLeader);
  return [...preferred, ...others.slice(turn), ...others.slice(0, turn)];
}

/** The others have a majority, and hold what is committed: this node's replica may be made anew. */
export function canDoWithoutSelf({ voters, self, fit, isChanging }: GroupView): boolean {
  return !isChanging && voters.filter((node) => node !== self && fit.has(node)).length > voters.length / 2;
}

function safeChange(
  view: GroupView,
  promoted: readonly number[],
  leaving: readonly number[],
): MembershipStep | undefined {
  if (promoted.length === 0 && leaving.length === 0) return undefined;
  const voters = [...view.voters.filter((node) => !leaving.includes(node)), ...promoted];
  const fit = voters.filter((node) => view.fit.has(node)).length;
  if (fit < Math.floor(voters.length / 2) + 1) return undefined;
  return { type: 'change', change: { addVoters: promoted, remove: leaving } };
}

/** The unfit first, the leader last. */
function inOrderOfLeaving(surplus: readonly number[], view: GroupView): number[] {
  const rank = (node: number): number => (node === view.self ? 2 : view.fit.has(node) ? 1 : 0);
  return [...surplus].sort((a, b) => rank(a) - rank(b) || a - b);
}
