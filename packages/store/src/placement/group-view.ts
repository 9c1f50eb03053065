import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { GroupView } from './membership-step.ts';

/** A follower this far behind what is committed may take a moment to lead; one further behind would hold publishes up. */
const LAG_ENTRIES_MAX = 256;

/**
 * Fit is who could lead at once. What a peer holds is its `match`, whatever its state: one whose connection broke and came
 * back is probed by the next append, so in a group in which nothing is proposed it stays in `probe` for good, and a store
 * that was started again would never lead anything idle.
 *
 * Undefined while this node does not lead the group.
 */
export function viewOf(host: Pick<RaftHost, 'status' | 'peerAlive'>, groupId: number): GroupView | undefined {
  const status = host.status(groupId);
  if (status === undefined || status.role !== 'leader') return undefined;
  const { membership } = status;
  const fit = new Set<number>([status.peerId]);
  for (const { peer, match, state } of status.progress) {
    const holdsMost = state !== 'snapshot' && match > 0 && status.commit - match <= LAG_ENTRIES_MAX;
    if (holdsMost && host.peerAlive(peer)) fit.add(peer);
  }
  return {
    groupId,
    self: status.peerId,
    voters: membership.voters,
    learners: membership.learners,
    isChanging: membership.votersOutgoing.length > 0 || status.membershipIndex > status.commit,
    fit,
  };
}
