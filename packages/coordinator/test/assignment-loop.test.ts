import { beforeEach, expect, test } from '@jest/globals';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import type { NodeReport } from '@sluice/rpc/contract/topology-feed';
import { AssignmentLoop } from '../src/assignment-loop.ts';
import { NodeLiveness } from '../src/liveness/node-liveness.ts';

function queue(queueId: number, partitions: readonly number[]): QueueDefinition {
  return {
    ...QUEUE_SETTING_DEFAULTS,
    queueId,
    name: `q${queueId}`,
    topicFilter: `q${queueId}`,
    isLastValue: false,
    keyExpression: null,
    partitions,
    version: 1,
    createdAtMs: 0,
  };
}

const QUEUES = new Map([
  [1, queue(1, [1, 2, 3, 4])],
  [2, queue(2, [5])],
]);
const VIEW = { nodeIds: [1, 2, 3], queue: (queueId: number) => QUEUES.get(queueId) };

let liveness: NodeLiveness;
let loop: AssignmentLoop;
let nowMs: number;

beforeEach(() => {
  nowMs = 50_000;
  liveness = new NodeLiveness();
  liveness.begin(nowMs);
  loop = new AssignmentLoop({ liveness });
  loop.begin(3);
});

function consumers(nodeId: number, ...of: [queueId: number, consumers: number][]): void {
  report(nodeId, { consumers: of.map(([queueId, count]) => ({ queueId, consumers: count, windowTotal: count * 10 })) });
}

function report(nodeId: number, over: Partial<NodeReport>): void {
  liveness.reported(nodeId, { leads: [], impaired: [], replicas: [], consumers: [], ...over }, nowMs);
}

test('few consumers draw from everywhere; a queue on one partition needs nothing', () => {
  consumers(1, [1, 2], [2, 5]);
  expect(loop.step(VIEW, nowMs)).toEqual([
    { queueId: 1, generation: 3 * 2 ** 20 + 1, nodes: [{ nodeId: 1, partitions: [1, 2, 3, 4] }] },
  ]);
  expect(loop.step(VIEW, nowMs)).toEqual([]);
  expect(loop.current()).toHaveLength(1);
});

test('many share; who joins or dies moves shares under a higher generation', () => {
  for (const nodeId of [1, 2]) consumers(nodeId, [1, 1_000]);
  const [first] = loop.step(VIEW, nowMs);
  expect(first?.nodes).toEqual([
    { nodeId: 1, partitions: [1, 2] },
    { nodeId: 2, partitions: [3, 4] },
  ]);
  // More of them on the same nodes, in the same measure: nothing moves.
  for (const nodeId of [1, 2]) consumers(nodeId, [1, 1_100]);
  expect(loop.step(VIEW, nowMs)).toEqual([]);
  for (let second = 0; second < 6; second++) {
    nowMs += 1_000;
    consumers(1, [1, 1_100]);
  }
  const [second] = loop.step(VIEW, nowMs);
  expect(second?.nodes).toEqual([{ nodeId: 1, partitions: [1, 2, 3, 4] }]);
  expect(second?.generation).toBeGreaterThan(first?.generation ?? 0);
});

test('work that waits lets idle gateways in, now and then', () => {
  for (const nodeId of [1, 2]) consumers(nodeId, [1, 1_000]);
  loop.step(VIEW, nowMs);
  report(3, { leads: [{ partition: 4, term: 1, membershipIndex: 1, voters: [3], learners: [], depth: 9 }] });
  expect(loop.step(VIEW, nowMs)).toEqual([]);
  nowMs += AssignmentLoop.WORK_INTERVAL_MS;
  for (const nodeId of [1, 2]) consumers(nodeId, [1, 1_000]);
  report(3, { leads: [{ partition: 4, term: 1, membershipIndex: 1, voters: [3], learners: [], depth: 9 }] });
  expect(loop.step(VIEW, nowMs)[0]?.nodes).toEqual([
    { nodeId: 1, partitions: [1, 2, 4] },
    { nodeId: 2, partitions: [3, 4] },
  ]);
});

test('work is where the leader of the latest term says, and not what a node said that leads no more', () => {
  const lead = (partition: number, term: number, depth: number) => ({
    leads: [{ partition, term, membershipIndex: 1, voters: [3], learners: [], depth }],
  });
  for (const nodeId of [1, 2]) consumers(nodeId, [1, 1_000]);
  // It fell silent while it led partition 1.
  report(3, lead(1, 1, 9));
  nowMs += NodeLiveness.SILENCE_MS + 1_000;
  for (const nodeId of [1, 2]) consumers(nodeId, [1, 1_000]);
  report(4, lead(1, 2, 0));
  expect(loop.step({ ...VIEW, nodeIds: [1, 2, 3, 4] }, nowMs)[0]?.nodes).toEqual([
    { nodeId: 1, partitions: [1, 2] },
    { nodeId: 2, partitions: [3, 4] },
  ]);
});

test('a queue without consumers, or that is gone, is forgotten; the next leader begins above', () => {
  consumers(1, [1, 1], [9, 4]);
  const [first] = loop.step(VIEW, nowMs);
  consumers(1, [1, 0]);
  expect(loop.step(VIEW, nowMs)).toEqual([]);
  expect(loop.current()).toEqual([]);
  loop.begin(4);
  consumers(1, [1, 1]);
  expect(loop.step(VIEW, nowMs)[0]?.generation).toBeGreaterThan(first?.generation ?? 0);
});
