import type { NodeInfo, NodeRole } from '@sluice/meta/node-info';
import type { MetadataClient } from '@sluice/store-client/metadata-client';
import type { SimMachine } from '../sim-machine.ts';

const AGAIN_MS = 100;

/** A node says who it is, each time it starts, until somebody who leads has heard it. */
export async function register(
  metadata: MetadataClient,
  machine: SimMachine,
  roles: readonly NodeRole[],
): Promise<void> {
  const { nodeId, world } = machine;
  const { state: _state, nodeId: _nodeId, ...node } = nodeInfo(nodeId, roles);
  for (;;) {
    const outcome = await metadata.execute({ kind: 'register-node', node, nodeId });
    if (outcome?.reply.result === 'done' || outcome?.reply.result === 'unchanged') return;
    if (outcome !== undefined && outcome.reply.result !== 'not-formed') {
      throw new Error(`the cluster refused node ${nodeId}: ${outcome.reply.result}`);
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    if (machine.state === 'down') world.fail(new Error('a dead node registers'));
  }
}

export function nodeInfo(nodeId: number, roles: readonly NodeRole[]): NodeInfo {
  return {
    nodeId,
    incarnation: `incarnation-${nodeId}`,
    name: `n${nodeId}`,
    address: `n${nodeId}:1`,
    roles,
    rack: '',
    version: '1',
    mqttAddress: '',
    state: 'active',
  };
}
