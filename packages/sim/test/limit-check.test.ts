import { expect, test } from '@jest/globals';
import { QueueState } from '@sluice/queue/machine/queue-state';
import { LimitCheck } from '../src/check/limit-check.ts';
import { Violation } from '../src/simulation.ts';

function queueOf(version: number, overflow: QueueState['overflow'], countMax: number): QueueState {
  return new QueueState({ queueId: 1, version, name: 'q', isLastValue: false, countMax, bytesMax: null, overflow });
}

/** As after so many came and so many were accepted. */
function holds(queue: QueueState, published: number, accepted: number): QueueState {
  queue.published = published;
  queue.accepted = accepted;
  queue.depth = published - accepted;
  return queue;
}

function found(act: () => void): string {
  try {
    act();
  } catch (cause) {
    if (cause instanceof Violation) return cause.checker;
    throw cause;
  }
  return '';
}

test('a queue that refuses grows beyond its limit, also where it was too long when that came', () => {
  const check = new LimitCheck(() => true);
  expect(found(() => check.look(holds(queueOf(1, 'refuse', 2), 2, 0), 1, 0))).toBe('');
  expect(found(() => check.look(holds(queueOf(1, 'refuse', 2), 3, 0), 1, 10))).toBe('limit');
  const late = new LimitCheck(() => true);
  expect(found(() => late.look(holds(queueOf(1, 'refuse', 2), 5, 0), 1, 0))).toBe('');
  expect(found(() => late.look(holds(queueOf(1, 'refuse', 2), 5, 1), 1, 10))).toBe('');
  expect(found(() => late.look(holds(queueOf(1, 'refuse', 2), 6, 1), 1, 20))).toBe('limit');
});

test('a new leader that has applied less is no finding', () => {
  const check = new LimitCheck(() => true);
  check.look(holds(queueOf(1, 'refuse', 2), 5, 4), 1, 0);
  expect(found(() => check.look(holds(queueOf(1, 'refuse', 2), 5, 0), 1, 10))).toBe('');
});

test('a queue that drops its oldest stays too long', () => {
  const over = (isCalm: boolean): string => {
    const check = new LimitCheck(() => isCalm);
    check.look(holds(queueOf(1, 'drop_oldest', 2), 5, 0), 1, 0);
    return found(() => check.look(holds(queueOf(1, 'drop_oldest', 2), 6, 0), 1, LimitCheck.TRIM_MS_MAX + 1));
  };
  expect([over(true), over(false)]).toEqual(['limit', '']);
});

test('something left a queue and is not counted', () => {
  const queue = holds(queueOf(1, 'refuse', 9), 5, 0);
  queue.depth = 4;
  expect(found(() => new LimitCheck(() => true).look(queue, 1, 0))).toBe('counted');
});
