import { expect, it } from '@jest/globals';
import type { PartitionReport } from '@sluice/rpc/contract/topology-feed';
import { NodeLiveness } from '../../src/liveness/node-liveness.ts';
import { replicaTroubles } from '../../src/liveness/replica-troubles.ts';

const NOW_MS = 100_000;
const place = (partition: number, replicas: number[]) => ({
  partition,
  replicas,
  preferredLeader: 0,
  bootstrap: false,
});
const led = (partition: number, voters: number[], behind?: number[]): PartitionReport => ({
  partition,
  term: 1,
  membershipIndex: 1,
  voters,
  learners: [],
  depth: 0,
  behind,
});

it('copies that do not count: learners, voters that are behind, those that cannot be trusted; of nodes that live', () => {
  const liveness = new NodeLiveness();
  liveness.begin(0);
  for (const nodeId of [1, 2, 3, 4]) liveness.opened(nodeId);
  const report = { impaired: [], replicas: [], consumers: [] };
  liveness.reported(4, { ...report, leads: [] }, 0);
  // Looked at all the time, as a coordinator does: else the silence would be its own.
  for (let nowMs = 0; nowMs <= NOW_MS; nowMs += 1_000) liveness.isAlive(4, nowMs);
  liveness.reported(1, { ...report, leads: [led(1, [1, 2]), led(2, [1, 2, 3], [2]), led(3, [1, 4])] }, NOW_MS);
  liveness.reported(2, { ...report, leads: [], impaired: [4] }, NOW_MS);
  liveness.reported(3, { ...report, leads: [] }, NOW_MS);
  const partitions = [place(1, [1, 2, 3]), place(2, [1, 2, 3]), place(3, [1, 4, 5]), place(4, [1, 2, 3])];
  expect(replicaTroubles(partitions, liveness, NOW_MS)).toEqual([
    { partition: 1, nodeId: 3, kind: 'catching-up' },
    { partition: 2, nodeId: 2, kind: 'catching-up' },
    { partition: 4, nodeId: 2, kind: 'impaired' },
  ]);
});

it('copies on a node that lives and that the leader of theirs does not hear', () => {
  const liveness = new NodeLiveness();
  liveness.begin(NOW_MS);
  const report = { impaired: [], replicas: [], consumers: [] };
  const leads = [{ ...led(1, [1, 2, 3]), unheard: [2] }, led(2, [1, 2, 3])];
  for (const nodeId of [1, 2, 3]) {
    liveness.opened(nodeId);
    liveness.reported(nodeId, { ...report, leads: nodeId === 1 ? leads : [] }, NOW_MS);
  }
  const partitions = [place(1, [1, 2, 3]), place(2, [1, 2, 3])];
  expect(replicaTroubles(partitions, liveness, NOW_MS + 1)).toEqual([{ partition: 1, nodeId: 2, kind: 'unheard' }]);
});

it('copies on a node that stopped a moment ago, before its silence says so, until it is back', () => {
  const liveness = new NodeLiveness();
  liveness.begin(NOW_MS);
  const report = { impaired: [], replicas: [], consumers: [] };
  for (const nodeId of [1, 2, 3]) {
    liveness.opened(nodeId);
    liveness.reported(nodeId, { ...report, leads: nodeId === 1 ? [led(1, [1, 2, 3])] : [] }, NOW_MS);
  }
  const troubles = () => replicaTroubles([place(1, [1, 2, 3])], liveness, NOW_MS + 1);
  expect(troubles()).toEqual([]);
  liveness.closed(3, NOW_MS + 1);
  expect(troubles()).toEqual([{ partition: 1, nodeId: 3, kind: 'parted' }]);
  liveness.opened(3);
  expect(troubles()).toEqual([]);
  // Another coordinator leads: who has not come to it yet may be the one that was killed.
  liveness.begin(NOW_MS + 1);
  for (const nodeId of [1, 2]) {
    liveness.opened(nodeId);
    liveness.reported(nodeId, { ...report, leads: nodeId === 1 ? [led(1, [1, 2, 3])] : [] }, NOW_MS + 1);
  }
  expect(troubles()).toEqual([{ partition: 1, nodeId: 3, kind: 'parted' }]);
});
