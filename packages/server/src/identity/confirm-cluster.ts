import { SluiceError } from '@sluice/common/errors';
import type { AskAddress } from './obtain-membership.ts';

/**
 * Whether the nodes in `node.join` are of the cluster whose data is here. A volume mounted at the wrong node, or a
 * directory copied from another installation, would otherwise wait for coordinators that are not there, or go back to
 * those it came from. Who does not answer says nothing: this is about mistakes, and whoever answers finds them.
 */
export async function confirmCluster(options: {
  clusterId: string;
  directory: string;
  own: { address: string; incarnation: string };
  join: readonly string[];
  ask: AskAddress;
}): Promise<void> {
  const { clusterId, directory, own, join, ask } = options;
  await Promise.all(
    join.map(async (address) => {
      if (address === own.address) return;
      const answer = await ask(address, { type: 'hello', ...own, founders: join }).catch((cause: unknown) => {
        if (cause instanceof SluiceError) return undefined;
        throw cause;
      });
      if (answer?.type !== 'member' || answer.clusterId === clusterId) return;
      throw new SluiceError(
        'DATA_OF_ANOTHER_CLUSTER',
        `the data in ${directory} is of cluster ${clusterId}, but ${address} in node.join is of cluster ${answer.clusterId}`,
        {
          hint: 'name the data directory of this cluster, correct node.join, or give the node an empty directory to join as a new one',
        },
      );
    }),
  );
}
