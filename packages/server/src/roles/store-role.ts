import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { Prng } from '@sluice/common/prng';
import type { Topology } from '@sluice/meta/topology';
import type { NodeStorage } from '@sluice/multiraft/disk/node-storage';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Transport } from '@sluice/rpc/transport';
import { Store } from '@sluice/store/store';
import type { ClusterClock } from '@sluice/store-client/metadata/cluster-clock';
import type { TopologyWatcher } from '@sluice/store-client/metadata/topology-watcher';
import type { ServerConfig } from '../config/config.ts';

/**
 * The store of this node, not opened yet: while it opens its replicas it must be known already, for who asks which entries
 * are alive is told "none" where there is no store.
 */
export function makeStore(options: {
  config: ServerConfig;
  nodeId: number;
  storage: NodeStorage;
  host: RaftHost;
  topology: Topology;
  watcher: TopologyWatcher;
  prng: Prng;
  transport: Transport;
  clock: ClusterClock;
  logger: Logger;
  metrics: Metrics;
}): Store {
  const { watcher, config, ...ports } = options;
  return new Store({
    ...ports,
    readCacheBytesMax: config.queues.readCacheBytes,
    retained: config.retained,
    streamLimits: config.sessions.streamLimits,
    lagObjectiveMs: config.queues.lagObjectiveMs,
    diskReserveBytes: undefined,
    isImageCurrent: () => watcher.coordinator !== 0,
    isTimeKnown: () => ports.clock.isConfirmed(),
  });
}
