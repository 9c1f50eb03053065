import type { Clock } from '@sluice/common/clock';
import type { Metrics } from '@sluice/common/metrics';
import { AccessAdministration } from '@sluice/coordinator/administration/access-administration';
import { BackupAdministration } from '@sluice/coordinator/administration/backup-administration';
import { ClusterAdministration } from '@sluice/coordinator/administration/cluster-administration';
import { ConnectionAdministration } from '@sluice/coordinator/administration/connection-administration';
import { QueueAdministration } from '@sluice/coordinator/administration/queue-administration';
import type { DiskTrouble } from '@sluice/meta/cluster-liveness';
import type { Topology } from '@sluice/meta/topology';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Transport } from '@sluice/rpc/transport';
import type { MetadataClient } from '@sluice/store-client/metadata/metadata-client';
import { RetainedAdministration } from '@sluice/store-client/retained/retained-administration';
import type { RouteTable } from '@sluice/store-client/route/route-table';
import type { ServerConfig } from '../config/config.ts';
import { keptSecret } from './kept-secret.ts';
import { ownView } from './own-view.ts';

/** What the API offers to operators, on every node alike: each asks whoever leads what it is about. */
export interface Administrations {
  queues: QueueAdministration;
  retained: RetainedAdministration;
  access: AccessAdministration;
  cluster: ClusterAdministration;
  connections: ConnectionAdministration;
  backup: BackupAdministration;
}

export function administrationsOf(parts: {
  config: ServerConfig;
  nodeId: number;
  topology: Topology;
  metadata: MetadataClient;
  /** Who leads the coordinators, as far as this node knows. */
  leading: () => number;
  host: RaftHost | undefined;
  /** Of a gateway. */
  routes: RouteTable | undefined;
  /** What is wrong with the disk of this node. */
  disk: () => DiskTrouble | undefined;
  transport: Transport;
  clock: Clock;
  metrics: Metrics;
}): Administrations {
  const { config, nodeId, topology, metadata, leading, host, routes, disk, transport, clock, metrics } = parts;
  const { lagObjectiveMs } = config.queues;
  return {
    queues: new QueueAdministration({ metadata, topology, transport, clock, lagObjectiveMs }),
    retained: new RetainedAdministration({ topology, transport, clock, metrics }),
    access: new AccessAdministration({ metadata, topology, clock, hash: keptSecret }),
    cluster: new ClusterAdministration({
      topology,
      metadata,
      leading,
      ownView: ownView({ nodeId, host, routes, disk }),
    }),
    connections: new ConnectionAdministration({ topology, transport }),
    backup: new BackupAdministration({ topology, transport, leading }),
  };
}
