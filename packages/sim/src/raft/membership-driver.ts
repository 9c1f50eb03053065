import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { LedgerGroup } from './ledger-group.ts';
import type { RaftNode } from './raft-node.ts';

/**
 * Makes a group's membership follow its target, step by step, on whichever node leads: learners first, promoted when
 * they have caught up, the others removed; leadership handed over first by a leader that is to go.
 */
export function driveMembership(group: LedgerGroup, nodes: ReadonlyMap<number, RaftNode>): void {
  const { groupId, target } = group;
  for (const node of nodes.values()) {
    const { host, life } = node;
    if (host === undefined || node.state !== 'up' || life.paused || !host.leads(groupId)) continue;
    node.world.after(0, life, () => {
      if (node.host === host) step(group, target, node, host, nodes);
    });
  }
}

function step(
  group: LedgerGroup,
  target: ReadonlySet<number>,
  node: RaftNode,
  host: RaftHost,
  nodes: ReadonlyMap<number, RaftNode>,
): void {
  const { groupId } = group;
  const status = host.status(groupId);
  if (status === undefined || !host.leads(groupId)) return;
  const { voters, votersOutgoing, learners } = status.membership;
  if (votersOutgoing.length > 0) return;
  const newcomers = [...target].filter((id) => !voters.includes(id) && !learners.includes(id));
  if (newcomers.some((id) => group.leaving.has(id))) return;
  if (newcomers.length > 0) {
    for (const id of newcomers) give(group, nodes.get(id));
    say(node, groupId, 'learners', host.proposeMembership(groupId, { addLearners: newcomers }));
    return;
  }
  const addVoters = [...target].filter((id) => !voters.includes(id));
  const remove = [...voters, ...learners].filter((id) => !target.has(id));
  if (addVoters.length === 0 && remove.length === 0) return;
  if (remove.includes(node.nodeId)) {
    const heir = voters.find((id) => target.has(id));
    if (heir !== undefined) {
      host.transferLeadership(groupId, heir);
      return;
    }
  }
  say(node, groupId, `voters +${addVoters} -${remove}`, host.proposeMembership(groupId, { addVoters, remove }));
}

function say(node: RaftNode, groupId: number, what: string, outcome: string): void {
  if (outcome === 'proposed') node.trace(`group ${groupId}: proposes ${what}`);
}

/** A place for a replica: without a log it waits to be added. */
function give(group: LedgerGroup, node: RaftNode | undefined): void {
  if (node === undefined || group.hosts.has(node.nodeId)) return;
  group.hosts.add(node.nodeId);
  const { host, life } = node;
  if (host === undefined || node.state !== 'up') return;
  const { coming } = group;
  coming.add(node.nodeId);
  life.onEnd(() => coming.delete(node.nodeId));
  const here = (): void => void coming.delete(node.nodeId);
  node.world.after(0, life, () => {
    group.addTo(node, host).then(here, (cause: unknown) => {
      here();
      if (node.disk.failures === 0) node.world.fail(cause);
    });
  });
}

/** Replicas that the committed membership names no more are removed, durably. */
export function dropStrayReplicas(group: LedgerGroup, nodes: ReadonlyMap<number, RaftNode>): void {
  const { groupId, target, hosts } = group;
  // One that was deposed and does not know it knows nothing of the membership either.
  const leader = [...nodes.values()].find(
    (node) => node.host?.leads(groupId) === true && node.host.termOf(groupId) >= group.consensus.highestTerm,
  );
  const status = leader?.host?.status(groupId);
  if (leader === undefined || status === undefined || status.membershipIndex > status.commit) return;
  const { voters, votersOutgoing, learners, learnersNext } = status.membership;
  const named = new Set([...voters, ...votersOutgoing, ...learners, ...learnersNext]);
  for (const id of [...hosts]) {
    const node = nodes.get(id);
    if (target.has(id) || named.has(id) || group.coming.has(id)) continue;
    if (node === undefined || node.broken !== undefined) {
      hosts.delete(id);
      continue;
    }
    const { host, life } = node;
    if (host === undefined || node.state !== 'up' || life.paused) continue;
    hosts.delete(id);
    group.forgotten.add(id);
    group.leaving.add(id);
    life.onEnd(() => group.leaving.delete(id));
    node.trace(`group ${groupId}: its replica is removed`);
    node.world.after(0, life, () => {
      host.removeGroup(groupId).then(
        () => {
          group.machines.delete(id);
          group.leaving.delete(id);
        },
        (cause: unknown) => {
          if (node.disk.failures === 0) node.world.fail(cause);
          // A disk that failed under it: what is left there is found when the node is given the group again, or starts.
          group.leaving.delete(id);
        },
      );
    });
  }
}
