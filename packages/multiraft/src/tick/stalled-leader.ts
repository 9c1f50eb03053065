import type { Replica } from '../replica/replica.ts';

/**
 * A leader whose disk hangs could fall silent and be missed: one to two seconds of an election timeout, and longer where the
 * others vote on busy machines. But it still speaks and hears, and the others have on their disks what hangs here. So
 * it names an heir for each of its groups, as a planned hand-over does, and nobody has to miss anybody.
 *
 * An heir is one whose disk took more than this one, or everything there is: where all disks hang, which is what a
 * shared one does, nobody is better, and each stays what it is until it is missed.
 */
export function handOverLeaderships(
  replicas: Iterable<Replica>,
  isAlive: (peer: number) => boolean,
  settle: (replica: Replica) => void,
): void {
  for (const replica of replicas) {
    if (replica.raft.role !== 'leader') continue;
    const heir = heirOf(replica, isAlive);
    if (heir !== undefined && replica.raft.transferLeadership(heir)) settle(replica);
  }
}

function heirOf({ raft, groupId }: Replica, isAlive: (peer: number) => boolean): number | undefined {
  const { transferee, membership, progress, persistedIndex, lastIndex } = raft.status();
  if (transferee !== 0) return undefined;
  const able = progress.filter(({ peer, match }) => {
    const isAhead = match > persistedIndex || match === lastIndex;
    return isAhead && membership.voters.includes(peer) && isAlive(peer);
  });
  const most = Math.max(...able.map(({ match }) => match));
  const heirs = able.filter(({ match }) => match === most);
  // One that has everything takes over at once; which of several differs by group, so that no node gets them all.
  return heirs[groupId % Math.max(1, heirs.length)]?.peer;
}
