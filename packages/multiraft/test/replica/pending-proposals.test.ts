import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { PendingProposals } from '../../src/replica/pending-proposals.ts';

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

test('what is taken is kept alive by nobody, though what knew it lives on as old garbage for a while', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void;
  const pending = new PendingProposals();
  const tokenBytes = 64 * 1024;
  for (let index = 1; index <= 20; index++) pending.add(index, 1, new Uint8Array(tokenBytes), 0);
  // What there is by now is old, and what becomes garbage of it is not found by the collections of young objects below.
  collect();
  collect();
  const before = process.memoryUsage().arrayBuffers;
  for (let index = 21; index <= 420; index++) {
    pending.add(index, 1, new Uint8Array(tokenBytes), 0);
    pending.take(index - 20, 1);
    if (index % 20 === 0) collect({ type: 'minor' });
  }
  for (let i = 0; i < 3; i++) collect({ type: 'minor' });
  // The twenty that were there first are old garbage themselves.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(60 * tokenBytes);
});
