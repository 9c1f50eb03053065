import { expect, test } from '@jest/globals';
import { SluiceError } from '@sluice/common/errors';
import type { ClusterResponse } from '@sluice/rpc/contract/cluster';
import { confirmCluster } from '../../src/identity/confirm-cluster.ts';

const member = (clusterId: string): ClusterResponse => ({
  type: 'member',
  clusterId,
  nodeId: 1,
  foundedWith: [],
  coordinators: [],
});
const blank: ClusterResponse = { type: 'blank', address: 'b:1', incarnation: 'x', founders: [] };

/** As the nodes at `b:1` and `c:1` answer; undefined: not at all. */
function confirm(b: ClusterResponse | undefined, c: ClusterResponse | undefined): Promise<void> {
  return confirmCluster({
    clusterId: 'ours',
    directory: '/data',
    own: { address: 'a:1', incarnation: 'i' },
    join: ['a:1', 'b:1', 'c:1'],
    ask: async (address) => {
      const answer = address === 'b:1' ? b : c;
      if (answer === undefined || address === 'a:1') throw new SluiceError('PEER_UNAVAILABLE', 'connection refused');
      return answer;
    },
  });
}

test('data of another cluster is not taken to the one in the join list', async () => {
  await confirm(member('ours'), undefined);
  await confirm(blank, undefined);
  await confirm(undefined, undefined);
  await expect(confirm(undefined, member('theirs'))).rejects.toMatchObject({
    code: 'DATA_OF_ANOTHER_CLUSTER',
    message: 'the data in /data is of cluster ours, but c:1 in node.join is of cluster theirs',
  });
});
