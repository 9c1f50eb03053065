import { SluiceError } from '@sluice/common/errors';
import type { NodeInfo, NodeRegistration, NodeRole } from '@sluice/meta/node-info';
import type { ClusterRequest, ClusterResponse } from '@sluice/rpc/contract/cluster';
import type { MetadataClient } from '@sluice/store-client/metadata/metadata-client';
import type { SimMachine } from '../sim-machine.ts';
import type { SimNetwork } from '../sim-network.ts';
import { Violation } from '../simulation.ts';

const AGAIN_MS = 100;

/** A node says who it is, each time it starts, until somebody who leads has heard it. */
export async function register(metadata: MetadataClient, machine: SimMachine, node: NodeRegistration): Promise<void> {
  const { nodeId, world } = machine;
  for (;;) {
    const outcome = await metadata.execute({ kind: 'register-node', node, nodeId });
    if (outcome?.reply.result === 'done' || outcome?.reply.result === 'unchanged') return;
    if (outcome?.reply.result === 'node-gone') {
      throw new SluiceError('NODE_GONE', `node ${nodeId} has left the cluster`, { hint: 'it comes back as a new one' });
    }
    if (outcome !== undefined && outcome.reply.result !== 'not-formed') {
      throw new Error(`the cluster refused node ${nodeId}: ${outcome.reply.result}`);
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    if (machine.state === 'down') world.fail(new Error('a dead node registers'));
  }
}

/**
 * A machine with an empty disk, which has no id yet, asks one coordinator after the other for a place, as the server
 * does, and begins with the coordinators that it is told with it. `wireId` is whom the network takes it for meanwhile.
 */
export function obtainPlace(
  network: SimNetwork,
  wireId: number,
  node: NodeRegistration,
  coordinators: () => readonly number[],
  placed: (nodeId: number, coordinatorIds: readonly number[]) => void,
): void {
  const { world } = network;
  const life = world.life(`${node.name} without a place`);
  const host = network.join(wireId, life);
  let turn = 0;
  const ask = (): void => {
    const candidates = coordinators();
    const request: ClusterRequest = { type: 'register', node };
    const nodeId = candidates[turn++ % Math.max(1, candidates.length)];
    if (nodeId === undefined) {
      setTimeout(ask, AGAIN_MS);
      return;
    }
    host.call<ClusterRequest, ClusterResponse>(nodeId, 'cluster', request).then(
      (answer) => {
        if (answer.type === 'registered') {
          life.end();
          const coordinatorIds = answer.coordinators.map((coordinator) => coordinator.nodeId);
          world.after(0, world.outside, () => placed(answer.nodeId, coordinatorIds));
        } else if (answer.type === 'elsewhere') setTimeout(ask, AGAIN_MS);
        else world.fail(new Violation('join', `${node.name} is answered ${JSON.stringify(answer)}`));
      },
      () => setTimeout(ask, AGAIN_MS),
    );
  };
  world.after(0, life, ask);
}

export function registrationOf(name: string, incarnation: string, roles: readonly NodeRole[]): NodeRegistration {
  return { incarnation, name, address: `${name}:1`, roles, rack: '', version: '1', mqttAddress: '' };
}

export function nodeInfo(nodeId: number, registration: NodeRegistration): NodeInfo {
  return { ...registration, nodeId, state: 'active' };
}
