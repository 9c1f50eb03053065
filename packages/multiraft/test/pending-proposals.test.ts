import { expect, test } from '@jest/globals';
import { PendingProposals } from '../src/pending-proposals.ts';

test('an entry answers the proposal it is, and tells those apart that it took the place of', () => {
  const pending = new PendingProposals();
  pending.add(5, 2, 'a', 500);
  pending.add(6, 2, 'b', 600);
  expect(pending.take(5, 2)).toEqual({ token: 'a', lost: false, proposedMs: 500 });
  expect(pending.take(6, 3)).toEqual({ token: 'b', lost: true, proposedMs: 600 });
  expect(pending.take(7, 3)).toBeUndefined();
});

test('the first entry of a term decides about everything that was proposed before it', () => {
  const pending = new PendingProposals();
  pending.add(6, 2, 'a', 600);
  pending.add(7, 2, 'b', 700);
  pending.add(8, 4, 'c', 800);
  expect(pending.takeOlder(4)).toEqual(['a', 'b']);
  expect(pending.takeAll()).toEqual(['c']);
});
