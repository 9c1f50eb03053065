import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { TestCluster } from './support/test-cluster.ts';
import { until } from './support/test-node.ts';
import { ticksStand } from './support/ticks.ts';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.create();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await cluster.remove();
});

describe('groups over three nodes', () => {
  test('elect, replicate, and answer in the order of the log', async () => {
    await cluster.start(3, 3);
    for (const groupId of [1, 2, 3]) {
      const leader = await cluster.leader(groupId);
      const replies = await Promise.all([1, 2, 3].map((amount) => leader.propose(groupId, amount)));
      expect(replies.map(({ value }) => value)).toEqual([1, 3, 6]);
      await cluster.agree(groupId, 6);
      for (const { host, nodeId } of cluster.members.values()) {
        expect(host.leaderOf(groupId)).toBe(leader.nodeId);
        expect(host.leads(groupId)).toBe(nodeId === leader.nodeId);
        expect(host.status(groupId)?.committedMembership.voters).toEqual([1, 2, 3]);
      }
    }
  });

  test('each may be restarted, and nothing that was answered is lost', async () => {
    await cluster.start(3, 2);
    let total = 0;
    for (const nodeId of [1, 2, 3]) {
      const leader = await cluster.leader(1);
      await leader.propose(1, 5);
      total += 5;
      await cluster.kill(nodeId);
      const next = await cluster.leader(1);
      await next.propose(1, 2);
      total += 2;
      await cluster.boot(nodeId, 2, [1, 2, 3]);
      await cluster.agree(1, total);
    }
  });

  test('a killed leader is replaced before any election timeout', async () => {
    await cluster.start(3, 4);
    for (const groupId of [1, 2, 3, 4]) await cluster.leader(groupId);
    const gone = (await cluster.leader(1)).nodeId;
    await until(
      () => [...cluster.members.values()].every(({ host }) => [1, 2, 3, 4].every((g) => host.leaderOf(g) !== 0)),
      'everybody knows the leaders',
    );
    ticksStand();
    await cluster.kill(gone);
    for (const groupId of [1, 2, 3, 4]) await cluster.leader(groupId);
  });

  test('a node alone of three answers nothing', async () => {
    await cluster.start(3, 1);
    const leader = await cluster.leader(1);
    for (const nodeId of [1, 2, 3]) if (nodeId !== leader.nodeId) await cluster.kill(nodeId);
    const lost = leader.propose(1);
    lost.catch(() => {});
    const barrier = leader.host.readBarrier(1);
    await expect(lost).rejects.toThrow('unknown');
    expect(await barrier).toBe(false);
    expect(leader.host.leads(1)).toBe(false);
    expect(leader.host.propose(1, new Uint8Array(0), undefined)).toBe('not-leader');
  });
});
