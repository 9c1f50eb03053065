import { beforeEach, expect, test } from '@jest/globals';
import type { Topology } from '@sluice/meta/topology';
import type { GroupStatus } from '@sluice/multiraft/group/group-status';
import type { Partition } from '../../src/partition/partition.ts';
import type { HandOvers } from '../../src/placement/hand-overs.ts';
import { LeaderBalancer, type LeaderBalancerOptions } from '../../src/placement/leader-balancer.ts';
import type { MembershipKeeper } from '../../src/placement/membership-keeper.ts';

/** How long node 2 has been in sight of node 1. */
let inSightMs = 0;
let begun: string[] = [];
let balancer: LeaderBalancer;

/** Node 1 leads partition 5, and the coordinator prefers node 2, which holds everything. */
beforeEach(() => {
  inSightMs = Number.POSITIVE_INFINITY;
  begun = [];
  const membership = { voters: [1, 2], votersOutgoing: [], learners: [], learnersNext: [] };
  const progress = [{ peer: 2, match: 10, state: 'replicate' }];
  const status = { peerId: 1, role: 'leader', commit: 10, membershipIndex: 1, membership, progress };
  const partition = { groupId: 5, leads: true, leadsSinceMs: 0 };
  balancer = new LeaderBalancer({
    nodeId: 1,
    host: {
      status: () => status as unknown as GroupStatus,
      peerAlive: () => inSightMs > 0,
      inSightMs: () => inSightMs,
    } as LeaderBalancerOptions['host'],
    partitions: new Map([[5, partition as unknown as Partition]]),
    topology: {
      partition: () => ({ partition: 5, replicas: [1, 2], preferredLeader: 2, bootstrap: false }),
    } as unknown as Topology,
    keeper: { isAtRest: () => true } as unknown as MembershipKeeper,
    handOvers: {
      count: 0,
      isRunning: () => false,
      best: (_group: number, heirs: readonly number[]) => heirs[0],
      begin: (_partition: Partition, heir: number, reason: string) => begun.push(`${reason} ${heir}`),
    } as unknown as HandOvers,
    clock: { nowMs: () => 100_000, monotonicMs: () => 100_000 },
  });
});

test('hands leadership to whom the coordinator prefers', () => {
  balancer.balance();
  expect(begun).toEqual(['preferred 2']);
});

test('who was lost from sight is led back to when it has been in sight again for a while', () => {
  for (inSightMs = 0; inSightMs < LeaderBalancer.IN_SIGHT_MS_MIN; inSightMs += 500) balancer.balance();
  expect(begun).toEqual([]);
  balancer.balance();
  expect(begun).toEqual(['preferred 2']);
});

test('who is short of space hands over to anybody in sight', () => {
  inSightMs = 1;
  balancer.relieve();
  expect(begun).toEqual(['disk 2']);
});
