import { expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { MetaMachine } from '@sluice/meta/meta-machine';
import { Coordinator, type CoordinatorHost } from '../src/coordinator.ts';

type Step = 'asked' | 'removed' | 'added' | 'failed';

/** A host of which steps fail as told, and a coordinator on it whose replica is impaired and out of the group. */
function impairedCoordinator(failures: { remove: number; add: number }) {
  const steps: Step[] = [];
  let impaired: Error | undefined;
  let isThere = false;
  let nowMs = 0;
  const attempt = (of: 'remove' | 'add', done: Step): void => {
    if (failures[of]-- > 0) {
      steps.push('failed');
      throw new Error('EMFILE: too many open files');
    }
    steps.push(done);
  };
  const host = {
    addGroup: async () => {
      attempt('add', 'added');
      isThere = true;
      impaired = undefined;
      return new MetaMachine();
    },
    removeGroup: async () => {
      isThere = false;
      attempt('remove', 'removed');
    },
    status: () => (isThere ? { impaired } : undefined),
    leaderOf: () => 2,
  } as unknown as CoordinatorHost;
  const coordinator = new Coordinator({
    nodeId: 1,
    host,
    bootstrapVoters: [1, 2, 3],
    formation: undefined,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
    metrics: new PlainMetrics(),
    askMembers: async () => {
      steps.push('asked');
      return [2, 3];
    },
  });
  return {
    coordinator,
    steps,
    impair: () => {
      isThere = true;
      impaired = new Error('damaged');
      steps.length = 0;
    },
    /** A second passes, and whatever follows from it. */
    pass: async () => {
      nowMs += Coordinator.MEND_INTERVAL_MS;
      coordinator.tick();
      await new Promise(setImmediate);
    },
  };
}

test.each([
  ['its wipe', { remove: 1, add: 0 }, ['asked', 'failed', 'removed', 'added']],
  ['what comes behind its wipe', { remove: 0, add: 1 }, ['asked', 'removed', 'failed', 'removed', 'added']],
])('a replica of the metadata is made anew although %s fails once', async (_what, failures, expected) => {
  const { steps, impair, pass } = impairedCoordinator(failures);
  impair();
  for (let seconds = 0; seconds < 5; seconds++) await pass();
  expect(steps).toEqual(expected);
});

test('one that cannot be trusted a second time is asked for again', async () => {
  const { steps, impair, pass } = impairedCoordinator({ remove: 0, add: 0 });
  for (let times = 0; times < 2; times++) {
    impair();
    for (let seconds = 0; seconds < 3; seconds++) await pass();
    expect(steps).toEqual(['asked', 'removed', 'added']);
  }
});
