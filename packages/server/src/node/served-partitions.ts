import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Topology } from '@sluice/meta/topology';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Store } from '@sluice/store/store';
import type { RouteTable } from '@sluice/store-client/route/route-table';
import type { GatewayRole } from '../roles/gateway-role.ts';
import type { NodeHealth } from './node-health.ts';

/** A start waits that long for partitions to be led; then the node serves those that are. */
const LEADERS_MS_MAX = 30_000;
const LOOK_AGAIN_MS = 10;

/** What of a node this looks at. */
interface Serving {
  nodeId: number;
  topology: Topology;
  routes: RouteTable;
  host: RaftHost | undefined;
  store: Store | undefined;
  gateway: GatewayRole | undefined;
  health: NodeHealth;
}

/** Partitions that this node keeps or sends to have leaders; not longer than a start may take. */
export async function servedPartitions(parts: Serving, logger: Logger): Promise<void> {
  const { store, gateway, health } = parts;
  const untilMs = systemClock.monotonicMs() + LEADERS_MS_MAX;
  for (;;) {
    const waiting = [store?.unready(), gateway === undefined ? undefined : unrouted(parts)].find(
      (reason) => reason !== undefined,
    );
    if (waiting === undefined) return;
    health.cluster.fail(`waiting for partitions to be led: ${waiting}`);
    if (systemClock.monotonicMs() > untilMs) {
      logger.warn({ waiting }, 'not every partition is led yet: the node serves those that are');
      return;
    }
    await delay(LOOK_AGAIN_MS);
  }
}

/** Which partitions publishers and consumers would wait for; undefined when none. */
function unrouted(parts: Serving): string | undefined {
  if (parts.topology.partitionCount === 0) return 'the number of partitions is not known';
  for (const partition of leaderlessPartitions(parts)) {
    if (!isLost(parts, partition)) return `nobody is known to lead partition ${partition}`;
  }
  return undefined;
}

/** Its only replica is here and cannot serve: nobody will lead it in this life. */
export function isLost(
  { topology, host, nodeId }: Pick<Serving, 'topology' | 'host' | 'nodeId'>,
  partition: number,
): boolean {
  const replicas = topology.replicasOf(partition);
  if (replicas.length !== 1 || replicas[0] !== nodeId) return false;
  return host?.stoppedGroups().some(({ groupId }) => groupId === partition) === true;
}

export function leaderlessPartitions({ routes, topology }: Pick<Serving, 'routes' | 'topology'>): number[] {
  const leaderless: number[] = [];
  for (let partition = 1; partition <= topology.partitionCount; partition++) {
    if (routes.leaderOf(partition) === 0) leaderless.push(partition);
  }
  return leaderless;
}
