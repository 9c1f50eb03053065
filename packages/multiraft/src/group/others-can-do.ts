import type { Status } from '@sluice/raft/status';

/**
 * Whether a group goes on without its leader, which cannot read what another member needs of it. Every majority of the
 * voters has what is committed, and who has most of it is elected: so a majority must be there without this one, however
 * far behind some of it are.
 *
 * A new leader takes everybody for active for a moment. Who has not answered it may be one that was found damaged before,
 * and with two of three the group would be gone.
 */
export function othersCanDo({
  peerId,
  membership,
  progress,
}: Pick<Status, 'peerId' | 'membership' | 'progress'>): boolean {
  const { voters, votersOutgoing } = membership;
  if (votersOutgoing.length > 0) return false;
  let there = 0;
  for (const { peer, recentlyActive, answered } of progress) {
    if (peer !== peerId && recentlyActive && answered && voters.includes(peer)) there++;
  }
  return there > voters.length / 2;
}
