import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { Coordinator } from '@sluice/coordinator/coordinator';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Founder } from '@sluice/rpc/contract/cluster';
import type { ServiceRegistry } from '@sluice/rpc/transport';
import type { MetadataClient } from '@sluice/store-client/metadata/metadata-client';
import type { ServerConfig } from '../config/config.ts';
import type { Member } from '../identity/node-identity.ts';

/** The coordinator of this node: a voter from the start if the node founded the cluster, else waiting to be added. */
export async function openCoordinator(parts: {
  config: ServerConfig;
  member: Member;
  host: RaftHost;
  metadata: MetadataClient;
  transport: ServiceRegistry;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  onLeads: () => void;
}): Promise<Coordinator> {
  const { config, member, host, metadata, transport, clock, logger, metrics, onLeads } = parts;
  const founders = member.foundedWith;
  const isFounder = founders.length > 0;
  const coordinator = new Coordinator({
    nodeId: member.nodeId,
    host,
    bootstrapVoters: isFounder ? founders.map(({ nodeId }) => nodeId) : undefined,
    formation: isFounder
      ? {
          clusterId: member.clusterId,
          partitionCount: config.queues.partitionCount,
          replicationFactor: config.cluster.replicationFactor,
          queueCountMax: config.queues.countMax,
          founders: founders.map(founderInfo),
        }
      : undefined,
    onLeads,
    askMembers: () => metadata.members(),
    placement: { replaceAfterMs: config.cluster.replaceAfterMs },
    clock,
    logger,
    metrics,
  });
  await coordinator.open();
  coordinator.serve(transport);
  return coordinator;
}

/** All that founders know of each other; each says the rest of itself when it registers. */
function founderInfo({ nodeId, address, incarnation }: Founder): NodeInfo {
  const name = address === '' ? `node-${nodeId}` : address;
  return {
    nodeId,
    address,
    incarnation,
    name,
    roles: ['coordinator'],
    rack: '',
    version: '',
    mqttAddress: '',
    state: 'active',
  };
}
