import { expect, test } from '@jest/globals';
import type { Status } from '@sluice/raft/status';
import { othersCanDo } from '../../src/group/others-can-do.ts';

type Peer = { peer: number; recentlyActive?: boolean; answered?: boolean };

function group(
  voters: number[],
  peers: Peer[],
  votersOutgoing: number[] = [],
): Pick<Status, 'peerId' | 'membership' | 'progress'> {
  const membership = { voters, votersOutgoing, learners: [], learnersNext: [] };
  const state = { match: 0, next: 1, state: 'probe', inflightAppends: 0, pendingSnapshot: 0 } as const;
  const progress = [{ peer: 1 }, ...peers].map(({ peer, recentlyActive = true, answered = true }: Peer) => ({
    ...state,
    peer,
    recentlyActive,
    answered,
  }));
  return { peerId: 1, membership, progress };
}

test('a majority of the voters is there without the leader', () => {
  expect(othersCanDo(group([1, 2, 3], [{ peer: 2 }, { peer: 3 }]))).toBe(true);
  expect(othersCanDo(group([1, 2, 3], [{ peer: 2 }, { peer: 3, recentlyActive: false }]))).toBe(false);
  expect(othersCanDo(group([1, 2], [{ peer: 2 }]))).toBe(false);
  expect(othersCanDo(group([1], []))).toBe(false);
  expect(othersCanDo(group([1, 2, 3, 4], [{ peer: 2 }, { peer: 3 }]))).toBe(false);
});

test('learners do not count, nor does anybody while voters change', () => {
  expect(othersCanDo(group([1, 2], [{ peer: 2 }, { peer: 3 }]))).toBe(false);
  expect(othersCanDo(group([1, 2, 3], [{ peer: 2 }, { peer: 3 }], [1, 2]))).toBe(false);
});

test('who has not answered yet may be silent for the same reason', () => {
  expect(othersCanDo(group([1, 2, 3], [{ peer: 2 }, { peer: 3, answered: false }]))).toBe(false);
});
