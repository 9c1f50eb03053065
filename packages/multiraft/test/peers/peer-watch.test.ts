import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { SeededPrng } from '@sluice/common/prng';
import type { Membership } from '@sluice/raft/entry';
import { PeerWatch } from '../../src/peers/peer-watch.ts';
import type { Replica } from '../../src/replica/replica.ts';

const LEADER = 3;

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** When each of these nodes stands, from the moment on at which the leader of their group is lost. */
function turnsOf(nodes: readonly number[], membership: Membership, groupId: number): Map<number, number> {
  const turns = new Map<number, number>();
  const startedMs = Date.now();
  for (const nodeId of nodes) {
    const raft = {
      membership,
      leader: LEADER,
      role: 'follower',
      term: 1,
      forgetLeader: () => {
        raft.leader = 0;
        return true;
      },
      campaign: () => void turns.set(nodeId, Date.now() - startedMs),
    };
    const replica = { groupId, raft, removed: false, stopped: undefined, mayVote: () => true } as unknown as Replica;
    const replicas = new Map([[groupId, replica]]);
    const watch = new PeerWatch({ nodeId, prng: new SeededPrng(1), replicas, settle: () => {}, hasten: () => {} });
    watch.lost(LEADER);
  }
  jest.runAllTimers();
  return turns;
}

test.each([
  ['voters', { voters: [1, 2, 3], votersOutgoing: [] }],
  [
    'those that are to vote no more, of a group whose next members are lost',
    { voters: [3], votersOutgoing: [1, 2, 3] },
  ],
  ['those of both halves', { voters: [2, 3], votersOutgoing: [1, 3] }],
])('stand one after the other when the leader is lost: %s', (_who, voters) => {
  for (const groupId of [0, 1, 2]) {
    const turns = turnsOf([1, 2], { ...voters, learners: [], learnersNext: [] }, groupId);
    const [first = 0, second = 0] = [...turns.values()].sort((a, b) => a - b);
    expect(turns.size).toBe(2);
    expect(first).toBeGreaterThanOrEqual(PeerWatch.NOTICE_MS);
    expect(second - first).toBe(PeerWatch.TURN_MS);
  }
});
