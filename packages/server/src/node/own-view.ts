import type { OwnView } from '@sluice/coordinator/administration/cluster-administration';
import type { DiskTrouble } from '@sluice/meta/cluster-liveness';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { RouteTable } from '@sluice/store-client/route/route-table';

/** Who leads and who is there, as this node's own connections show it: by its groups, else by where a gateway sends. */
export function ownView(parts: {
  nodeId: number;
  host: RaftHost | undefined;
  routes: RouteTable | undefined;
  disk: () => DiskTrouble | undefined;
}): OwnView {
  const { nodeId: own, host, routes, disk } = parts;
  return {
    leaderOf: (partition) => host?.status(partition)?.leader ?? routes?.leaderOf(partition),
    hears(nodeId) {
      if (nodeId === own) return true;
      if (host === undefined) return undefined;
      for (const groupId of host.storedGroups()) {
        const membership = host.status(groupId)?.committedMembership;
        // Only who shares a group with this node has something to say to it all the time.
        if (membership?.voters.includes(nodeId) || membership?.learners.includes(nodeId)) return host.peerAlive(nodeId);
      }
      return undefined;
    },
    troubles() {
      const kind = disk();
      return kind === undefined ? [] : [{ nodeId: own, kind }];
    },
  };
}
