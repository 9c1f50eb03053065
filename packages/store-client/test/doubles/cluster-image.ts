import type { NodeInfo } from '@sluice/meta/node-info';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';

/** Every partition on every one of these stores; nobody is known to lead. */
export function clusterOf(
  nodeIds: readonly number[],
  partitionCount: number,
  queues: QueueDefinition[] = [],
): Topology {
  const topology = new Topology();
  topology.reset({
    epoch: 1,
    clusterId: 'c',
    partitionCount,
    replicationFactor: nodeIds.length,
    nodes: nodeIds.map(storeNode),
    partitions: Array.from({ length: partitionCount }, (_, i) => ({
      partition: i + 1,
      replicas: nodeIds,
      preferredLeader: 0,
      bootstrap: false,
    })),
    config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
    queues,
  });
  return topology;
}

function storeNode(nodeId: number): NodeInfo {
  return {
    nodeId,
    incarnation: `i${nodeId}`,
    name: `n${nodeId}`,
    address: `n${nodeId}:1`,
    roles: ['store'],
    rack: '',
    version: '',
    mqttAddress: '',
    state: 'active',
  };
}
