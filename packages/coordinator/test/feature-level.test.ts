import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { NodeInfo, NodeRole } from '@sluice/meta/node-info';
import { ClusterAdministration } from '../src/administration/cluster-administration.ts';
import { codeOf, nodeInfo, ok, spec, TestCluster, until } from './support/test-cluster.ts';

const ALL: readonly NodeRole[] = ['gateway', 'store', 'coordinator'];
const NEWER = { min: 1, max: 2 };

let cluster: TestCluster;

beforeEach(async () => {
  cluster = await TestCluster.create();
  await cluster.found([ALL, ALL, ALL, ['gateway']]);
  for (const { topology } of cluster.nodes.values()) await until(() => topology.epoch > 0, 'it has an image');
});

afterEach(() => cluster.remove());

const levels = (): number[] => [...cluster.nodes.values()].map(({ topology }) => topology.featureLevel.level);

async function upgrade(nodeId: number, supported = NEWER): Promise<void> {
  await cluster.kill(nodeId);
  await cluster.boot(nodeId, supported);
  await until(() => cluster.node(nodeId).topology.epoch > 0, 'it has an image');
  const { metadata } = cluster.node(nodeId);
  const { nodeId: _id, state: _state, ...known } = cluster.founders[nodeId - 1] as NodeInfo;
  await metadata.execute({ kind: 'register-node', node: { ...known, levels: supported }, nodeId });
}

function administration(nodeId: number): ClusterAdministration {
  const { topology, metadata, watcher } = cluster.node(nodeId);
  return new ClusterAdministration({ topology, metadata, leading: () => watcher.coordinator });
}

test('nodes of two builds in one cluster: the level waits for the last of them, and is not held before all know how', async () => {
  for (const nodeId of [4, 1, 2, 3]) {
    ok(await cluster.node(4).queues.create(spec(`before-${nodeId}`)));
    expect(levels()).toEqual([1, 1, 1, 1]);
    expect(codeOf(await administration(4).holdFeatureLevel(true))).toBe('BAD_REQUEST');
    await upgrade(nodeId);
  }
  await until(() => levels().every((level) => level === 2), 'all know that all are upgraded');
  expect([...cluster.nodes.values()].map(({ topology }) => topology.queueCount)).toEqual([4, 4, 4, 4]);

  const { featureLevel, nodes } = ok(administration(4).status());
  expect(featureLevel).toEqual({ level: 2, isHeld: false });
  await until(() => cluster.node(4).topology.levelsOf(3) !== undefined, 'what each supports is known');
  expect(nodes).toHaveLength(4);

  const later = { min: 1, max: 3 };
  expect(ok(await administration(4).holdFeatureLevel(true))).toEqual({ level: 2, isHeld: true });
  for (const nodeId of [1, 2, 3, 4]) await upgrade(nodeId, later);
  await until(
    () => [1, 2, 3, 4].every((nodeId) => cluster.node(4).topology.levelsOf(nodeId)?.max === 3),
    'all support more',
  );
  expect(levels()).toEqual([2, 2, 2, 2]);
  ok(await administration(4).holdFeatureLevel(false));
  await until(() => levels().every((level) => level === 3), 'it rises when it is released');
});

test('a node that is too old is refused, with words; one that comes back too old gets no answer that would make it empty its disk', async () => {
  for (const nodeId of [1, 2, 3, 4]) await upgrade(nodeId);
  await until(() => levels().every((level) => level === 2), 'all know that all are upgraded');
  const { coordinator, nodeId } = await cluster.leader();
  const { nodeId: _id, state: _state, ...stranger } = nodeInfo(9, ALL);
  expect(await coordinator?.register(stranger)).toMatchObject({
    type: 'refused',
    code: 'FEATURE_LEVEL_UNSUPPORTED',
    message: 'the cluster is at feature level 2, and this build supports level 1',
  });
  expect(await coordinator?.register({ ...stranger, levels: { min: 3, max: 4 } })).toMatchObject({ type: 'refused' });
  expect(await coordinator?.register({ ...stranger, levels: NEWER })).toMatchObject({ type: 'registered' });

  const { nodeId: _own, state: _was, ...known } = cluster.founders[3] as NodeInfo;
  const command = { kind: 'register-node', node: known, nodeId: 4 } as const;
  const asked = cluster.network.node(4).call(nodeId, 'metadata', { type: 'execute', command });
  await expect(asked).rejects.toThrow('feature level 2');

  const old = [1, 2, 3].find((other) => other !== nodeId) as number;
  await cluster.kill(old);
  const { host } = await cluster.boot(old);
  await until(() => host?.stoppedGroups().length === 1, 'it reads in its log that it is too old');
  expect(host?.stoppedGroups()[0]?.cause).toMatchObject({ code: 'FEATURE_LEVEL_UNSUPPORTED' });
});
