import { beforeEach, expect, test } from '@jest/globals';
import type { PendingPublish } from '../../src/publish/durable-publish.ts';
import { RetainedInFlight } from '../../src/retained/retained-in-flight.ts';

let inFlight: RetainedInFlight;
let log: string[];
beforeEach(() => {
  inFlight = new RetainedInFlight();
  log = [];
});

const publish = (): PendingPublish => inFlight.begin({ complete: (reasonCode) => log.push(`answered ${reasonCode}`) });
const wait = (name: string): void => inFlight.afterThose(() => log.push(name));

test('nobody waits while nothing is under way', () => {
  wait('at once');
  expect(log).toEqual(['at once']);
});

test('who waits is told when all that were under way are answered, whatever came later', () => {
  const [first, second] = [publish(), publish()];
  wait('a');
  const later = publish();
  wait('b');
  wait('c');
  second.complete(0);
  expect(log).toEqual(['answered 0']);
  first.complete(151);
  expect(log.slice(1)).toEqual(['answered 151', 'a']);
  later.complete(0);
  expect(log.slice(3)).toEqual(['answered 0', 'b', 'c']);
});

test('answers in another order do not change the order of those who wait', () => {
  const first = publish();
  wait('a');
  const second = publish();
  wait('b');
  second.complete(0);
  // Nothing is under way that came after b; what came before a is.
  wait('c');
  expect(log).toEqual(['answered 0']);
  first.complete(0);
  expect(log.slice(1)).toEqual(['answered 0', 'a', 'b', 'c']);
});
