import { expect, test } from '@jest/globals';
import type { GroupStatus } from '@sluice/multiraft/group/group-status';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import { viewOf } from '../../src/placement/group-view.ts';

const COMMIT = 1_000;

/** Node 1 leads nodes 1 and 2; what it knows of node 2 is given. */
function fitOf(peer: { match: number; state: 'probe' | 'replicate' | 'snapshot' }, isAlive = true): number[] {
  const membership = { voters: [1, 2], votersOutgoing: [], learners: [], learnersNext: [] };
  const status = {
    peerId: 1,
    role: 'leader',
    commit: COMMIT,
    membershipIndex: 1,
    membership,
    progress: [{ peer: 2, ...peer }],
  };
  const host = { status: () => status as unknown as GroupStatus, peerAlive: () => isAlive };
  return [...(viewOf(host as Pick<RaftHost, 'status' | 'peerAlive'>, 5)?.fit ?? [])];
}

test('a node that came back to an idle group is fit: nothing is proposed there that would end its probing', () => {
  expect(fitOf({ match: COMMIT, state: 'probe' })).toEqual([1, 2]);
  expect(fitOf({ match: COMMIT, state: 'replicate' })).toEqual([1, 2]);
});

test('who lacks much, gets a snapshot, has nothing yet or is silent is not', () => {
  expect(fitOf({ match: 1, state: 'replicate' })).toEqual([1]);
  expect(fitOf({ match: COMMIT, state: 'snapshot' })).toEqual([1]);
  expect(fitOf({ match: 0, state: 'probe' })).toEqual([1]);
  expect(fitOf({ match: COMMIT, state: 'replicate' }, false)).toEqual([1]);
});
